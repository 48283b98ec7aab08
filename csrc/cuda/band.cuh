// The band kernel: exact inverse of a masked convolution with one channel per group, large images and small ones.
//
// An image is cut into bands of 32 rows, one block of threads each. Lane l stands for row l of the band and is at column
// t - l at time t, so that the lanes walk along an anti-diagonal: at time t all of them can be solved, from earlier
// times alone. Tap (a, b) reads the row a above at time t - a - b.
//
//              time t ->                        The ring: values in shared memory, by time and lane. It keeps as many
//     lane -2  h h h h h h h h                  times as the taps reach back. The rows above the band (the halo) are
//     lane -1  h h h h h h h h    halo          lanes with negative numbers; outside the image all is 0. For every tap
//     lane  0  x x x x x x . .                  the 32 lanes read 32 neighbours: no bank conflict. Its first chunk is
//     lane  1  x x x x x x . .                  kept a second time behind the last, so that no window is torn.
//
// Times are solved in chunks of 8. Row a of the taps reads windows of 8 times: number m begins a + 8 m times before the
// chunk. So every window is either whole, 64 multiply-adds a lane, or (m = 0) a triangle of them (toeplitz.cuh).
// Chunk by chunk, with all the block's warps:
//
//     A   warp 0 solves chunk c, time after time: the only sequential part, with the 36 taps of a + b < 8.
//         The others add to the sums of chunk c + 1 the windows that end before chunk c (independent of it). The last two
//         have fewer: one publishes the chunks before c, the other waits until the bands above have the halo of chunk
//         c + 2.
//         The halo of chunk c + 1 goes from registers into the ring.
//     --- barrier
//     B   all warps add the other windows, which reach into chunk c (dependent on it).
//     --- barrier
//     C   the first threads: right-hand side of chunk c + 1 = y + the warps' sums.
//         The last threads: chunk c goes into the image, the halo of chunk c + 2 comes from there into registers.
//     --- barrier
//
// So no wait for memory stands between two barriers: what is read was asked for an iteration before.
//
// Who waits for whom: the halo of chunk c is what the band above solves in its chunk c + 4 (32 lanes are 4 chunks), the
// band above that in its chunk c + 8. A band publishes the number of its finished chunks by a release after barrier C,
// when every thread has written; a warp of a lower band acquires it. Bands are handed out by a ticket, band after band
// over all images, so a band only ever waits for tickets drawn before its own, by blocks that run or ran: however few
// blocks fit on the device, somebody can go on. The order of every sum is fixed, so no schedule changes a bit.
#pragma once

#include "problem.cuh"
#include "toeplitz.cuh"

constexpr int kWarps = sizeof(Scalar) == 4 ? 16 : 8;  // registers for more there are not
constexpr int kBandThreads = kWarps * kLanes;
constexpr int kPixels = kLanes * kChunk;              // of a chunk
constexpr int kFirstWriter = kBandThreads - kPixels;  // the threads that write the image and read halos
constexpr int kMaxHalo = 256;                         // rows above a band that fit in these threads' registers
constexpr int kHaloRegisters = kMaxHalo * kChunk / kPixels;
constexpr int kFewRows = 4;             // of taps: a chunk is then solved with fewer loads
constexpr int kPartPitch = kLanes + 4;  // so that 4 rows of 8 times lie in 32 banks; the ring's too
constexpr int kSolver = 0, kPublisher = kWarps - 2, kWaiter = kWarps - 1;  // warps with a task of their own

// The block's shared memory; deblur/ops/_cuda_problem.py computes its size.
struct Band {
    Scalar* ring;     // [time in the ring][pad + lane]
    Scalar* weights;  // [a][7 zeros, taps, zeros], divided by minus the anchor
    Scalar* parts;    // [warp][time in the chunk][lane]: the warps' sums
    Scalar* rhs;      // [time in the chunk][lane]: right-hand side of the chunk to be solved next
    int* ticket;      // the number that this block drew: its band of its image

    Image image;
    int index;  // of the band in its image
    int rows;   // of it that lie in the image, at most 32
    int taps_h, taps_w;
    int halo;          // rows above the band that the taps read
    int pad;           // lanes before lane 0 in the ring, zeros where no halo is
    int pitch;         // elements of one time in the ring
    int times;         // in the ring, a multiple of kChunk; the first kChunk stand behind them once more
    int head;          // time in the ring at which chunk c + 1 begins
    int windows;       // the largest m
    int weight_pitch;  // elements of one row of weights
    int warp, lane;

    DEBLUR_DEVICE long long pixel(int row, int column) const {
        return image.first + (long long)(index * kLanes + row) * image.row + (long long)column * image.column;
    }
    // Lane 0's value of the time that lies `age` before chunk c + 1 begins: 0 to `times`.
    DEBLUR_DEVICE Scalar* slot(int age) const {
        const int time = head - age;
        return ring + (time < 0 ? time + times : time) * pitch + pad;
    }
    // From a chunk that begins there to its mirror, where it is kept a second time; 0 for all but one.
    DEBLUR_DEVICE int mirror_offset(const Scalar* chunk) const { return chunk == ring + pad ? times * pitch : 0; }
    DEBLUR_DEVICE const Scalar* taps(int a) const { return weights + a * weight_pitch + kChunk - 1; }
};

DEBLUR_DEVICE Band band_of(const Problem& p, Scalar* shared) {
    Band band;
    band.warp = threadIdx.x / kLanes;
    band.lane = threadIdx.x % kLanes;
    band.taps_h = p.taps_h;
    band.taps_w = p.taps_w;
    band.halo = p.taps_h - 1;
    band.pad = larger(band.halo, kChunk - 1);
    band.pitch = divide_up(band.pad + kLanes - 4, 8) * 8 + 4;
    band.windows = (p.taps_w + kChunk - 2) / kChunk;
    band.times = kChunk * (1 + band.windows + divide_up(band.halo, kChunk));
    band.head = 0;
    band.weight_pitch = kChunk * (band.windows + 2);
    band.ring = shared;
    band.weights = band.ring + (band.times + kChunk) * band.pitch;
    band.parts = band.weights + p.taps_h * band.weight_pitch;
    band.rhs = band.parts + kWarps * kChunk * kPartPitch;
    band.ticket = reinterpret_cast<int*>(band.rhs + kChunk * kPartPitch);
    return band;
}

// Zeros in the ring: they are the outside of the image (one whose edge is repeated comes as problems of this kind, see
// deblur/ops/_cuda_border.py). The taps, divided by minus the anchor, so that every product is added; a vanishing anchor
// gives NaN. Returns one over the anchor.
DEBLUR_DEVICE Scalar prepare(const Problem& p, const Band& band) {
    const int thread = threadIdx.x;
    for (int k = thread; k < (band.times + kChunk) * band.pitch; k += kBandThreads) band.ring[k] = 0;
    for (int k = thread; k < kChunk * kPartPitch; k += kBandThreads) band.rhs[k] = 0;
    const Scalar* const weight = p.weight + band.image.group * p.weight_group;
    const Scalar anchor = weight[0];
    const Scalar inverse = anchor != 0 ? 1 / anchor : not_a_number();
    for (int k = thread; k < band.taps_h * band.weight_pitch; k += kBandThreads) {
        const int a = k / band.weight_pitch, b = k % band.weight_pitch - (kChunk - 1);
        const bool is_tap = b >= 0 && b < band.taps_w;
        band.weights[k] = is_tap ? -inverse * weight[a * p.weight_row + b * p.weight_column] : 0;
    }
    return inverse;
}

// Adds window m of row a of the taps to the sums of chunk c + 1.
DEBLUR_DEVICE void add_window(Scalar (&sums)[kChunk], const Band& band, int a, int m) {
    const Scalar* const source = band.slot(a + m * kChunk) + band.lane - a;
    const Quad* const quads = reinterpret_cast<const Quad*>(band.weights + a * band.weight_pitch + m * kChunk);
    Scalar value[kChunk], weight[2 * kChunk];
#pragma unroll
    for (int k = 0; k < 2 * kChunk; k += kQuad) {
        const Quad quad = quads[k / kQuad];
#pragma unroll
        for (int q = 0; q < kQuad; ++q) weight[k + q] = quad.v[q];
    }
    if (m > 0) {
#pragma unroll
        for (int s = 0; s < kChunk; ++s) value[s] = source[s * band.pitch];
        add_diagonals<1 - kChunk>(sums, value, weight);
    } else {  // its last times may be those of chunk c + 1 itself
#pragma unroll
        for (int s = 0; s < kChunk; ++s) value[s] = s < a ? source[s * band.pitch] : 0;
        add_diagonals<0>(sums, value, weight);
    }
}

// The windows that end before chunk c, so that they need not wait for it: row by row those from first_independent(a) on.
// A warp takes `count` of them in a row.
struct WindowRange {
    int a, m, count;
};

DEBLUR_DEVICE int first_independent(int a) { return larger(0, 2 - int(unsigned(a) / kChunk)); }

DEBLUR_DEVICE int independent_windows(const Band& band) {
    int count = 0;
    for (int a = 0; a < band.taps_h; ++a) count += larger(0, band.windows + 1 - first_independent(a));
    return count;
}

// The share of a warp: nothing for the solver, and half of what the others have for those that publish and wait.
DEBLUR_DEVICE WindowRange independent_share(const Band& band, int count) {
    const int begin = band.warp < kPublisher ? 2 * band.warp - 2 : band.warp + kPublisher - 2;
    const int first = count * larger(0, begin) / (2 * kPublisher);
    const int last = count * (begin + (band.warp < kPublisher ? 2 : 1)) / (2 * kPublisher);
    WindowRange share = {0, first_independent(0), last - first};
    for (int passed = 0; share.a < band.taps_h; ++share.a) {
        share.m = first_independent(share.a);
        const int in_row = larger(0, band.windows + 1 - share.m);
        if (first < passed + in_row) {
            share.m += first - passed;
            break;
        }
        passed += in_row;
    }
    return share;
}

DEBLUR_DEVICE void add_independent(Scalar (&sums)[kChunk], const Band& band, const WindowRange& share) {
    int a = share.a, m = share.m;
    for (int n = 0; n < share.count; ++n) {
        add_window(sums, band, a, m);
        if (++m > band.windows) m = first_independent(++a);
    }
}

// The windows that reach into chunk c and depend on it: m = 1 of the rows before the eighth, m = 0 of those from the
// first to the 15th.
DEBLUR_DEVICE int dependent_whole(const Band& band) { return band.windows > 0 ? smaller(band.taps_h, kChunk) : 0; }
DEBLUR_DEVICE int dependent_windows(const Band& band) {
    return dependent_whole(band) + smaller(band.taps_h, 2 * kChunk) - 1;
}

DEBLUR_DEVICE void add_dependent(Scalar (&sums)[kChunk], const Band& band) {
    const int whole = dependent_whole(band), count = dependent_windows(band);
    for (int n = band.warp; n < count; n += kWarps) add_window(sums, band, n < whole ? n : n - whole + 1, n < whole);
}

// Chunk c, time after time, by one warp. Each solved value is pushed into the sums of the later times of the chunk, which
// every lane keeps in registers; `triangle` are the taps with a + b < kChunk, all in the first kRows rows; `width` is 0
// for lanes beyond the image.
template <int kRows>
DEBLUR_DEVICE void solve_chunk(const Band& band, int c, int width, const Scalar (&triangle)[kChunk][kChunk]) {
    Scalar* const chunk = band.slot(kChunk);
    Scalar* const values = chunk + band.lane;
    const int mirror = band.mirror_offset(chunk), column = c * kChunk - band.lane;
    Scalar sums[kChunk];
#pragma unroll
    for (int u = 0; u < kChunk; ++u) sums[u] = band.rhs[u * kPartPitch + band.lane];
#pragma unroll
    for (int u = 0; u < kChunk; ++u) {
        Scalar* const slot = values + u * band.pitch;
        const Scalar solved = unsigned(column + u) < unsigned(width) ? sums[u] : 0;
        *slot = solved;
        if (mirror) slot[mirror] = solved;
        if (band.taps_w == 1) continue;  // the host sees to it that these are 1 x 1 taps
#pragma unroll
        for (int b = 1; b < kChunk - u; ++b) sums[u + b] += triangle[0][b] * solved;
        if (band.halo == 0) continue;
        __syncwarp();  // the lanes below read it
        // Taps that there are not are zeros, times values that those before them pass on anyhow, a NaN too. But where
        // there is one row or one column of taps, nothing may go from row to row or from column to column: see above.
#pragma unroll
        for (int a = 1; a < smaller(kRows, kChunk - u); ++a) {
            const Scalar value = slot[-a];
#pragma unroll
            for (int b = 0; a + b < kChunk - u; ++b) sums[u + a + b] += triangle[a][b] * value;
        }
    }
}

// Waits, in one warp, until the bands above have the halo of a chunk in the image.
DEBLUR_DEVICE void wait_for_halo(const Problem& p, const Band& band, int task, int c) {
    const int chunks = divide_up(band.image.width + kLanes - 1, kChunk);  // of a band with all its rows
    const int sources = smaller(band.index, divide_up(band.halo, kLanes));
    for (int k = 1 + band.lane; k <= sources; k += kLanes) {  // a lane for every band that is read
        const int* const progress = p.flags + 1 + task - k * p.images;
        const int needed = smaller(c + k * (kLanes / kChunk) + 1, chunks);
        while (load_acquire(progress) < needed) pause();
    }
}

// The pixel of a chunk that a thread stands for: neighbours in a row for neighbouring threads.
struct Pixel {
    int row, time;
    int column;
    int width;  // of the image; 0 in a row beyond it

    DEBLUR_DEVICE bool is_in_image() const { return unsigned(column) < unsigned(width); }
};

DEBLUR_DEVICE Pixel pixel_of(const Band& band, int row, int time, int c) {
    Pixel pixel;
    pixel.row = row;
    pixel.time = time;
    pixel.width = pixel.row < band.rows ? band.image.width : 0;
    pixel.column = c * kChunk + pixel.time - pixel.row;
    return pixel;
}

// What a thread does with the image: its pixel, and of the halo the values of every 32nd row.
struct Writer {
    Pixel pixel;                // in chunk c
    int halo_values;            // of the halo; the first band of an image has zeros there for ever
    int halo_column;            // of its first halo value in chunk c + 2
    Scalar* x;                  // its pixel in chunk c
    const Scalar* halo_source;  // its first halo value in chunk c + 2

    DEBLUR_DEVICE void advance(long long step) {
        pixel.column += kChunk;
        halo_column += kChunk;
        x += step;
        halo_source += step;
    }
};

DEBLUR_DEVICE Writer writer_of(const Problem& p, const Band& band, int c) {
    const int number = int(threadIdx.x) - kFirstWriter;
    Writer w;
    w.pixel = pixel_of(band, number / kChunk, number % kChunk, c);
    w.halo_values = number < 0 || band.index == 0 ? 0 : larger(0, divide_up(band.halo - w.pixel.row, kLanes));
    w.halo_column = (c + 2) * kChunk + w.pixel.time + w.pixel.row + 1;
    w.x = p.x + band.pixel(w.pixel.row, w.pixel.column);
    w.halo_source = p.x + band.pixel(-1 - w.pixel.row, w.halo_column);
    return w;
}

// The halo of a chunk on its way: from the image into registers, and an iteration later from these into the ring.
DEBLUR_DEVICE void fetch_halo(Scalar (&halo)[kHaloRegisters], const Band& band, const Writer& w) {
    const long long next = kLanes * (band.image.column - band.image.row);
#pragma unroll
    for (int n = 0; n < kHaloRegisters; ++n) {
        if (n >= w.halo_values) break;
        const bool in_image = unsigned(w.halo_column + n * kLanes) < unsigned(band.image.width) &&
                              n * kLanes + w.pixel.row < band.index * kLanes;
        halo[n] = in_image ? w.halo_source[n * next] : 0;
    }
}

DEBLUR_DEVICE void store_halo(const Scalar (&halo)[kHaloRegisters], const Band& band, const Writer& w) {
    Scalar* const chunk = band.slot(0);
    const int mirror = band.mirror_offset(chunk);
#pragma unroll
    for (int n = 0; n < kHaloRegisters; ++n) {
        if (n >= w.halo_values) break;
        Scalar* const target = chunk + w.pixel.time * band.pitch - 1 - w.pixel.row - n * kLanes;
        *target = halo[n];
        if (mirror) target[mirror] = halo[n];
    }
}

DEBLUR_KERNEL(deblur_band_solve, kBandThreads) {
    const Problem& p = problem;
    DEBLUR_SHARED_MEMORY(shared);
    Band band = band_of(p, shared);
    if (threadIdx.x == 0) *band.ticket = atomicAdd(p.flags, 1);
    __syncthreads();
    const int task = *band.ticket;
    band.index = task / p.images;
    band.image = image_of(p, task % p.images);
    band.rows = smaller(band.image.height - band.index * kLanes, kLanes);
    if (band.rows <= 0) return;  // this image is a band shorter than the tallest
    const Scalar inverse = prepare(p, band);
    int* const progress = p.flags + 1 + task;
    __syncthreads();

    Scalar triangle[kChunk][kChunk] = {};
    if (band.warp == kSolver) {
#pragma unroll
        for (int a = 0; a < kChunk; ++a)
#pragma unroll
            for (int b = 0; a + b < kChunk; ++b) triangle[a][b] = a < band.taps_h ? band.taps(a)[b] : 0;
    }

    // Halo rows have pixels at negative times, and two chunks go by before what is fetched is in the ring.
    const int begin = -divide_up(band.halo, kChunk) - 2;
    const int chunks = divide_up(band.image.width + band.rows - 1, kChunk);
    const int independent = independent_windows(band);
    const int adders = independent > 0 ? kWarps : smaller(kWarps, dependent_windows(band));
    const WindowRange share = independent_share(band, independent);
    const int lanes_width = band.lane < band.rows ? band.image.width : 0;

    // The pixel whose right-hand side the thread asks for in chunk c.
    Pixel rhs_pixel = pixel_of(band, threadIdx.x / kChunk, threadIdx.x % kChunk, begin + 2);
    const Scalar* y_source = p.y + band.pixel(rhs_pixel.row, rhs_pixel.column);
    Scalar y = 0;  // of chunk c + 1; the first one lies before the image

    Writer writer = writer_of(p, band, begin);
    const long long step = kChunk * band.image.column;
    Scalar halo[kHaloRegisters] = {};
    for (int c = begin; c < chunks; ++c) {
        Scalar sums[kChunk] = {};
        if (band.warp == kSolver) {
            if (band.taps_h <= kFewRows)
                solve_chunk<kFewRows>(band, c, lanes_width, triangle);
            else
                solve_chunk<kChunk>(band, c, lanes_width, triangle);
        } else {
            if (band.warp == kPublisher && band.lane == 0 && c > 0) store_release(progress, c);
            if (band.warp == kWaiter) wait_for_halo(p, band, task, c + 2);
            add_independent(sums, band, share);
        }
        store_halo(halo, band, writer);
        __syncthreads();  // chunk c and the halo of chunk c + 1 are in the ring, that of chunk c + 2 is in the image

        add_dependent(sums, band);
        if (band.warp < adders) {
#pragma unroll
            for (int u = 0; u < kChunk; ++u) band.parts[(band.warp * kChunk + u) * kPartPitch + band.lane] = sums[u];
        }
        __syncthreads();  // the sums are there

        if (threadIdx.x < kPixels) {
            Scalar total = inverse * y;
#pragma unroll 4
            for (int w = 0; w < adders; ++w)
                total += band.parts[(w * kChunk + rhs_pixel.time) * kPartPitch + rhs_pixel.row];
            band.rhs[rhs_pixel.time * kPartPitch + rhs_pixel.row] = total;
            y = rhs_pixel.is_in_image() ? *y_source : 0;
        }
        if (int(threadIdx.x) >= kFirstWriter) {
            if (writer.pixel.is_in_image())
                *writer.x = band.slot(kChunk)[writer.pixel.time * band.pitch + writer.pixel.row];
            fetch_halo(halo, band, writer);
        }
        rhs_pixel.column += kChunk;
        y_source += step;
        writer.advance(step);
        band.head = band.head + kChunk == band.times ? 0 : band.head + kChunk;
        __syncthreads();  // the right-hand side of chunk c + 1 is there; chunk c is in the image
    }
    if (threadIdx.x == 0) store_release(progress, chunks);
}

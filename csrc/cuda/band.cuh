// The band kernel: exact inverse of a masked convolution with one channel per group, large images and small ones.
//
// An image is cut into bands of 32 rows, one block of threads each. Lane l stands for row l of the band and is at column
// t - l at time t, so that the lanes walk along an anti-diagonal: at time t all of them can be solved, from earlier
// times alone. Tap (a, b) reads the row a above at time t - a - b.
//
//              time t ->                        The ring: values in shared memory, by time and lane. It keeps as many
//     lane -2  h h h h h h h h                  chunks of kChunk times as the taps reach back. The rows above the band
//     lane -1  h h h h h h h h    halo          (the halo) are lanes with negative numbers; outside the image all is 0.
//     lane  0  x x x x x x . .                  For every tap the 32 lanes read 32 neighbours: no bank conflict.
//     lane  1  x x x x x x . .
//
// Chunk by chunk, with all the block's warps:
//
//     A   warp 0 solves chunk c, time after time: the only sequential part, with the 35 taps of a + b < 8.
//         The others add to the sums of chunk c + 1 what comes from chunks before c. The last two have fewer taps: one
//         publishes the chunks before c, the other waits until the bands above have the halo of chunk c + 2.
//         All: the halo of chunk c + 1 goes from registers into the ring.
//     --- barrier
//     B   all warps: chunk c goes into the image, the halo of chunk c + 2 on its way from there into registers, and
//         chunk c's part into the sums of chunk c + 1.
//     --- barrier
//     C   all warps: right-hand side of chunk c + 1 = y + the warps' sums.
//     --- barrier
//
// So no wait for memory stands between two barriers: what is read was asked for an iteration before.
//
// Who waits for whom: the halo of chunk c is what the band above solves in its chunk c + 4 (32 lanes are 4 chunks), the
// band above that in its chunk c + 8. A band publishes the number of its finished chunks by a release after barrier B,
// when every thread has written; a warp of a lower band acquires it. Bands are handed out by a ticket, band after band
// over all images, so a band only ever waits for tickets drawn before its own, by blocks that run or ran: however few
// blocks fit on the device, somebody can go on. The order of every sum is fixed, so no schedule changes a bit.
#pragma once

#include "problem.cuh"
#include "toeplitz.cuh"

constexpr int kWarps = sizeof(Scalar) == 4 ? 16 : 8;  // registers for more there are not
constexpr int kBandThreads = kWarps * kLanes;
constexpr int kPixels = kLanes * kChunk;              // of a chunk
constexpr int kMostHalo = 256;                        // rows above a band that fit in the threads' registers
constexpr int kAhead = kMostHalo * kChunk / kBandThreads;
constexpr int kPartPitch = kLanes + 4;                // so that 4 rows of 8 times lie in 32 banks; the ring's too
constexpr int kSolver = 0;                            // warps with a task of their own
constexpr int kPublisher = kWarps - 2, kWaiter = kWarps - 1;
static_assert(kPixels <= kBandThreads, "a thread for every pixel of a chunk");

// The block's shared memory; deblur/ops/_cuda_problem.py computes its size.
struct Band {
    Scalar* ring;     // [chunk in the ring][time in the chunk][pad + lane]
    Scalar* weights;  // [a][kMargin zeros, taps, kMargin zeros], divided by minus the anchor
    Scalar* parts;    // [warp][time in the chunk][lane]: the warps' sums
    Scalar* rhs;      // [time in the chunk][lane]: right-hand side of the chunk to be solved next
    int* drawn;       // the ticket

    Image image;
    int index;  // of the band in its image
    int rows;   // of it that lie in the image, at most 32
    int taps_h, taps_w;
    int halo;   // rows above the band that the taps read
    int pad;    // lanes before lane 0 in the ring, zeros where no halo is
    int pitch;  // elements of one time in the ring
    int ring_chunks;
    int slot;          // of chunk c in the ring
    int weight_pitch;  // elements of one row of weights
    int warp, lane;
    int row, time;  // of the pixel of a chunk that this thread stands for in phases B and C: 8 neighbours of a row

    DEBLUR_DEVICE bool contains(int row, int column) const { return column >= 0 && column < image.width && row < rows; }
    DEBLUR_DEVICE long long pixel(int row, int column) const {
        return image.first + (long long)(index * kLanes + row) * image.row + (long long)column * image.column;
    }
    // Lane 0's value of the first time of chunk c - distance; -1 <= distance < ring_chunks.
    DEBLUR_DEVICE Scalar* chunk(int distance) const {
        int k = slot - distance;
        if (k < 0) k += ring_chunks;
        if (k >= ring_chunks) k -= ring_chunks;
        return ring + k * kChunk * pitch + pad;
    }
    // Row a of the taps, shifted so that the lowest diagonal of every block of add_chunks lies at a multiple of four.
    DEBLUR_DEVICE Scalar* taps(int a) const { return weights + a * weight_pitch + (a + 1) % kQuad + kMargin; }
};

DEBLUR_DEVICE int last_distance(int a, int taps_w) { return (taps_w - 1 + a + kChunk - 1) / kChunk; }

DEBLUR_DEVICE Band band_of(const Problem& p, Scalar* shared) {
    Band band;
    band.warp = threadIdx.x / kLanes;
    band.lane = threadIdx.x % kLanes;
    band.row = threadIdx.x / kChunk;
    band.time = threadIdx.x % kChunk;
    band.taps_h = p.taps_h;
    band.taps_w = p.taps_w;
    band.halo = p.taps_h - 1;
    band.pad = larger(band.halo, kChunk - 1);
    band.pitch = divide_up(band.pad + kLanes - 4, 8) * 8 + 4;
    band.ring_chunks = last_distance(p.taps_h - 1, p.taps_w) + 1;
    band.slot = 0;
    band.weight_pitch = divide_up(p.taps_w + 2 * kMargin + kQuad - 1, kQuad) * kQuad;
    band.ring = shared;
    band.weights = band.ring + band.ring_chunks * kChunk * band.pitch;
    band.parts = band.weights + p.taps_h * band.weight_pitch;
    band.rhs = band.parts + kWarps * kChunk * kPartPitch;
    band.drawn = reinterpret_cast<int*>(band.rhs + kChunk * kPartPitch);
    return band;
}

// Zeros in the ring: they are the outside of the image (one whose edge is repeated comes as problems of this kind, see
// deblur/ops/_cuda_border.py). The taps, divided by minus the anchor, so that every product is added; a vanishing anchor
// gives NaN. Returns one over the anchor.
DEBLUR_DEVICE Scalar prepare(const Problem& p, const Band& band) {
    const int thread = threadIdx.x;
    for (int k = thread; k < band.ring_chunks * kChunk * band.pitch; k += kBandThreads) band.ring[k] = 0;
    for (int k = thread; k < kChunk * kPartPitch; k += kBandThreads) band.rhs[k] = 0;
    const Scalar* const weight = p.weight + band.image.group * p.weight_group;
    const Scalar anchor = weight[0];
    const Scalar inverse = anchor != 0 ? 1 / anchor : not_a_number();
    for (int k = thread; k < band.taps_h * band.weight_pitch; k += kBandThreads) {
        const int a = k / band.weight_pitch, b = k - int(band.taps(a) - band.weights);
        const bool is_tap = b >= 0 && b < band.taps_w;
        band.weights[k] = is_tap ? -inverse * weight[a * p.weight_row + b * p.weight_column] : 0;
    }
    return inverse;
}

// Adds what the chunks `nearest` to `farthest` before chunk c + 1 contribute to its sums by row a of the taps; whether all
// diagonals are taps or zeros beyond the last (toeplitz.cuh) is the same for all of these chunks.
template <bool kWhole>
DEBLUR_DEVICE void add_row(Scalar (&sums)[kChunk], const Band& band, int a, int nearest, int farthest) {
    const int step = kChunk * band.pitch;
    const Scalar* const start = band.ring + band.pad + band.lane - a;  // the place of the ring's first chunk
    const Scalar* source = band.chunk(nearest - 1) + band.lane - a;
    const Quad* quads = reinterpret_cast<const Quad*>(band.taps(a) + nearest * kChunk - a - (kChunk - 1));
    for (int distance = nearest; distance <= farthest; ++distance) {
        Scalar weight[2 * kChunk];
#pragma unroll
        for (int k = 0; k < 2 * kChunk; k += kQuad) {
            const Quad quad = quads[k / kQuad];
#pragma unroll
            for (int q = 0; q < kQuad; ++q) weight[k + q] = quad.of[q];
        }
        add_block<kWhole>(sums, source, band.pitch, weight, distance * kChunk - a);  // the tap b of equal places
        source -= source == start ? step - band.ring_chunks * step : step;
        quads += kChunk / kQuad;
    }
}

// The same for every `stride`-th row of taps.
DEBLUR_DEVICE void add_chunks(Scalar (&sums)[kChunk], const Band& band, int nearest, int farthest, int first_row,
                              int stride) {
    for (int a = first_row; a < band.taps_h; a += stride) {
        const int first = larger(nearest, a / kChunk);  // nearer ones are all later than the target
        const int last = smaller(farthest, last_distance(a, band.taps_w)), whole = divide_up(a + kChunk - 1, kChunk);
        add_row<false>(sums, band, a, first, smaller(last, whole - 1));
        add_row<true>(sums, band, a, larger(first, whole), last);
    }
}

// Chunk c, time after time, by one warp. Each solved value is pushed into the sums of the later times of the chunk, which
// every lane keeps in registers; `near` are the taps with a + b < kChunk.
DEBLUR_DEVICE void solve_chunk(const Band& band, int c, const Scalar (&near)[kChunk][kChunk]) {
    Scalar* const values = band.chunk(0) + band.lane;
    Scalar sums[kChunk];
#pragma unroll
    for (int u = 0; u < kChunk; ++u) sums[u] = band.rhs[u * kPartPitch + band.lane];
#pragma unroll
    for (int u = 0; u < kChunk; ++u) {
        Scalar* const now = values + u * band.pitch;
        const Scalar mine = band.contains(band.lane, c * kChunk + u - band.lane) ? sums[u] : 0;
        *now = mine;
#pragma unroll
        for (int b = 1; b < kChunk - u; ++b) sums[u + b] += near[0][b] * mine;
        if (band.halo == 0) continue;  // a NaN stays in its row
        __syncwarp();  // the lanes below read it
        // Rows of taps that there are not are zeros, times values that the rows before them pass on anyhow.
#pragma unroll
        for (int a = 1; a < kChunk - u; ++a) {
            const Scalar value = now[-a];
#pragma unroll
            for (int b = 0; a + b < kChunk - u; ++b) sums[u + a + b] += near[a][b] * value;
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

// The halo of a chunk on its way: from the image into registers, and an iteration later from these into the ring. The
// first band of an image has zeros there for ever.
DEBLUR_DEVICE int halo_values(const Band& band) { return band.index == 0 ? 0 : band.halo * kChunk; }

DEBLUR_DEVICE void fetch_halo(Scalar (&ahead)[kAhead], const Problem& p, const Band& band, int c) {
    const int count = halo_values(band);
#pragma unroll
    for (int n = 0; n < kAhead; ++n) {
        const int k = threadIdx.x + n * kBandThreads, up = k / kChunk + 1, column = c * kChunk + k % kChunk + up;
        if (n * kBandThreads >= count) break;
        const bool inside = k < count && column >= 0 && column < band.image.width && up <= band.index * kLanes;
        ahead[n] = inside ? p.x[band.pixel(-up, column)] : 0;
    }
}

DEBLUR_DEVICE void store_halo(const Scalar (&ahead)[kAhead], const Band& band, Scalar* chunk) {
    const int count = halo_values(band);
#pragma unroll
    for (int n = 0; n < kAhead; ++n) {
        const int k = threadIdx.x + n * kBandThreads, up = k / kChunk + 1;
        if (n * kBandThreads >= count) break;
        if (k < count) chunk[k % kChunk * band.pitch - up] = ahead[n];
    }
}

DEBLUR_KERNEL(deblur_band_solve, kBandThreads) {
    const Problem& p = problem;
    DEBLUR_SHARED_MEMORY(shared);
    Band band = band_of(p, shared);
    if (threadIdx.x == 0) *band.drawn = atomicAdd(p.flags, 1);
    __syncthreads();
    const int task = *band.drawn;
    band.index = task / p.images;
    band.image = image_of(p, task % p.images);
    band.rows = smaller(band.image.height - band.index * kLanes, kLanes);
    if (band.rows <= 0) return;  // this image is a band shorter than the tallest
    const Scalar inverse = prepare(p, band);
    int* const progress = p.flags + 1 + task;
    __syncthreads();

    Scalar near[kChunk][kChunk] = {};
    if (band.warp == kSolver) {
#pragma unroll
        for (int a = 0; a < kChunk; ++a)
#pragma unroll
            for (int b = 0; a + b < kChunk; ++b) near[a][b] = a < band.taps_h ? band.taps(a)[b] : 0;
    }

    const int first = -divide_up(band.halo, kChunk);  // halo rows have pixels at negative times
    const int chunks = divide_up(band.image.width + band.rows - 1, kChunk);
    const int column = band.time - band.row;  // of this thread's pixel in chunk 0
    const bool stands_for_a_pixel = threadIdx.x < kPixels;
    // The last two warps take turns at every kPublisher-th row of taps, each of the others has one of the rows between.
    const int first_far_row = band.warp < kWaiter ? band.warp - 1 : 2 * kPublisher - 1;
    const int far_stride = band.warp < kPublisher ? kPublisher : 2 * kPublisher;
    Scalar ahead[kAhead] = {};
    Scalar y = 0;                               // of chunk c + 1
    for (int c = first - 2; c < chunks; ++c) {  // the first two solve nothing but zeros and fetch halos
        const int later = column + (c + 2) * kChunk;
        const Scalar y_later = stands_for_a_pixel && band.contains(band.row, later) ? p.y[band.pixel(band.row, later)] : 0;

        Scalar sums[kChunk] = {};
        if (band.warp == kSolver) {
            solve_chunk(band, c, near);
        } else {
            if (band.warp == kPublisher && band.lane == 0 && c > 0) store_release(progress, c);
            if (band.warp == kWaiter) wait_for_halo(p, band, task, c + 2);
            add_chunks(sums, band, 2, band.ring_chunks, first_far_row, far_stride);
        }
        store_halo(ahead, band, band.chunk(-1));
        __syncthreads();  // chunk c and the halo of chunk c + 1 are in the ring, that of chunk c + 2 is in the image

        const int now = column + c * kChunk;
        if (stands_for_a_pixel && band.contains(band.row, now))
            p.x[band.pixel(band.row, now)] = band.chunk(0)[band.time * band.pitch + band.row];
        fetch_halo(ahead, p, band, c + 2);
        add_chunks(sums, band, 1, 1, band.warp, kWarps);
#pragma unroll
        for (int u = 0; u < kChunk; ++u) band.parts[(band.warp * kChunk + u) * kPartPitch + band.lane] = sums[u];
        __syncthreads();  // the sums are there, and chunk c is in the image

        if (stands_for_a_pixel) {
            Scalar total = inverse * y;
#pragma unroll
            for (int w = 0; w < kWarps; ++w) total += band.parts[(w * kChunk + band.time) * kPartPitch + band.row];
            band.rhs[band.time * kPartPitch + band.row] = total;
        }
        y = y_later;
        band.slot = band.slot + 1 == band.ring_chunks ? 0 : band.slot + 1;
        __syncthreads();  // the right-hand side of chunk c + 1 is there
    }
    if (threadIdx.x == 0) store_release(progress, chunks);
}

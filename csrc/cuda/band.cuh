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

#include "band_windows.cuh"

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

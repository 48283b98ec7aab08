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
// Chunk by chunk, with the block's eight warps:
//
//     A   warp 0 solves chunk c, time after time: the only sequential part, with the 35 taps of a + b < 8.
//         warps 1-6 add to the sums of chunk c + 1 what comes from chunks before c.
//         warp 7 waits for the bands above and fetches the halo of chunk c + 1; it adds as well, then.
//     --- barrier
//     B   all warps: chunk c goes into the image, and its part into the sums of chunk c + 1.
//     --- barrier
//     C   all warps: right-hand side of chunk c + 1 = y + the eight warps' sums. Thread 0 publishes chunk c.
//     --- barrier
//
// Who waits for whom: the halo of chunk c is what the band above solves in its chunk c + 4 (32 lanes are 4 chunks), the
// band above that in its chunk c + 8. A band publishes the number of its finished chunks by a release after barrier B,
// when every thread has written; warp 7 of a lower band acquires it. Bands are handed out by a ticket, band after band
// over all images, so a band only ever waits for tickets drawn before its own, by blocks that run or ran: however few
// blocks fit on the device, somebody can go on. The order of every sum is fixed, so no schedule changes a bit.
#pragma once

#include "problem.cuh"
#include "toeplitz.cuh"

constexpr int kWarps = 8;
constexpr int kBandThreads = kWarps * kLanes;
static_assert(kWarps == kChunk, "in phases B and C warp w stands for time w of the chunk");

// The block's shared memory; deblur/ops/_cuda_problem.py computes its size.
struct Band {
    Scalar* ring;     // [chunk in the ring][time in the chunk][halo + lane]
    Scalar* weights;  // [a][kMargin zeros, taps, kMargin zeros], divided by minus the anchor
    Scalar* parts;    // [warp][time in the chunk][lane]: the warps' sums
    Scalar* rhs;      // [time in the chunk][lane]: right-hand side of the chunk to be solved next
    int* drawn;       // the ticket

    Image image;
    int index;  // of the band in its image
    int rows;   // of it that lie in the image, at most 32
    int taps_h, taps_w;
    int halo;   // rows above the band that the taps read
    int pitch;  // elements of one time in the ring
    int ring_chunks;
    int first_slot;    // a multiple of ring_chunks that keeps slots of early, negative chunks positive
    int weight_pitch;  // elements of one row of weights
    int warp, lane;

    DEBLUR_DEVICE bool contains(int column) const { return column >= 0 && column < image.width && lane < rows; }
    DEBLUR_DEVICE long long pixel(int row, int column) const {
        return image.first + row * image.row + column * image.column;
    }
    // This lane's value of the first time of chunk c - distance; 0 <= distance < ring_chunks.
    DEBLUR_DEVICE Scalar* chunk(int c, int distance = 0) const {
        const unsigned slot = unsigned(c - distance + first_slot) % unsigned(ring_chunks);
        return ring + slot * kChunk * pitch + halo + lane;
    }
    DEBLUR_DEVICE const Scalar* taps(int a) const { return weights + a * weight_pitch + kMargin; }
};

DEBLUR_DEVICE int last_distance(int a, int taps_w) { return (taps_w - 1 + a + kChunk - 1) / kChunk; }

DEBLUR_DEVICE Band band_of(const Problem& p, Scalar* shared) {
    Band band;
    band.warp = threadIdx.x / kLanes;
    band.lane = threadIdx.x % kLanes;
    band.taps_h = p.taps_h;
    band.taps_w = p.taps_w;
    band.halo = p.taps_h - 1;
    band.pitch = band.halo + kLanes;
    band.ring_chunks = last_distance(p.taps_h - 1, p.taps_w) + 1;
    band.first_slot = band.ring_chunks * (divide_up(band.halo, kChunk) + 2);
    band.weight_pitch = p.taps_w + 2 * kMargin;
    band.ring = shared;
    band.weights = band.ring + band.ring_chunks * kChunk * band.pitch;
    band.parts = band.weights + p.taps_h * band.weight_pitch;
    band.rhs = band.parts + kWarps * kChunk * kLanes;
    band.drawn = reinterpret_cast<int*>(band.rhs + kChunk * kLanes);
    return band;
}

// Zeros in the ring: they are the outside of the image (one whose edge is repeated comes as problems of this kind, see
// deblur/ops/_cuda_border.py). The taps, divided by minus the anchor, so that every product is added; a vanishing anchor gives NaN.
DEBLUR_DEVICE Scalar prepare(const Problem& p, const Band& band) {
    const int thread = threadIdx.x;
    for (int k = thread; k < band.ring_chunks * kChunk * band.pitch; k += kBandThreads) band.ring[k] = 0;
    for (int k = thread; k < kChunk * kLanes; k += kBandThreads) band.rhs[k] = 0;
    const Scalar* const weight = p.weight + band.image.group * p.weight_group;
    const Scalar anchor = weight[0];
    const Scalar inverse = anchor != 0 ? 1 / anchor : not_a_number();
    for (int k = thread; k < band.taps_h * band.weight_pitch; k += kBandThreads) {
        const int a = k / band.weight_pitch, b = k % band.weight_pitch - kMargin;
        const bool is_tap = b >= 0 && b < band.taps_w;
        band.weights[k] = is_tap ? -inverse * weight[a * p.weight_row + b * p.weight_column] : 0;
    }
    return inverse;
}

// Adds what the chunks `nearest` to `farthest` before `target` contribute to its sums, for every `stride`-th row of taps.
DEBLUR_DEVICE void add_chunks(Scalar (&sums)[kChunk], const Band& band, int target, int nearest, int farthest,
                              int first_row, int stride) {
    for (int a = first_row; a < band.taps_h; a += stride) {
        const int last = smaller(farthest, last_distance(a, band.taps_w));
        for (int distance = nearest; distance <= last; ++distance) {
            const int main = distance * kChunk - a;  // the tap b of equal places in both chunks
            if (main <= -kChunk) continue;           // all of it later than the target
            const Scalar* const source = band.chunk(target, distance) - a;
            const Scalar* const diagonals = band.taps(a) + main - (kChunk - 1);
            if (main >= kChunk - 1)
                add_block<true>(sums, source, band.pitch, diagonals, main);
            else
                add_block<false>(sums, source, band.pitch, diagonals, main);
        }
    }
}

// One chunk, time after time, by warp 0. Each solved value is pushed into the sums of the later times of the chunk, which
// every lane keeps in registers; `near` are the taps with a + b < kChunk.
DEBLUR_DEVICE void solve_chunk(const Band& band, int c, const Scalar (&near)[kChunk][kChunk]) {
    Scalar* const values = band.chunk(c);
    Scalar sums[kChunk];
#pragma unroll
    for (int u = 0; u < kChunk; ++u) sums[u] = band.rhs[u * kLanes + band.lane];
#pragma unroll
    for (int u = 0; u < kChunk; ++u) {
        Scalar* const now = values + u * band.pitch;
        *now = band.contains(c * kChunk + u - band.lane) ? sums[u] : 0;
        __syncwarp();  // the lanes below read it
#pragma unroll
        for (int a = 0; a < kChunk - u; ++a) {
            if (a <= band.halo) {
                const Scalar value = now[-a];
#pragma unroll
                for (int b = a == 0; a + b < kChunk - u; ++b) sums[u + a + b] += near[a][b] * value;
            }
        }
    }
}

// The halo of a chunk, by one warp: waits until the bands above have it in the image and copies it into the ring.
DEBLUR_DEVICE void fetch_halo(const Problem& p, const Band& band, int task, int c) {
    if (band.index == 0 || band.halo == 0) return;
    const int chunks = divide_up(band.image.width + kLanes - 1, kChunk);  // of a band with all its rows
    const int sources = smaller(band.index, divide_up(band.halo, kLanes));
    for (int k = 1 + band.lane; k <= sources; k += kLanes) {  // a lane for every band that is read
        const int* const progress = p.flags + 1 + task - k * p.images;
        const int needed = smaller(c + k * (kLanes / kChunk) + 1, chunks);
        while (load_acquire(progress) < needed) pause();
    }
    __syncwarp();  // what one lane has acquired is for all lanes
    Scalar* const values = band.chunk(c) - band.lane;
    for (int k = band.lane; k < band.halo * kChunk; k += kLanes) {
        const int up = k / kChunk + 1, u = k % kChunk;
        const int row = band.index * kLanes - up, column = c * kChunk + u + up;
        const bool inside = row >= 0 && column >= 0 && column < band.image.width;
        values[u * band.pitch - up] = inside ? p.x[band.pixel(row, column)] : 0;
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
    __syncthreads();

    Scalar near[kChunk][kChunk] = {};
    if (band.warp == 0) {
#pragma unroll
        for (int a = 0; a < kChunk; ++a)
#pragma unroll
            for (int b = 0; a + b < kChunk; ++b) near[a][b] = a < band.taps_h ? band.taps(a)[b] : 0;
    }

    const int row = band.index * kLanes + band.lane;
    const int first = -divide_up(band.halo, kChunk);  // halo rows have pixels at negative times
    const int chunks = divide_up(band.image.width + band.rows - 1, kChunk);
    for (int c = first - 1; c < chunks; ++c) {  // the first one solves nothing but zeros and fetches the halo
        const int time = (c + 1) * kChunk + band.warp;
        const Scalar y = band.contains(time - band.lane) ? p.y[band.pixel(row, time - band.lane)] : 0;

        Scalar sums[kChunk] = {};
        if (band.warp == 0) {
            solve_chunk(band, c, near);
        } else {
            if (band.warp == kWarps - 1) fetch_halo(p, band, task, c + 1);
            add_chunks(sums, band, c + 1, 2, band.ring_chunks, band.warp - 1, kWarps - 1);
        }
        __syncthreads();  // chunk c and the halo of chunk c + 1 are in the ring

        const int column = c * kChunk + band.warp - band.lane;
        if (band.contains(column)) p.x[band.pixel(row, column)] = band.chunk(c)[band.warp * band.pitch];
        add_chunks(sums, band, c + 1, 1, 1, band.warp, kWarps);
#pragma unroll
        for (int u = 0; u < kChunk; ++u) band.parts[(band.warp * kChunk + u) * kLanes + band.lane] = sums[u];
        __syncthreads();  // the sums are there, and chunk c is in the image

        if (threadIdx.x == 0 && c >= 0) store_release(p.flags + 1 + task, c + 1);
        Scalar total = inverse * y;
#pragma unroll
        for (int w = 0; w < kWarps; ++w) total += band.parts[(w * kChunk + band.warp) * kLanes + band.lane];
        band.rhs[band.warp * kLanes + band.lane] = total;
        __syncthreads();  // the right-hand side of chunk c + 1 is there
    }
}

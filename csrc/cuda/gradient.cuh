// The weight gradient with one channel per group:  dw[a, b] = sum over images and pixels of  g[i, j] x[i - a, j - b].
//
// Every tap is a sum over all pixels, so the image is cut into tiles and each block of threads sums over its share of
// them. A thread owns 8 taps of one row and keeps their sums in registers. For 8 pixels of g in a row and 8 taps that is
// again a Toeplitz block (toeplitz.cuh): 8 values of g and 15 of x serve 64 multiply-adds. x lies in shared memory with
// its columns reversed, since it is read backwards.
//
//     thread = slice * units + unit        unit:  row a and eight taps of it
//                                          slice: every slices-th of the tile's 64 groups of 8 pixels
//
// Slices are added up at the end, in order, and the blocks' sums by a second kernel, in order: the shares depend on the
// sizes alone, so the result is the same bit for bit on every run and every device.
#pragma once

#include "problem.cuh"
#include "toeplitz.cuh"

constexpr int kGradientThreads = 256;
constexpr int kTileRows = 8;
constexpr int kTileColumns = 64;
constexpr int kTileGroups = kTileRows * kTileColumns / kChunk;  // of 8 pixels

// The block's part of the work and its shared memory; deblur/ops/_cuda/plan.py computes the sizes.
struct Share {
    int group, pass, part;  // which group, which kGradientThreads units, which tiles
    int octets;             // eights of taps in a row
    int units;              // of this pass
    int slices;
    int pitch;     // of a row of x
    Scalar* grad;  // [kTileRows][kTileColumns]
    Scalar* x;     // [kTileRows + taps_h - 1][pitch], columns reversed
};

DEBLUR_DEVICE Share share_of(const Problem& p, Scalar* shared) {
    Share share;
    share.part = blockIdx.x % p.parts;
    share.octets = divide_up(p.taps_w, kChunk);
    const int all_units = p.taps_h * share.octets, passes = divide_up(all_units, kGradientThreads);
    share.pass = blockIdx.x / p.parts % passes;
    share.group = blockIdx.x / p.parts / passes;
    share.units = smaller(kGradientThreads, all_units - share.pass * kGradientThreads);
    share.slices = kGradientThreads / share.units;
    share.pitch = (kTileColumns + share.octets * kChunk) | 1;  // odd: rows start in different banks
    share.grad = shared;
    share.x = shared + kTileRows * kTileColumns;
    return share;
}

// Copies the tile at (top, left) of an image, zeros beyond it, and the part of x that its taps reach.
DEBLUR_DEVICE void load_tile(const Problem& p, const Share& share, const Image& image, int top, int left) {
    for (int k = threadIdx.x; k < kTileRows * kTileColumns; k += kGradientThreads) {
        const int i = top + k / kTileColumns, j = left + k % kTileColumns;
        const bool in_image = i < image.height && j < image.width;
        share.grad[k] = in_image ? p.y[image.first + i * image.row + j * image.column] : 0;
    }
    for (int k = threadIdx.x; k < (kTileRows + p.taps_h - 1) * share.pitch; k += kGradientThreads) {
        const int i = top - (p.taps_h - 1) + k / share.pitch, j = left + kTileColumns - 1 - k % share.pitch;
        const bool in_image = i >= 0 && i < image.height && j >= 0 && j < image.width;
        share.x[k] = in_image ? p.x[image.first + i * image.row + j * image.column] : 0;
    }
}

DEBLUR_KERNEL(deblur_weight_gradient, kGradientThreads) {
    const Problem& p = problem;
    DEBLUR_SHARED_MEMORY(shared);
    const Share share = share_of(p, shared);
    const int phases = p.dilation_h * p.dilation_w;
    const int tiles_down = divide_up(divide_up(p.height, p.dilation_h), kTileRows);
    const int tiles_across = divide_up(divide_up(p.width, p.dilation_w), kTileColumns);
    const int unit = threadIdx.x % share.units, slice = threadIdx.x / share.units;
    const int a = (share.pass * kGradientThreads + unit) / share.octets;
    const int first_tap = (share.pass * kGradientThreads + unit) % share.octets * kChunk;  // of this thread's taps

    Scalar sums[kChunk] = {};
    const long long tiles = (long long)p.batch * phases * tiles_down * tiles_across;
    for (long long tile = share.part; tile < tiles; tile += p.parts) {
        const int frame = int(tile / tiles_across / tiles_down / phases),
                  phase = int(tile / tiles_across / tiles_down % phases);
        const Image image = image_of(p, (frame * p.groups + share.group) * phases + phase);
        __syncthreads();  // the tile before is done with
        load_tile(p, share, image, int(tile / tiles_across % tiles_down) * kTileRows,
                  int(tile % tiles_across) * kTileColumns);
        __syncthreads();  // the tile is there
        for (int k = slice; k < kTileGroups && slice < share.slices; k += share.slices) {
            const int i = k / (kTileColumns / kChunk), j = k % (kTileColumns / kChunk) * kChunk;
            // x of column j - first + 7, and the 14 columns before it
            const Scalar* const x =
                share.x + (i + p.taps_h - 1 - a) * share.pitch + kTileColumns - kChunk - j + first_tap;
            Scalar grad[kChunk], values[2 * kChunk];
#pragma unroll
            for (int n = 0; n < kChunk; ++n) grad[n] = share.grad[i * kTileColumns + j + n];
#pragma unroll
            for (int n = 0; n < 2 * kChunk - 1; ++n) values[n] = x[n];
            add_diagonals<1 - kChunk>(sums, grad, values);
        }
    }

    __syncthreads();  // shared memory now holds the sums, [slice][unit][tap of the unit]
    if (slice < share.slices)
        for (int k = 0; k < kChunk; ++k) shared[threadIdx.x * kChunk + k] = sums[k];
    __syncthreads();
    for (int k = threadIdx.x; k < share.units * kChunk; k += kGradientThreads) {
        const int row = (share.pass * kGradientThreads + k / kChunk) / share.octets;
        const int column = (share.pass * kGradientThreads + k / kChunk) % share.octets * kChunk + k % kChunk;
        if (column >= p.taps_w) continue;
        Scalar sum = 0;
        for (int n = 0; n < share.slices; ++n) sum += shared[n * share.units * kChunk + k];
        const long long index = (long long)share.group * p.parts + share.part;
        p.partial[(index * p.taps_h + row) * p.taps_w + column] = sum;
    }
}

// The parts of every tap, added up in order; a thread for a tap.
DEBLUR_KERNEL(deblur_sum_parts, kGradientThreads) {
    const Problem& p = problem;
    const int taps = p.taps_h * p.taps_w;
    const int index = blockIdx.x * kGradientThreads + threadIdx.x;
    if (index >= p.groups * taps) return;
    const int group = index / taps, tap = index % taps;
    const Scalar* const partial = p.partial + (long long)group * p.parts * taps + tap;
    Scalar sum = 0;
    for (int k = 0; k < p.parts; ++k) sum += partial[(long long)k * taps];
    p.gradient[group * p.weight_group + tap / p.taps_w * p.weight_row + tap % p.taps_w * p.weight_column] = sum;
}

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

// The block's part of the work and its shared memory; deblur/ops/_cuda_problem.py computes the sizes.
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
    Share s;
    s.part = blockIdx.x % p.parts;
    s.octets = divide_up(p.taps_w, kChunk);
    const int all_units = p.taps_h * s.octets, passes = divide_up(all_units, kGradientThreads);
    s.pass = blockIdx.x / p.parts % passes;
    s.group = blockIdx.x / p.parts / passes;
    s.units = smaller(kGradientThreads, all_units - s.pass * kGradientThreads);
    s.slices = kGradientThreads / s.units;
    s.pitch = (kTileColumns + s.octets * kChunk) | 1;  // odd: rows start in different banks
    s.grad = shared;
    s.x = shared + kTileRows * kTileColumns;
    return s;
}

// Copies the tile at (top, left) of an image, zeros beyond it, and the part of x that its taps reach.
DEBLUR_DEVICE void load_tile(const Problem& p, const Share& s, const Image& image, int top, int left) {
    for (int k = threadIdx.x; k < kTileRows * kTileColumns; k += kGradientThreads) {
        const int i = top + k / kTileColumns, j = left + k % kTileColumns;
        const bool inside = i < image.height && j < image.width;
        s.grad[k] = inside ? p.y[image.first + i * image.row + j * image.column] : 0;
    }
    for (int k = threadIdx.x; k < (kTileRows + p.taps_h - 1) * s.pitch; k += kGradientThreads) {
        const int i = top - (p.taps_h - 1) + k / s.pitch, j = left + kTileColumns - 1 - k % s.pitch;
        const bool inside = i >= 0 && i < image.height && j >= 0 && j < image.width;
        s.x[k] = inside ? p.x[image.first + i * image.row + j * image.column] : 0;
    }
}

DEBLUR_KERNEL(deblur_weight_gradient, kGradientThreads) {
    const Problem& p = problem;
    DEBLUR_SHARED_MEMORY(shared);
    const Share s = share_of(p, shared);
    const int phases = p.dilation_h * p.dilation_w;
    const int down = divide_up(divide_up(p.height, p.dilation_h), kTileRows);
    const int across = divide_up(divide_up(p.width, p.dilation_w), kTileColumns);
    const int unit = threadIdx.x % s.units, slice = threadIdx.x / s.units;
    const int a = (s.pass * kGradientThreads + unit) / s.octets;
    const int first = (s.pass * kGradientThreads + unit) % s.octets * kChunk;  // of this thread's taps

    Scalar sums[kChunk] = {};
    const long long tiles = (long long)p.batch * phases * down * across;
    for (long long tile = s.part; tile < tiles; tile += p.parts) {
        const int frame = int(tile / across / down / phases), phase = int(tile / across / down % phases);
        const Image image = image_of(p, (frame * p.groups + s.group) * phases + phase);
        __syncthreads();  // the tile before is done with
        load_tile(p, s, image, int(tile / across % down) * kTileRows, int(tile % across) * kTileColumns);
        __syncthreads();  // the tile is there
        for (int k = slice; k < kTileGroups && slice < s.slices; k += s.slices) {
            const int i = k / (kTileColumns / kChunk), j = k % (kTileColumns / kChunk) * kChunk;
            // x of column j - first + 7, and the 14 columns before it
            const Scalar* const x = s.x + (i + p.taps_h - 1 - a) * s.pitch + kTileColumns - kChunk - j + first;
            Scalar grad[kChunk], values[2 * kChunk];
#pragma unroll
            for (int n = 0; n < kChunk; ++n) grad[n] = s.grad[i * kTileColumns + j + n];
#pragma unroll
            for (int n = 0; n < 2 * kChunk - 1; ++n) values[n] = x[n];
            add_diagonals<1 - kChunk>(sums, grad, values);
        }
    }

    __syncthreads();  // shared memory now holds the sums, [slice][unit][tap of the unit]
    if (slice < s.slices)
        for (int k = 0; k < kChunk; ++k) shared[threadIdx.x * kChunk + k] = sums[k];
    __syncthreads();
    for (int k = threadIdx.x; k < s.units * kChunk; k += kGradientThreads) {
        const int row = (s.pass * kGradientThreads + k / kChunk) / s.octets;
        const int column = (s.pass * kGradientThreads + k / kChunk) % s.octets * kChunk + k % kChunk;
        if (column >= p.taps_w) continue;
        Scalar sum = 0;
        for (int n = 0; n < s.slices; ++n) sum += shared[n * s.units * kChunk + k];
        const long long place = (long long)s.group * p.parts + s.part;
        p.partial[(place * p.taps_h + row) * p.taps_w + column] = sum;
    }
}

// The parts of every tap, added up in order; a thread for a tap.
DEBLUR_KERNEL(deblur_sum_parts, kGradientThreads) {
    const Problem& p = problem;
    const int taps = p.taps_h * p.taps_w;
    const int place = blockIdx.x * kGradientThreads + threadIdx.x;
    if (place >= p.groups * taps) return;
    const int group = place / taps, tap = place % taps;
    const Scalar* const partial = p.partial + (long long)group * p.parts * taps + tap;
    Scalar sum = 0;
    for (int k = 0; k < p.parts; ++k) sum += partial[(long long)k * taps];
    p.gradient[group * p.weight_group + tap / p.taps_w * p.weight_row + tap % p.taps_w * p.weight_column] = sum;
}

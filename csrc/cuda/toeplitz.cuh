// What a chunk of finished times adds to a chunk of later ones, along one row of taps.
//
// Row a of the taps is a one-dimensional filter: the value of row l - a at time t' goes with tap b = t - a - t' into the
// sum of time t. Between kChunk source times and kChunk target times that is a Toeplitz matrix, 15 weights on its
// diagonals for 64 multiply-adds, so 23 loads serve 64 of them:
//
//                source time s
//                0   1   2 ...
//     target 0   w0  w-1 w-2           w[k] = tap (a, first + k),  k = u - s
//     time u 1   w1  w0  w-1
//            2   w2  w1  w0
#pragma once

#include "dev.cuh"

constexpr int kChunk = 8;                // times of a chunk
constexpr int kMargin = 2 * kChunk - 2;  // zeros beside each row of taps, so that every diagonal can be loaded

// `source` points at this lane's value of the first source time, `pitch` apart from the next; `weight` holds the diagonals
// from the lowest one on, k = -7; `first` is the tap index of the main diagonal. With kWhole all 15 diagonals are taps or
// zeros beyond the last tap. Otherwise those with a negative index are left out, not multiplied by zero: their source does
// not belong to the pixel's past, and a NaN there must not reach it. The question is the same for the whole warp.
template <bool kWhole>
DEBLUR_DEVICE void add_block(Scalar (&sums)[kChunk], const Scalar* source, int pitch,
                             const Scalar (&weight)[2 * kChunk], int first) {
    Scalar value[kChunk];
#pragma unroll
    for (int s = 0; s < kChunk; ++s) value[s] = source[s * pitch];
#pragma unroll
    for (int k = 1 - kChunk; k < kChunk; ++k) {
        if (!kWhole && first + k < 0) continue;
#pragma unroll
        for (int u = k < 0 ? 0 : k; u < (k < 0 ? kChunk + k : kChunk); ++u) sums[u] += weight[k + kChunk - 1] * value[u - k];
    }
}

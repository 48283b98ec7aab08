// What a window of kChunk finished times adds to a chunk of later ones, along one row of taps.
//
// Row a of the taps is a one-dimensional filter: the value of row l - a at time t' goes with tap b = t - a - t' into the
// sum of time t. Between kChunk source times and kChunk target times that is a Toeplitz matrix, 15 weights on its
// diagonals for 64 multiply-adds, so 23 values serve 64 of them:
//
//                source time s
//                0   1   2 ...
//     target 0   w0  w-1 w-2           w[k] = tap (a, first + k),  k = u - s
//     time u 1   w1  w0  w-1
//            2   w2  w1  w0
//
// In the nearest window, first = 0, and what is above the diagonal is no tap: a value there is not in the pixel's past. It
// is left out, not multiplied by zero: a NaN there must not reach the sum.
#pragma once

#include "dev.cuh"

constexpr int kChunk = 8;  // times of a chunk

// `value` by source time; weight[kChunk - 1 + k] is diagonal k. Diagonals below kLowest are left out: those from 0 on are
// the nearest window, those from 1 - kChunk on a whole one.
template <int kLowest>
DEBLUR_DEVICE void add_diagonals(Scalar (&sums)[kChunk], const Scalar (&value)[kChunk],
                                 const Scalar (&weight)[2 * kChunk]) {
#pragma unroll
    for (int k = kLowest; k < kChunk; ++k)
#pragma unroll
        for (int u = k < 0 ? 0 : k; u < (k < 0 ? kChunk + k : kChunk); ++u)
            sums[u] += weight[kChunk - 1 + k] * value[u - k];
}

// Several channels in a group: what is done once, before the recursion.
//
// The anchor D, a matrix over the channels of a group, is inverted and multiplied into everything else:
//
//     x[p] = D^-1 y[p]  -  sum over taps (a, b) other than the anchor of  (D^-1 w[a, b]) x[p - (a, b)]
//
// so that the recursion has one product and one barrier per wavefront, and no loop over channels depends on itself.
#pragma once

#include "problem.cuh"

constexpr int kFoldThreads = 256;
constexpr int kInvertThreads = 512;
constexpr int kQuad = 4;  // channels that are loaded together

// In alignas(16), not 32: a quad of doubles is two loads of 16 bytes.
struct alignas(16) Quad {
    Scalar of[kQuad];
};

constexpr Scalar kEpsilon = sizeof(Scalar) == 4 ? Scalar(1.1920929e-7) : Scalar(2.220446049250313e-16);

DEBLUR_DEVICE Scalar magnitude(Scalar value) { return value < 0 ? -value : value; }

// The largest |first[k * step]| of k = begin, ..., count - 1 and the first place where it stands, by the 32 lanes of a
// warp together; every lane gets the answer. A NaN is never the largest.
struct Largest {
    Scalar value;
    int place;
};

DEBLUR_DEVICE Largest largest_of(const Scalar* first, int step, int begin, int count) {
    const int lane = threadIdx.x % kLanes;
    Largest best = {Scalar(-1), count};
    for (int k = begin + lane; k < count; k += kLanes) {
        const Scalar value = magnitude(first[k * step]);
        if (value > best.value) best = {value, k};
    }
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
        const Scalar value = __shfl_xor_sync(0xffffffffu, best.value, distance);
        const int place = __shfl_xor_sync(0xffffffffu, best.place, distance);
        if (value > best.value || (value == best.value && place < best.place)) best = {value, place};
    }
    return best;
}

// The inverse of every group's anchor, by Gauss-Jordan elimination in place with row exchanges; a block for each group.
// It works on D^T, so that inverse[k][o], which the kernels below read along o, is entry (o, k) of D^-1.
//
// First every column and then every row is scaled to maximum 1. A pivot that vanishes after that, up to rounding, means
// that D has no inverse, by the same rule as on the CPU; here the result becomes NaN, as nobody can be told.
DEBLUR_KERNEL(deblur_invert_anchors, kInvertThreads) {
    const Problem& p = problem;
    const int n = p.channels, thread = threadIdx.x, threads = blockDim.x, warp = thread / kLanes;
    DEBLUR_SHARED_MEMORY(shared);
    Scalar* const row_scale = shared;
    Scalar* const column_scale = row_scale + n;
    Scalar* const factors = column_scale + n;  // column k as it was before step k
    int* const exchanged = reinterpret_cast<int*>(factors + n);
    Scalar* const matrix = p.inverse + (long long)blockIdx.x * n * n;
    const Scalar* const weight = p.weight + blockIdx.x * p.weight_group;

    for (int k = thread; k < n * n; k += threads) matrix[k] = weight[k % n * p.weight_out + k / n * p.weight_in];
    __syncthreads();
    // The transposed matrix: its rows are D's columns.
    for (int k = warp; k < n; k += threads / kLanes) {
        const Scalar most = largest_of(matrix + k * n, 1, 0, n).value, scale = most > 0 ? 1 / most : 1;
        if (thread % kLanes == 0) row_scale[k] = scale;
    }
    __syncthreads();
    for (int k = thread; k < n * n; k += threads) matrix[k] *= row_scale[k / n];
    __syncthreads();
    for (int k = warp; k < n; k += threads / kLanes) {
        const Scalar most = largest_of(matrix + k, n, 0, n).value, scale = most > 0 ? 1 / most : 1;
        if (thread % kLanes == 0) column_scale[k] = scale;
    }
    __syncthreads();
    for (int k = thread; k < n * n; k += threads) matrix[k] *= column_scale[k % n];
    __syncthreads();

    for (int k = 0; k < n; ++k) {
        if (warp == 0) {
            const int place = largest_of(matrix + k, n, k, n).place;
            if (thread == 0) exchanged[k] = smaller(place, n - 1);  // a column of NaN has no largest
        }
        __syncthreads();
        const int other = exchanged[k];
        for (int j = thread; j < n; j += threads) {
            const Scalar here = matrix[k * n + j];
            matrix[k * n + j] = matrix[other * n + j];
            matrix[other * n + j] = here;
        }
        __syncthreads();
        for (int i = thread; i < n; i += threads) factors[i] = matrix[i * n + k];
        __syncthreads();
        const bool singular = magnitude(factors[k]) <= kEpsilon * n;
        const Scalar pivot = singular ? not_a_number() : 1 / factors[k];
        for (int j = thread; j < n; j += threads) matrix[k * n + j] = j == k ? pivot : pivot * matrix[k * n + j];
        __syncthreads();
        for (int m = thread; m < n * n; m += threads) {
            const int i = m / n, j = m % n;
            if (i != k) matrix[m] = (j == k ? 0 : matrix[m]) - factors[i] * matrix[k * n + j];
        }
        __syncthreads();
    }
    for (int k = n - 1; k >= 0; --k) {  // exchanging rows of a matrix exchanges columns of its inverse
        const int other = exchanged[k];
        for (int i = thread; i < n; i += threads) {
            const Scalar here = matrix[i * n + k];
            matrix[i * n + k] = matrix[i * n + other];
            matrix[i * n + other] = here;
        }
        __syncthreads();
    }
    for (int k = thread; k < n * n; k += threads) matrix[k] *= column_scale[k / n] * row_scale[k % n];
}

// -D^-1 w[a, b] for every tap but the anchor, as the recursion reads it: [group][tap - 1][quad of i][o], in quads of
// input channels with zeros behind the last one. A thread for every quad.
DEBLUR_KERNEL(deblur_fold_taps, kFoldThreads) {
    const Problem& p = problem;
    const int n = p.channels, quads = p.padded / kQuad, taps = p.taps_h * p.taps_w - 1;
    const long long place = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= (long long)p.groups * taps * quads * n) return;
    const int o = int(place % n), quad = int(place / n % quads), tap = 1 + int(place / n / quads % taps);
    const int group = int(place / n / quads / taps);
    const Scalar* const inverse = p.inverse + (long long)group * n * n;
    const Scalar* const weight =
        p.weight + group * p.weight_group + tap / p.taps_w * p.weight_row + tap % p.taps_w * p.weight_column;
    Quad folded = {};
    for (int q = 0; q < kQuad; ++q) {
        const int i = quad * kQuad + q;
        if (i >= n) break;
        for (int k = 0; k < n; ++k) folded.of[q] -= inverse[k * n + o] * weight[k * p.weight_out + i * p.weight_in];
    }
    reinterpret_cast<Quad*>(p.folded)[place] = folded;
}

// x = D^-1 y, pixel by pixel: where the recursion starts from. A thread for a pixel and a quad of output channels;
// neighbouring threads have neighbouring pixels.
DEBLUR_KERNEL(deblur_apply_anchors, kFoldThreads) {
    const Problem& p = problem;
    const int n = p.channels, quads = p.padded / kQuad;
    const long long pixels = (long long)p.height * p.width;
    const long long place = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= pixels * quads * p.groups * p.batch) return;
    const long long pixel = place % pixels;
    const int first = int(place / pixels % quads) * kQuad, group = int(place / pixels / quads % p.groups);
    const int frame = int(place / pixels / quads / p.groups);
    const long long offset = frame * p.frame_step + (long long)group * n * p.channel_step + pixel;
    const Scalar* const inverse = p.inverse + (long long)group * n * n + first;
    const int count = smaller(kQuad, n - first);
    Quad sums = {};
    for (int k = 0; k < n; ++k) {
        const Scalar value = p.y[offset + k * p.channel_step];
#pragma unroll
        for (int q = 0; q < kQuad; ++q)
            if (q < count) sums.of[q] += inverse[k * n + q] * value;
    }
#pragma unroll
    for (int q = 0; q < kQuad; ++q)
        if (q < count) p.x[offset + (first + q) * p.channel_step] = sums.of[q];
}

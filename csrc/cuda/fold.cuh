// Several channels in a group: what is done once, before the recursion.
//
// The anchor D, a matrix over the channels of a group, is inverted and multiplied into everything else:
//
//     x[p] = D^-1 y[p]  -  sum over taps (a, b) other than the anchor of  (D^-1 w[a, b]) x[p - (a, b)]
//
// so that the recursion has one product per wavefront, and no loop over channels depends on itself.
#pragma once

#include "problem.cuh"

constexpr int kFoldThreads = 256;
constexpr int kInvertThreads = 384;
constexpr int kMaxColumns = sizeof(Scalar) == 4 ? 6 : 3;  // of 32 channels, that an elimination has registers for
constexpr Scalar kEpsilon = sizeof(Scalar) == 4 ? Scalar(1.1920929e-7) : Scalar(2.220446049250313e-16);

DEBLUR_DEVICE Scalar magnitude(Scalar value) { return value < 0 ? -value : value; }

// The largest scale[k] |first[k * step]| of k < count, by the 32 lanes of a warp together; every lane gets the answer. A
// NaN counts as 0.
DEBLUR_DEVICE Scalar largest_of(const Scalar* first, int step, int count, const Scalar* scale) {
    Scalar best = 0;
    for (int k = threadIdx.x % kLanes; k < count; k += kLanes) {
        const Scalar value = scale[k] * magnitude(first[k * step]);
        if (value > best) best = value;
    }
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
        const Scalar value = __shfl_xor_sync(0xffffffffu, best, distance);
        if (value > best) best = value;
    }
    return best;
}

// The first index of the largest |column[k]| among those with rank[k] = count, likewise.
DEBLUR_DEVICE int index_of_largest(const Scalar* column, int count, const int* rank) {
    Scalar best = -1;
    int best_index = count;
    for (int k = threadIdx.x % kLanes; k < count; k += kLanes) {
        const Scalar size = magnitude(column[k]), value = size == size ? size : 0;
        if (rank[k] == count && value > best) best = value, best_index = k;
    }
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
        const Scalar value = __shfl_xor_sync(0xffffffffu, best, distance);
        const int other = __shfl_xor_sync(0xffffffffu, best_index, distance);
        if (value > best || (value == best && other < best_index)) best = value, best_index = other;
    }
    return best_index;
}

// Shared memory of an elimination; deblur/ops/_cuda/plan.py computes its size.
struct Elimination {
    Scalar *row_scale, *column_scale;
    Scalar* columns;  // column k as it was before step k, of this step and of the last
    Scalar* row;      // the pivot's, after the division by it
    int* rank;        // row -> step in which it was the pivot's; n before
    int* order;       // step -> row of its pivot
};

// A thread's entries of an n x n matrix: rows warp, warp + warps, ... and columns lane, lane + 32, ... In registers, or,
// where there are too many, in memory.
template <int kColumns>
struct Entries {
    static constexpr int kRows = divide_up(kColumns * kLanes, kInvertThreads / kLanes);
    Scalar held[kRows][kColumns], pivot_row[kColumns];
    DEBLUR_DEVICE Entries(const Elimination& e, Scalar* matrix, int n) {
#pragma unroll
        for (int r = 0; r < kRows; ++r)
#pragma unroll
            for (int c = 0; c < kColumns; ++c) {
                const int i = threadIdx.x / kLanes + r * (blockDim.x / kLanes), j = threadIdx.x % kLanes + c * kLanes;
                held[r][c] = i < n && j < n ? matrix[i * n + j] * e.row_scale[i] * e.column_scale[j] : 0;
            }
    }
    DEBLUR_DEVICE int rows() const { return kRows; }
    DEBLUR_DEVICE int columns() const { return kColumns; }
    DEBLUR_DEVICE Scalar& entry(int r, int c) { return held[r][c]; }
    DEBLUR_DEVICE Scalar pivot_entry(int c) const { return pivot_row[c]; }
    DEBLUR_DEVICE void read_pivot_row(const Scalar* row, int n) {
#pragma unroll
        for (int c = 0; c < kColumns; ++c) pivot_row[c] = row[smaller(threadIdx.x % kLanes + c * kLanes, n - 1)];
    }
};

template <>
struct Entries<0> {
    Scalar* matrix;
    const Scalar* pivot_row;
    int n;
    DEBLUR_DEVICE Entries(const Elimination& e, Scalar* matrix, int n) : matrix(matrix), n(n) {
        for (int r = 0; r < rows(); ++r)
            for (int c = 0; c < columns(); ++c)
                entry(r, c) *= e.row_scale[threadIdx.x / kLanes + r * (blockDim.x / kLanes)] *
                               e.column_scale[threadIdx.x % kLanes + c * kLanes];
    }
    DEBLUR_DEVICE int rows() const { return divide_up(n - int(threadIdx.x / kLanes), blockDim.x / kLanes); }
    DEBLUR_DEVICE int columns() const { return divide_up(n - int(threadIdx.x % kLanes), kLanes); }
    DEBLUR_DEVICE Scalar& entry(int r, int c) {
        return matrix[(threadIdx.x / kLanes + r * (blockDim.x / kLanes)) * n + threadIdx.x % kLanes + c * kLanes];
    }
    DEBLUR_DEVICE Scalar pivot_entry(int c) const { return pivot_row[c * kLanes]; }
    DEBLUR_DEVICE void read_pivot_row(const Scalar* row, int) { pivot_row = row + threadIdx.x % kLanes; }
};

// Gauss-Jordan elimination in place: step k exchanges unknown k for the right-hand side of the row with the largest entry
// in column k among those not yet taken. No row moves: x[k] = sum over m of matrix[order[k]][m] y[order[m]] at the end.
template <int kColumns>
DEBLUR_DEVICE void eliminate(const Elimination& e, Scalar* matrix, Scalar* inverse, int n) {
    const int warps = blockDim.x / kLanes, warp = threadIdx.x / kLanes, lane = threadIdx.x % kLanes;
    Entries<kColumns> entries(e, matrix, n);
    for (int k = 0; k < n; ++k) {
        Scalar* const column = e.columns + k % 2 * n;
#pragma unroll
        for (int c = 0; c < entries.columns(); ++c) {
            if (lane + c * kLanes != k) continue;
#pragma unroll
            for (int r = 0; r < entries.rows(); ++r) {
                if (warp + r * warps < n) column[warp + r * warps] = entries.entry(r, c);
                entries.entry(r, c) = 0;
            }
        }
        __syncthreads();  // the column is there

        const int pivot_index = index_of_largest(column, n, e.rank);  // every warp finds it for itself
        const Scalar pivot = magnitude(column[pivot_index]) <= kEpsilon * n ? not_a_number() : 1 / column[pivot_index];
#pragma unroll
        for (int r = 0; r < entries.rows(); ++r) {
            if (warp + r * warps != pivot_index) continue;
#pragma unroll
            for (int c = 0; c < entries.columns(); ++c) {
                const int j = lane + c * kLanes;
                entries.entry(r, c) = j == k ? pivot : pivot * entries.entry(r, c);
                if (j < n) e.row[j] = entries.entry(r, c);
            }
        }
        __syncthreads();  // the pivot's row is there, and everyone knows the pivot

        if (threadIdx.x == 0) e.rank[pivot_index] = k, e.order[k] = pivot_index;
        entries.read_pivot_row(e.row, n);
#pragma unroll
        for (int r = 0; r < entries.rows(); ++r) {
            const int i = warp + r * warps;
            const Scalar factor = i < n && i != pivot_index ? column[i] : 0;
#pragma unroll
            for (int c = 0; c < entries.columns(); ++c) entries.entry(r, c) -= factor * entries.pivot_entry(c);
        }
    }
    __syncthreads();  // the last step's rank is there
#pragma unroll
    for (int r = 0; r < entries.rows(); ++r)
#pragma unroll
        for (int c = 0; c < entries.columns(); ++c) {
            const int i = warp + r * warps, j = lane + c * kLanes;
            if (i >= n || j >= n) continue;
            const int to = e.rank[i], from = e.order[j];
            inverse[to * n + from] = entries.entry(r, c) * e.column_scale[to] * e.row_scale[from];
        }
}

// The inverse of every group's anchor; a block for each group. It works on D^T, in the second half of the buffer, so that
// inverse[k][o], which the kernels below read along o, is entry (o, k) of D^-1.
//
// First every column and then every row is scaled to maximum 1. A pivot that vanishes after that, up to rounding, means
// that D has no inverse, by the same rule as on the CPU; here the result becomes NaN, as nobody can be told.
DEBLUR_KERNEL(deblur_invert_anchors, kInvertThreads) {
    const Problem& p = problem;
    const int n = p.channels, thread = threadIdx.x, threads = blockDim.x, warp = thread / kLanes;
    DEBLUR_SHARED_MEMORY(shared);
    Elimination e;
    e.row_scale = shared;
    e.column_scale = shared + n;
    e.columns = shared + 2 * n;
    e.row = shared + 4 * n;
    e.rank = reinterpret_cast<int*>(shared + 5 * n);
    e.order = e.rank + n;
    Scalar* const inverse = p.inverse + (long long)blockIdx.x * n * n;
    Scalar* const matrix = inverse + (long long)p.groups * n * n;
    const Scalar* const weight = p.weight + blockIdx.x * p.weight_group;

    for (int k = thread; k < n; k += threads) e.rank[k] = n, e.column_scale[k] = 1;
#pragma unroll 4
    for (int k = thread; k < n * n; k += threads) matrix[k] = weight[k % n * p.weight_out + k / n * p.weight_in];
    __syncthreads();
    // The transposed matrix: its rows are D's columns.
    for (int k = warp; k < n; k += threads / kLanes) {
        const Scalar norm = largest_of(matrix + k * n, 1, n, e.column_scale);
        if (thread % kLanes == 0) e.row_scale[k] = norm > 0 ? 1 / norm : 1;
    }
    __syncthreads();
    for (int k = warp; k < n; k += threads / kLanes) {
        const Scalar norm = largest_of(matrix + k, n, n, e.row_scale);
        if (thread % kLanes == 0) e.column_scale[k] = norm > 0 ? 1 / norm : 1;
    }
    __syncthreads();

    if (n <= 2 * kLanes)
        eliminate<2>(e, matrix, inverse, n);
    else if (n <= 3 * kLanes)
        eliminate<3>(e, matrix, inverse, n);
    else if (n <= kMaxColumns * kLanes)
        eliminate<kMaxColumns>(e, matrix, inverse, n);
    else
        eliminate<0>(e, matrix, inverse, n);
}

// -D^-1 w[a, b] for every tap but the anchor, as the recursion reads it: [group][tap - 1][quad of i][o], in quads of
// input channels with zeros behind the last one. A thread for every quad.
DEBLUR_KERNEL(deblur_fold_taps, kFoldThreads) {
    const Problem& p = problem;
    const int n = p.channels, quads = p.padded / kQuad, taps = p.taps_h * p.taps_w - 1;
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (long long)p.groups * taps * quads * n) return;
    const int o = int(index % n), quad = int(index / n % quads), tap = 1 + int(index / n / quads % taps);
    const int group = int(index / n / quads / taps);
    const Scalar* const inverse = p.inverse + (long long)group * n * n;
    const Scalar* const weight =
        p.weight + group * p.weight_group + tap / p.taps_w * p.weight_row + tap % p.taps_w * p.weight_column;
    long long column[kQuad];
#pragma unroll
    for (int q = 0; q < kQuad; ++q) column[q] = smaller(quad * kQuad + q, n - 1) * p.weight_in;
    Quad folded = {};
#pragma unroll 4
    for (int k = 0; k < n; ++k) {
        const Scalar factor = inverse[k * n + o];
#pragma unroll
        for (int q = 0; q < kQuad; ++q) folded.v[q] -= factor * weight[k * p.weight_out + column[q]];
    }
#pragma unroll
    for (int q = 0; q < kQuad; ++q)
        if (quad * kQuad + q >= n) folded.v[q] = 0;
    reinterpret_cast<Quad*>(p.folded)[index] = folded;
}

// x = D^-1 y: where the recursion starts from. A thread for a quad of output channels of four pixels; neighbouring threads
// have neighbouring pixels, and a thread's own are a quarter of the frame apart.
DEBLUR_KERNEL(deblur_apply_anchors, kFoldThreads) {
    const Problem& p = problem;
    const int n = p.channels, quads = p.padded / kQuad;
    const long long pixels = (long long)p.height * p.width, step = (pixels + kQuad - 1) / kQuad;
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= step * quads * p.groups * p.batch) return;
    const long long pixel = index % step;
    const int first = int(index / step % quads) * kQuad, group = int(index / step / quads % p.groups);
    const int frame = int(index / step / quads / p.groups);
    const long long offset = frame * p.frame_step + (long long)group * n * p.channel_step + pixel;
    const Scalar* const inverse = p.inverse + (long long)group * n * n + first;
    const int count = smaller(kQuad, n - first), present = int((pixels - pixel + step - 1) / step);
    int output[kQuad];
    long long pixel_offset[kQuad];  // those beyond the last are computed in vain
#pragma unroll
    for (int q = 0; q < kQuad; ++q) output[q] = smaller(q, count - 1), pixel_offset[q] = smaller(q, present - 1) * step;
    Quad sums[kQuad] = {};
#pragma unroll 2
    for (int k = 0; k < n; ++k) {
        const Scalar* const y = p.y + offset + k * p.channel_step;
        Quad factor, value;
#pragma unroll
        for (int q = 0; q < kQuad; ++q) factor.v[q] = inverse[k * n + output[q]], value.v[q] = y[pixel_offset[q]];
#pragma unroll
        for (int m = 0; m < kQuad; ++m)
#pragma unroll
            for (int q = 0; q < kQuad; ++q) sums[m].v[q] += factor.v[q] * value.v[m];
    }
#pragma unroll
    for (int m = 0; m < kQuad; ++m)
#pragma unroll
        for (int q = 0; q < kQuad; ++q)
            if (q < count && m < present) p.x[offset + (first + q) * p.channel_step + m * step] = sums[m].v[q];
}

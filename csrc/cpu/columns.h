// The arithmetic of one column: in every lane the `rows` pixels of its strip, from columns and rows that are finished.
//
// One channel. Eight rows of the column are eight sums in registers. For the taps of one column offset b, the vectors
// of column t - b slide past them: x[r - a] serves the sums r of all a, so eight taps need fifteen loads for
// sixty-four multiply-adds (two taps, where registers are few, nine for sixteen). Only in the anchor's own column
// (b = 0) do the rows depend on each other: the taps that reach above the block come first, then a small triangle,
// where each finished row is added to the sums below it.
//
// Several channels. Up to twelve output channels of two rows are sums in registers, so that every tap is loaded once
// for two vectors and every vector once for twelve taps: a matrix product whose columns are the lanes. What the lower
// row takes from the upper one (the tap above the anchor) is added when the upper one is finished.
#pragma once

#include "taps.h"

namespace {

// sum[m] += w[a] * x[m - a] for M rows and A taps; S > 1 spreads the taps over S sets of sums, to hide the latency of
// the multiply-add where M alone is too few.
template <class T, int M, int S, int A>
DEBLUR_INLINE void add_taps(Vector<T> (&sum)[S * M], const T* x, const T* w) {
#pragma GCC unroll 8
    for (int a = 0; a < A; ++a)
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) sum[a % S * M + m] += load(x + (m - a) * kLanes<T>) * w[a];
}

template <class T, int M, int S, bool Solve>
DEBLUR_INLINE void add_all_taps(Vector<T> (&sum)[S * M], const T* x, const T* w, std::int64_t count) {
    constexpr int n = kLanes<T>;
    // The finished rows of a solve want registers too.
    constexpr int A = larger(S, Solve && !kManyRegisters ? kTapsAtOnce / 2 : kTapsAtOnce);
    for (; count >= A; count -= A, x -= A * n, w += A) add_taps<T, M, S, A>(sum, x, w);
    if constexpr (A > 4)
        if (count & 4) {
            add_taps<T, M, S, 4>(sum, x, w);
            x -= 4 * n;
            w += 4;
        }
    if constexpr (A > 2)
        if (count & 2) {
            add_taps<T, M, S, 2>(sum, x, w);
            x -= 2 * n;
            w += 2;
        }
    if constexpr (A > 1)
        if (count & 1) add_taps<T, M, S, 1>(sum, x, w);
}

// M rows of one column and one channel. Tall: taps_h >= M, so that no tap of the triangle needs a question.
template <class T, int M, bool Solve, bool Tall>
void column_block(const Taps<T>& taps, T* x, T* rhs) {
    constexpr int n = kLanes<T>, S = 8 / M;
    Vector<T> sum[S * M] = {};
    if constexpr (Solve)
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) sum[m] = load(rhs + m * n) * taps.scale;
    const std::int64_t taps_h = taps.taps_h;
    const T* w = taps.weight + (taps.taps_w - 1) * taps_h;
    const T* from = x - (taps.taps_w - 1) * taps.step;
    for (std::int64_t b = taps.taps_w - 1; b > 0; --b, w -= taps_h, from += taps.step)
        add_all_taps<T, M, S, Solve>(sum, from, w, taps_h);

    if constexpr (!Solve) {
        add_all_taps<T, M, S, Solve>(sum, x, w, taps_h);
    } else {
        if (Tall) add_all_taps<T, M, S, Solve>(sum, x - M * n, w + M, taps_h - M);
#pragma GCC unroll 8
        for (int a = 1; a < M; ++a)
            if (Tall || a < taps_h)
#pragma GCC unroll 8
                for (int m = 0; m < a; ++m) sum[a % S * M + m] += load(x + (m - a) * n) * w[a];
    }
#pragma GCC unroll 8
    for (int s = 1; s < S; ++s)
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) sum[m] += sum[s * M + m];
    if constexpr (Solve) {
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) {
            store(x + m * n, sum[m]);
#pragma GCC unroll 8
            for (int lower = m + 1; lower < M; ++lower)
                if (Tall || lower - m < taps_h) sum[lower] += sum[m] * w[lower - m];
        }
    } else {
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) store(rhs + m * n, sum[m]);
    }
}

template <class T, bool Solve>
void one_channel_column(const Taps<T>& taps, T* x, T* rhs) {
    constexpr int n = kLanes<T>;
    std::int64_t rows = taps.rows;
    const auto block = [&](auto size) {
        constexpr int M = decltype(size)::value;
        if (taps.taps_h >= M)
            column_block<T, M, Solve, true>(taps, x, rhs);
        else
            column_block<T, M, Solve, false>(taps, x, rhs);
        x += M * n;
        rhs += M * n;
        rows -= M;
    };
    while (rows >= 8) block(std::integral_constant<int, 8>());
    if (rows & 4) block(std::integral_constant<int, 4>());
    if (rows & 2) block(std::integral_constant<int, 2>());
    if (rows & 1) block(std::integral_constant<int, 1>());
}

// One source (a tap, or the right-hand side) of the first `Used` of N rows: all input channels into M sums a row.
template <class T, int M, int N, int S, int Used>
DEBLUR_INLINE void add_channels(Vector<T> (&sum)[N][S * M], const T* x, std::int64_t row, const T*& w,
                                std::int64_t channels) {
    constexpr int n = kLanes<T>;
    std::int64_t i = 0;
    for (; i + S <= channels; i += S, x += S * n, w += S * M)
#pragma GCC unroll 4
        for (int s = 0; s < S; ++s)
#pragma GCC unroll 12
            for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
                for (int j = 0; j < Used; ++j) sum[j][s * M + m] += load(x + j * row + s * n) * w[s * M + m];
    for (; i < channels; ++i, x += n, w += M)
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
            for (int j = 0; j < Used; ++j) sum[j][m] += load(x + j * row) * w[m];
}

// Whether the second of two rows waits for the first: the tap above the anchor is the last of the sources.
template <class T, bool Solve>
bool rows_are_chained(const Taps<T>& taps) {
    return Solve && taps.taps_h > 1;
}

// M output channels of N rows, save for what the second row takes from the first.
template <class T, int M, int N, bool Solve>
void pixel_block(const Taps<T>& taps, const T* w, const T* x, const T* rhs, T* out) {
    constexpr int S = N * M >= 8 ? 1 : N * M >= 4 ? 2 : larger(M, 1);
    Vector<T> sum[N][S * M] = {};
    const bool chained = N > 1 && rows_are_chained<T, Solve>(taps);
    if constexpr (Solve) add_channels<T, M, N, S, N>(sum, rhs, taps.row, w, taps.channels);
    for (std::int64_t b = taps.taps_w - 1; b >= 0; --b) {
        const std::int64_t last = Solve && b == 0 ? (chained ? 2 : 1) : 0;
        for (std::int64_t a = taps.taps_h - 1; a >= last; --a)
            add_channels<T, M, N, S, N>(sum, x - b * taps.step - a * taps.row, taps.row, w, taps.channels);
    }
    if (chained) add_channels<T, M, N, S, 1>(sum, x - taps.row, taps.row, w, taps.channels);
#pragma GCC unroll 2
    for (int j = 0; j < N; ++j)
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
            for (int s = 1; s < S; ++s) sum[j][m] += sum[j][s * M + m];
            store(out + j * taps.row + m * kLanes<T>, sum[j][m]);
        }
}

// The rest of a second row: x is the row above, out the unfinished one.
template <class T, int M>
void finish_block(const Taps<T>& taps, const T* w, const T* x, const T*, T* out) {
    Vector<T> sum[1][M];
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sum[0][m] = load(out + m * kLanes<T>);
    add_channels<T, M, 1, 1, 1>(sum, x, taps.row, w, taps.channels);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) store(out + m * kLanes<T>, sum[0][m]);
}

template <class T, bool Solve, int... size>
void pixels(const Taps<T>& taps, T* x, T* rhs, std::integer_sequence<int, size...>) {
    using Block = void (*)(const Taps<T>&, const T* w, const T* x, const T* rhs, T* out);
    static constexpr Block one_row[] = {pixel_block<T, size + 1, 1, Solve>...};
    static constexpr Block two_rows[] = {pixel_block<T, size + 1, 2, Solve>...};
    static constexpr Block finish[] = {finish_block<T, size + 1>...};
    const std::int64_t n = taps.channels, sources = taps.taps_h * taps.taps_w, block = outputs_in_block(n);
    const auto each_block = [&](const Block* kernels, std::int64_t source, T* out) {
        for (std::int64_t o = 0; o < n; o += block) {
            const std::int64_t width = smaller(block, n - o);
            kernels[width - 1](taps, taps.weight + o * n * sources + source * n * width, x, rhs, out + o * kLanes<T>);
        }
    };
    std::int64_t r = 0;
    for (; r + 2 <= taps.rows; r += 2, x += 2 * taps.row, rhs += 2 * taps.row) {
        each_block(two_rows, 0, Solve ? x : rhs);
        if (rows_are_chained<T, Solve>(taps)) each_block(finish, sources - 1, x + taps.row);
    }
    if (r < taps.rows) each_block(one_row, 0, Solve ? x : rhs);
}

template <class T, bool Solve>
void many_channel_column(const Taps<T>& taps, T* x, T* rhs) {
    pixels<T, Solve>(taps, x, rhs, std::make_integer_sequence<int, kMaxOutputs>());
}

template <class T>
using Column = void (*)(const Taps<T>&, T* x, T* rhs);

template <class T>
Column<T> column_kernel(std::int64_t channels, bool solve) {
    if (channels == 1) return solve ? one_channel_column<T, true> : one_channel_column<T, false>;
    return solve ? many_channel_column<T, true> : many_channel_column<T, false>;
}

}  // namespace

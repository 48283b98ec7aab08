// The arithmetic of one column: in every lane the `rows` pixels of its strip, from columns and rows that are finished.
//
// One channel. Eight rows of the column are eight sums in registers. For the taps of one column offset b, the vectors
// of column t - b slide past them: x[r - a] serves the sums r of all a, so eight taps need fifteen loads for
// sixty-four multiply-adds. Only in the anchor's own column (b = 0) do the rows depend on each other: the taps that
// reach above the block come first, then a small triangle, where each finished row is added to the sums below it.
//
// Several channels. Up to sixteen output channels of a pixel are sums in registers; every input vector is loaded once
// for all of them and every tap once per vector: a matrix product whose columns are the lanes.
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

template <class T, int M, int S>
DEBLUR_INLINE void add_all_taps(Vector<T> (&sum)[S * M], const T* x, const T* w, std::int64_t count) {
    constexpr int n = kLanes<T>;
    // With 32 registers eight taps share their loads; with 16 the loads are operands of the multiply-add.
    constexpr int A = kManyRegisters ? 8 : S;
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
void column_block(const Taps<T>& taps, T* x, T* side) {
    constexpr int n = kLanes<T>, S = 8 / M;
    Vector<T> sum[S * M] = {};
    if constexpr (Solve)
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) sum[m] = load(side + m * n) * taps.scale;
    const std::int64_t high = taps.taps_h;
    const T* w = taps.weight + (taps.taps_w - 1) * high;
    const T* from = x - (taps.taps_w - 1) * taps.step;
    for (std::int64_t b = taps.taps_w - 1; b > 0; --b, w -= high, from += taps.step)
        add_all_taps<T, M, S>(sum, from, w, high);

    if constexpr (!Solve) {
        add_all_taps<T, M, S>(sum, x, w, high);
    } else {
        if (Tall) add_all_taps<T, M, S>(sum, x - M * n, w + M, high - M);
#pragma GCC unroll 8
        for (int a = 1; a < M; ++a)
            if (Tall || a < high)
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
            for (int below = m + 1; below < M; ++below)
                if (Tall || below - m < high) sum[below] += sum[m] * w[below - m];
        }
    } else {
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) store(side + m * n, sum[m]);
    }
}

template <class T, bool Solve>
void one_channel_column(const Taps<T>& taps, T* x, T* side) {
    constexpr int n = kLanes<T>;
    std::int64_t rows = taps.rows;
    const auto block = [&](auto size) {
        constexpr int M = decltype(size)::value;
        if (taps.taps_h >= M)
            column_block<T, M, Solve, true>(taps, x, side);
        else
            column_block<T, M, Solve, false>(taps, x, side);
        x += M * n;
        side += M * n;
        rows -= M;
    };
    while (rows >= 8) block(std::integral_constant<int, 8>());
    if (rows & 4) block(std::integral_constant<int, 4>());
    if (rows & 2) block(std::integral_constant<int, 2>());
    if (rows & 1) block(std::integral_constant<int, 1>());
}

// One source of one pixel (a tap, or the right-hand side): all input channels into M sums.
template <class T, int M, int S>
DEBLUR_INLINE void add_channels(Vector<T> (&sum)[S * M], const T* x, const T*& w, std::int64_t channels) {
    constexpr int n = kLanes<T>;
    std::int64_t i = 0;
    for (; i + S <= channels; i += S, x += S * n, w += S * M)
#pragma GCC unroll 4
        for (int s = 0; s < S; ++s) {
            const Vector<T> v = load(x + s * n);
#pragma GCC unroll 16
            for (int m = 0; m < M; ++m) sum[s * M + m] += v * w[s * M + m];
        }
    for (; i < channels; ++i, x += n, w += M) {
        const Vector<T> v = load(x);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) sum[m] += v * w[m];
    }
}

// M output channels of one pixel.
template <class T, int M, bool Solve>
void pixel_block(const Taps<T>& taps, const T* w, const T* x, const T* side, T* out) {
    constexpr int S = M >= 8 ? 1 : M >= 4 ? 2 : M >= 2 ? M : 1;
    Vector<T> sum[S * M] = {};
    if constexpr (Solve) add_channels<T, M, S>(sum, side, w, taps.channels);
    for (std::int64_t b = taps.taps_w - 1; b >= 0; --b)
        for (std::int64_t a = taps.taps_h - 1; a >= (Solve && b == 0 ? 1 : 0); --a)
            add_channels<T, M, S>(sum, x - b * taps.step - a * taps.row, w, taps.channels);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
        for (int s = 1; s < S; ++s) sum[m] += sum[s * M + m];
        store(out + m * kLanes<T>, sum[m]);
    }
}

template <class T, bool Solve, int... size>
void pixel(const Taps<T>& taps, T* x, T* side, std::integer_sequence<int, size...>) {
    using Block = void (*)(const Taps<T>&, const T*, const T*, const T*, T*);
    static constexpr Block blocks[] = {pixel_block<T, size + 1, Solve>...};
    const std::int64_t n = taps.channels, width = outputs_in_block(n);
    for (std::int64_t o = 0; o < n; o += width)
        blocks[smaller(width, n - o) - 1](taps, taps.weight + o * n * taps.taps_h * taps.taps_w, x, side,
                                          (Solve ? x : side) + o * kLanes<T>);
}

template <class T, bool Solve>
void many_channel_column(const Taps<T>& taps, T* x, T* side) {
    for (std::int64_t r = 0; r < taps.rows; ++r, x += taps.row, side += taps.row)
        pixel<T, Solve>(taps, x, side, std::make_integer_sequence<int, kMostOutputs>());
}

template <class T>
using Column = void (*)(const Taps<T>&, T* x, T* side);

template <class T>
Column<T> column_kernel(std::int64_t channels, bool solve) {
    if (channels == 1) return solve ? one_channel_column<T, true> : one_channel_column<T, false>;
    return solve ? many_channel_column<T, true> : many_channel_column<T, false>;
}

}  // namespace

// The taps of one group, ready for the kernels: scaled, signed and in the order in which they are read.
//
// For a solve the anchor is folded in once, in double precision: with D = w[:, :, 0, 0],
//
//     sum_{a, b} w[a, b] x[p - (a, b)] = y[p]   <=>   x[p] = D^-1 y[p] - sum_{(a, b) != 0} (D^-1 w[a, b]) x[p - (a, b)]
//
// so the recursion has no loop over channels left, and every pixel is one matrix-vector product. Taps are stored
// negated, to be added.
#pragma once

#include <cstdint>

#include "lanes.h"

namespace {

constexpr int kMaxOutputs = kManyRegisters ? 12 : 6;  // channels whose sums are held in registers at once

template <class T>
struct Taps {
    std::int64_t taps_h, taps_w, channels, rows;
    bool solve;
    std::int64_t row, column;  // Layout's steps
    std::int64_t step;         // columns apart * dilation_w: from tap (a, b) to (a, b + 1)
    const T* weight;           // one channel: [taps_w][taps_h]; more: [block of outputs][source][input][output]
    T scale;                   // one channel: 1 / anchor

    // The same taps for pixels that lie as `layout` has them.
    Taps laid_out(const View& view, const Layout& layout) const {
        Taps taps = *this;
        taps.rows = layout.rows;
        taps.row = layout.row;
        taps.column = layout.column;
        taps.step = layout.column * view.dilation_w;
        return taps;
    }
};

inline std::int64_t packed_elements(const View& view) {
    return view.channels * view.channels * view.taps_h * view.taps_w;
}

// Outputs are cut into blocks of equal size (the last may be smaller), so that none is a lonely channel.
inline std::int64_t outputs_in_block(std::int64_t channels) {
    return divide_up(channels, divide_up(channels, kMaxOutputs));
}

// The inverse of an n x n matrix by Gauss-Jordan with row pivoting; `a` is destroyed.
inline void invert(double* a, double* inverse, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j) inverse[i * n + j] = i == j ? 1.0 : 0.0;
    for (std::int64_t k = 0; k < n; ++k) {
        std::int64_t pivot = k;
        for (std::int64_t i = k + 1; i < n; ++i)
            if (__builtin_fabs(a[i * n + k]) > __builtin_fabs(a[pivot * n + k])) pivot = i;
        if (pivot != k)
            for (std::int64_t j = 0; j < n; ++j) {
                const double s = a[k * n + j], t = inverse[k * n + j];
                a[k * n + j] = a[pivot * n + j];
                a[pivot * n + j] = s;
                inverse[k * n + j] = inverse[pivot * n + j];
                inverse[pivot * n + j] = t;
            }
        const double scale = 1.0 / a[k * n + k];
        for (std::int64_t j = 0; j < n; ++j) {
            a[k * n + j] *= scale;
            inverse[k * n + j] *= scale;
        }
        for (std::int64_t i = 0; i < n; ++i) {
            if (i == k) continue;
            const double factor = a[i * n + k];
            for (std::int64_t j = k; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
            for (std::int64_t j = 0; j < n; ++j) inverse[i * n + j] -= factor * inverse[k * n + j];
        }
    }
}

// I rows of a product of n x n matrices, V vectors wide.
template <int I, int V>
DEBLUR_INLINE void product_block(const double* a, const double* b, double* product, std::int64_t n) {
    constexpr int lanes = kLanes<double>;
    Vector<double> sum[I][V] = {};
    for (std::int64_t k = 0; k < n; ++k)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            const Vector<double> from = load_anywhere(b + k * n + v * lanes);
#pragma GCC unroll 2
            for (int i = 0; i < I; ++i) sum[i][v] += from * a[i * n + k];
        }
#pragma GCC unroll 2
    for (int i = 0; i < I; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) store_anywhere(product + i * n + v * lanes, sum[i][v]);
}

template <int V>
void product_columns(const double* a, const double* b, double* product, std::int64_t n) {
    std::int64_t i = 0;
    for (; i + 2 <= n; i += 2) product_block<2, V>(a + i * n, b, product + i * n, n);
    if (i < n) product_block<1, V>(a + i * n, b, product + i * n, n);
}

// The product of two n x n matrices.
inline void matrix_product(const double* a, const double* b, double* product, std::int64_t n) {
    constexpr std::int64_t lanes = kLanes<double>;
    std::int64_t o = 0;
    for (; o + 4 * lanes <= n; o += 4 * lanes) product_columns<4>(a, b + o, product + o, n);
    for (; o + lanes <= n; o += lanes) product_columns<1>(a, b + o, product + o, n);
    for (; o < n; ++o)
        for (std::int64_t i = 0; i < n; ++i) {
            double sum = 0;
            for (std::int64_t k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + o];
            product[i * n + o] = sum;
        }
}

// Reads `weight` (one group, torch's layout), writes `packed`; `workspace` holds 4 * channels^2 doubles.
template <class T>
Taps<T> pack_taps(const View& view, const deblur_problem& p, bool solve, const T* weight, T* packed,
                  double* workspace) {
    const std::int64_t n = view.channels, area = p.taps_h * p.taps_w;
    Taps<T> taps{};
    taps.taps_h = view.taps_h;
    taps.taps_w = view.taps_w;
    taps.channels = n;
    taps.solve = solve;
    taps.weight = packed;
    taps.scale = T(1);
    if (n == 1) {
        const double scale = solve ? 1.0 / double(weight[0]) : 1.0;
        for (std::int64_t b = 0; b < view.taps_w; ++b)
            for (std::int64_t a = 0; a < view.taps_h; ++a) {
                const T tap = weight[a * p.taps_w + b];
                packed[b * view.taps_h + a] = solve ? T(-double(tap) * scale) : tap;
            }
        taps.scale = T(scale);
        return taps;
    }
    double* const anchor = workspace;
    double* const inverse = workspace + n * n;
    double* const tap = workspace + 2 * n * n;
    double* const folded = workspace + 3 * n * n;
    const auto read = [&](double* to, std::int64_t a, std::int64_t b) {  // to[i][o], so that packing writes along o
        for (std::int64_t o = 0; o < n; ++o)
            for (std::int64_t i = 0; i < n; ++i)
                to[i * n + o] = double(weight[(p.transpose ? i * n + o : o * n + i) * area + a * p.taps_w + b]);
    };
    const std::int64_t block = outputs_in_block(n), sources = view.taps_h * view.taps_w;
    std::int64_t source = 0;
    const auto write = [&](const double* from, double sign) {
        for (std::int64_t o0 = 0; o0 < n; o0 += block) {
            const std::int64_t width = smaller(block, n - o0);
            T* to = packed + o0 * n * sources + source * n * width;
            for (std::int64_t i = 0; i < n; ++i)
                for (std::int64_t o = 0; o < width; ++o) to[i * width + o] = T(sign * from[i * n + o0 + o]);
        }
        ++source;
    };
    if (solve) {
        read(anchor, 0, 0);
        invert(anchor, inverse, n);  // of the transposed anchor, which is the transposed inverse
        write(inverse, 1.0);
    }
    for (std::int64_t b = view.taps_w - 1; b >= 0; --b)
        for (std::int64_t a = view.taps_h - 1; a >= 0; --a) {
            if (solve && a == 0 && b == 0) continue;
            read(tap, a, b);
            if (!solve) {
                write(tap, 1.0);
                continue;
            }
            matrix_product(tap, inverse, folded, n);  // folded^T = tap^T inverse^T
            write(folded, -1.0);
        }
    return taps;
}

}  // namespace

// The weight gradient: dw[o, i, a, b] = sum over images and pixels of grad[o, p] * x[i, p - (a, b)].
//
// The layout is that of bands.h, grad where y is and x with its halo in the columns, so that the product of one vector
// of grad with one of x belongs to one tap in every lane. A few taps (or a few channels by a few channels) are sums in
// registers over the pixels of a chunk and are then added to one vector per tap; the lanes are summed at the end, in
// double.
//
// Every group's vectors are dealt to a fixed number of tasks, each with sums of its own, which are added in order: the
// result does not depend on which thread did what.
#pragma once

#include "bands.h"

namespace {

// One channel: the taps (a .. a + A, b) of a chunk; x and grad stand at row 0 of its first column.
template <class T, int A>
void gradient_taps(const Layout& layout, const T* x, const T* grad, std::int64_t count, T* sums) {
    constexpr int n = kLanes<T>, S = 8 / A;
    Vector<T> sum[S * A] = {};
    for (std::int64_t k = 0; k < count; ++k, x += layout.column, grad += layout.rhs_column) {
        std::int64_t r = 0;
        for (; r + 8 <= layout.rows; r += 8)
#pragma GCC unroll 8
            for (int m = 0; m < 8; ++m) {
                const Vector<T> g = load(grad + (r + m) * n);
#pragma GCC unroll 8
                for (int a = 0; a < A; ++a) sum[m % S * A + a] += g * load(x + (r + m - a) * n);
            }
        for (; r < layout.rows; ++r) {
            const Vector<T> g = load(grad + r * n);
#pragma GCC unroll 8
            for (int a = 0; a < A; ++a) sum[a] += g * load(x + (r - a) * n);
        }
    }
#pragma GCC unroll 8
    for (int a = 0; a < A; ++a) {
#pragma GCC unroll 8
        for (int s = 1; s < S; ++s) sum[a] += sum[s * A + a];
        store(sums + a * n, load(sums + a * n) + sum[a]);
    }
}

// Several channels: O outputs by I inputs of one tap.
template <class T, int O, int I>
void gradient_channels(const Layout& layout, const T* x, const T* grad, std::int64_t count, T* sums,
                       std::int64_t step) {
    constexpr int n = kLanes<T>;
    Vector<T> sum[O][I] = {};
    for (std::int64_t k = 0; k < count; ++k, x += layout.column, grad += layout.rhs_column)
        for (std::int64_t r = 0; r < layout.rows; ++r) {
            const T* const xr = x + r * layout.row;
            const T* const gr = grad + r * layout.row;
            Vector<T> v[I];
#pragma GCC unroll 4
            for (int i = 0; i < I; ++i) v[i] = load(xr + i * n);
#pragma GCC unroll 4
            for (int o = 0; o < O; ++o) {
                const Vector<T> g = load(gr + o * n);
#pragma GCC unroll 4
                for (int i = 0; i < I; ++i) sum[o][i] += g * v[i];
            }
        }
#pragma GCC unroll 4
    for (int o = 0; o < O; ++o)
#pragma GCC unroll 4
        for (int i = 0; i < I; ++i) {
            T* const to = sums + o * step + i * n;
            store(to, load(to) + sum[o][i]);
        }
}

// One chunk into sums [tap b][tap a] or [tap b][tap a][output][input], a vector each.
template <class T>
void gradient_chunk(const View& view, const Layout& layout, const T* x, const T* grad, std::int64_t count, T* sums) {
    constexpr int n = kLanes<T>;
    for (std::int64_t b = 0; b < view.taps_w; ++b) {
        const T* from = x - b * view.dilation_w * layout.column;
        if (view.channels == 1) {
            std::int64_t remaining = view.taps_h;
            const auto taps = [&](auto size) {
                constexpr int A = decltype(size)::value;
                gradient_taps<T, A>(layout, from, grad, count, sums);
                from -= A * n;
                sums += A * n;
                remaining -= A;
            };
            while (remaining >= 8) taps(std::integral_constant<int, 8>());
            if (remaining & 4) taps(std::integral_constant<int, 4>());
            if (remaining & 2) taps(std::integral_constant<int, 2>());
            if (remaining & 1) taps(std::integral_constant<int, 1>());
            continue;
        }
        using Block = void (*)(const Layout&, const T*, const T*, std::int64_t, T*, std::int64_t);
        static constexpr Block blocks[4][4] = {{gradient_channels<T, 1, 1>, gradient_channels<T, 1, 2>,
                                                gradient_channels<T, 1, 3>, gradient_channels<T, 1, 4>},
                                               {gradient_channels<T, 2, 1>, gradient_channels<T, 2, 2>,
                                                gradient_channels<T, 2, 3>, gradient_channels<T, 2, 4>},
                                               {gradient_channels<T, 3, 1>, gradient_channels<T, 3, 2>,
                                                gradient_channels<T, 3, 3>, gradient_channels<T, 3, 4>},
                                               {gradient_channels<T, 4, 1>, gradient_channels<T, 4, 2>,
                                                gradient_channels<T, 4, 3>, gradient_channels<T, 4, 4>}};
        const std::int64_t c = view.channels;
        for (std::int64_t a = 0; a < view.taps_h; ++a, from -= layout.row, sums += c * c * n)
            for (std::int64_t o = 0; o < c; o += 4)
                for (std::int64_t i = 0; i < c; i += 4)
                    blocks[smaller<std::int64_t>(4, c - o) - 1][smaller<std::int64_t>(4, c - i) - 1](
                        layout, from + i * n, grad + o * n, count, sums + (o * c + i) * n, c * n);
    }
}

template <class T>
struct Gradient {
    Parts parts;
    const T* grad;
    const T* x;
    std::int64_t pieces;    // of a group: bands of vectors, in every part
    std::int64_t shares;    // tasks of a group
    std::int64_t elements;  // taps * channels^2
    double* totals;         // [group][share][element]
    T* buffers;             // [worker]: columns, grad, sums
    std::int64_t buffer_elements;
    std::int64_t tasks, workers, next_task, next_worker;
};

// One band of one vector, added to `total`.
template <class T>
void run_piece(const Gradient<T>& s, std::int64_t group, const Part& part, std::int64_t piece, T* buffer,
               double* total) {
    constexpr int n = kLanes<T>;
    const View& view = part.view;
    const Layout& layout = part.layout;
    const std::int64_t offset = group * view.channels * view.channel, band = piece % layout.bands;
    const Mask<T> top = top_lanes<T>(layout);
    const Lanes lanes = lanes_of<T>(view, layout, piece / layout.bands, band);
    T* const grad = buffer + layout.column * layout.capacity;
    T* const sums = buffer + s.parts.buffer_elements();
    for (std::int64_t k = 0; k < s.elements * n; k += n) store<T>(sums + k, Vector<T>{});
    fill_left_halo<T>(buffer, s.x + offset, view, layout, lanes);
    for_chunks(view, layout, buffer, [&](std::int64_t t, std::int64_t count, T* x) DEBLUR_ALWAYS_INLINE {
        read_chunk<T>(x, layout.column, s.x + offset, view, layout, lanes, t);
        read_chunk<T>(grad, layout.rhs_column, s.grad + offset, view, layout, lanes, t);
        if (view.repeats && t == 0)
            for (std::int64_t k = 0; k + 1 < layout.strips; ++k)
                restore_left_halo<T>(x + k * layout.column, s.x + offset, view, layout, lanes, k);
        if (band > 0 || view.repeats) read_upper_halo<T>(x, s.x + offset, view, layout, lanes, t);
        for (std::int64_t k = 0; k < kChunk; ++k) {
            prefetch_rows<T>(s.x + offset, s.grad + offset, view, lanes, t + k);
            pass_halo_down<T>(x + k * layout.column, layout, top, band == 0 && !view.repeats);
        }
        gradient_chunk<T>(view, layout, x, grad, count, sums);
    });
    for (std::int64_t k = 0; k < s.elements; ++k)
        for (int lane = 0; lane < n; ++lane) total[k] += double(sums[k * n + lane]);
}

template <class T>
void run_share(const Gradient<T>& s, std::int64_t task, T* buffer) {
    const std::int64_t group = task / s.shares, share = task % s.shares;
    const std::int64_t first_part_tasks = s.parts.part[0].layout.vectors * s.parts.part[0].layout.bands;
    double* const total = s.totals + task * s.elements;
    for (std::int64_t k = 0; k < s.elements; ++k) total[k] = 0;
    for (std::int64_t piece = s.pieces * share / s.shares; piece < s.pieces * (share + 1) / s.shares; ++piece)
        if (piece < first_part_tasks)
            run_piece<T>(s, group, s.parts.part[0], piece, buffer, total);
        else
            run_piece<T>(s, group, s.parts.part[1], piece - first_part_tasks, buffer, total);
}

template <class T>
void gradient_thread(void* context) {
    Gradient<T>& s = *static_cast<Gradient<T>*>(context);
    const FlushSubnormals flush;
    const std::int64_t worker = __atomic_fetch_add(&s.next_worker, 1, __ATOMIC_RELAXED);
    if (worker >= s.workers) return;
    T* const buffer = s.buffers + worker * s.buffer_elements;
    for (;;) {
        const std::int64_t task = __atomic_fetch_add(&s.next_task, 1, __ATOMIC_RELAXED);
        if (task >= s.tasks) return;
        run_share<T>(s, task, buffer);
    }
}

template <class T>
int weight_gradient(const deblur_problem& p, const void* grad, const void* x, void* out, int threads) {
    Gradient<T> s;
    const View view = canonical(p, false);  // of the transposed operation: the same sum with the roles exchanged
    s.parts = parts_for<T>(view, false);
    s.grad = static_cast<const T*>(p.transpose ? x : grad);
    s.x = static_cast<const T*>(p.transpose ? grad : x);
    const std::int64_t c = view.channels;
    s.pieces = s.parts.tasks() / view.groups;
    s.elements = packed_elements(view);
    // Shares of one group: enough for many threads, few enough for memory.
    s.shares = smaller(s.pieces, larger<std::int64_t>(4, smaller<std::int64_t>(64, (4 << 20) / s.elements)));
    s.tasks = view.groups * s.shares;
    s.next_task = s.next_worker = 0;
    s.buffer_elements = s.parts.buffer_elements() + s.elements * kLanes<T>;
    const double multiply_adds = double(p.batch * p.height * p.width) * double(view.groups * s.elements);
    s.workers = worth_threads(threads, s.tasks, multiply_adds);

    const Scratch<double> totals(s.tasks * s.elements);
    const Scratch<T> buffers(s.workers * s.buffer_elements);
    if (!totals || !buffers) return DEBLUR_NO_MEMORY;
    s.totals = totals.data();
    s.buffers = buffers.data();
    deblur::run_on_threads(int(s.workers), threads, gradient_thread<T>, &s);

    T* const dw = static_cast<T*>(out);
    __builtin_memset(dw, 0, std::size_t(p.channels * c * p.taps_h * p.taps_w) * sizeof(T));
    for (std::int64_t g = 0; g < view.groups; ++g)
        for (std::int64_t b = 0, k = 0; b < view.taps_w; ++b)
            for (std::int64_t a = 0; a < view.taps_h; ++a)
                for (std::int64_t oi = 0; oi < c * c; ++oi, ++k) {
                    double sum = 0;
                    for (std::int64_t share = 0; share < s.shares; ++share)
                        sum += totals[(g * s.shares + share) * s.elements + k];
                    dw[((g * c * c + oi) * p.taps_h + a) * p.taps_w + b] = T(sum);
                }
    return DEBLUR_OK;
}

}  // namespace

// The two lines of a frame whose border is repeated, its first row and column, solved or added up (edge_taps.h says how).
//
// It is O(height + width) work; lines are solved in double, one image of one group after another by each thread.
#pragma once

#include "edge_taps.h"
#include "pool.h"
#include "scratch.h"

namespace {

// As many threads as there are tasks and work for: waking one takes as long as about a hundred thousand multiply-adds.
inline int worth_threads(int threads, std::int64_t tasks, double multiply_adds) {
    const double most = smaller(smaller(double(threads), double(tasks)), 1.0 + multiply_adds / 2e5);
    return larger(1, int(most));
}

// to[o] = sum over i of matrix[i][o] * from[i]
inline void multiply(double* to, const double* matrix, const double* from, std::int64_t n) {
    for (std::int64_t o = 0; o < n; ++o) to[o] = 0;
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t o = 0; o < n; ++o) to[o] += matrix[i * n + o] * from[i];
}

// Solves x[p] = inverse * (values[p] - sum over t > 0 of taps[t] x[p - t dilation]), zeros before the first, in place:
// each pixel that is finished is taken from those that read it. `workspace` holds n numbers.
inline void substitute(double* values, std::int64_t count, const double* taps, const Line& line, const double* inverse,
                       std::int64_t n, double* workspace) {
    for (std::int64_t p = 0; p < count; ++p) {
        double* const x = values + p * n;
        multiply(workspace, inverse, x, n);
        for (std::int64_t o = 0; o < n; ++o) x[o] = workspace[o];
        const std::int64_t readers = smaller(line.taps, divide_up(count - p, line.dilation));
        if (n == 1 && line.dilation == 1) {
            const double value = x[0];
            for (std::int64_t t = 1; t < readers; ++t) x[t] -= taps[t] * value;
            continue;
        }
        for (std::int64_t t = 1; t < readers; ++t) {
            double* const to = x + t * line.dilation * n;
            for (std::int64_t i = 0; i < n; ++i)
                for (std::int64_t o = 0; o < n; ++o) to[o] -= taps[(t * n + i) * n + o] * workspace[i];
        }
    }
}

// sums[q] += sum over t of taps[t] * x[q + t dilation], for M vectors of q.
template <class T, int M>
DEBLUR_INLINE void add_line(T* sums, const T* x, const T* taps, const Line& line) {
    constexpr int n = kLanes<T>;
    Vector<T> sum[M];
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) sum[m] = load(sums + m * n);
    for (std::int64_t t = 0; t < line.taps; ++t, x += line.dilation)
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m) sum[m] += load_anywhere(x + m * n) * taps[t];
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) store(sums + m * n, sum[m]);
}

// What the line gets from one neighbour's, x[channel][q].
template <class T>
void add_neighbour(T* sums, const T* x, const T* taps, const Line& line, std::int64_t channels) {
    constexpr int n = kLanes<T>;
    for (std::int64_t i = 0; i < channels; ++i, x += line.padded(), taps += line.taps) {
        std::int64_t q = 0;
        for (; line.length - q > 2 * n; q += 4 * n) add_line<T, 4>(sums + q, x + q, taps, line);
        for (; q < line.length; q += n) add_line<T, 1>(sums + q, x + q, taps, line);
    }
}

// What the adjoint brings to the pixels of a line, its first left out, from neighbours `nearest` and up in x, into sums.
template <class T>
void add_neighbours(const Edges<T>& s, const Line& line, const T* x, const T* taps, std::int64_t nearest, T* sums,
                    T* neighbours) {
    const std::int64_t n = s.view.channels, padded = line.padded();
    for (std::int64_t k = 0; k < n * padded; ++k) sums[k] = 0;
    for (std::int64_t k = nearest; k <= line.depth; ++k)
        for (std::int64_t i = 0; i < n; ++i) {
            T* const to = neighbours + ((k - nearest) * n + i) * padded;
            to[0] = 0;
            for (std::int64_t q = line.length; q < padded; ++q) to[q] = 0;
        }
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t q = 1; q < line.length; ++q)
            for (std::int64_t k = nearest; k <= line.depth; ++k)
                neighbours[((k - nearest) * n + i) * padded + q] =
                    x[i * s.view.channel + q * line.step + k * line.cross_step];
    for (std::int64_t o = 0; o < n; ++o)
        for (std::int64_t k = nearest; k <= line.depth; ++k) {
            const std::int64_t first = divide_up(k, line.cross_dilation);
            add_neighbour<T>(sums + o * padded, neighbours + (k - nearest) * n * padded,
                             taps + (o * line.cross_taps + first) * n * line.taps, line, n);
        }
}

// Both lines of one image of one group: in and out stand at its corner.
template <class T>
void run_edges(const Edges<T>& s, std::int64_t group, const T* in, T* out, char* buffer) {
    const std::int64_t n = s.view.channels, square = s.square(), channel = s.view.channel;
    double* const values = reinterpret_cast<double*>(buffer);
    double* const corner = values + s.longest() * n;
    double* const workspace = corner + n;
    T* const sums = reinterpret_cast<T*>(buffer + s.values_bytes());
    T* const neighbours = sums + s.sums_elements();
    const double* const inverses = s.inverse + group * 3 * square;
    const double* const corner_taps = s.corner_taps + group * s.area() * square;

    if (!s.transpose) {
        for (std::int64_t i = 0; i < n; ++i) workspace[i] = double(in[i * channel]);
        multiply(corner, inverses + 2 * square, workspace, n);
        for (std::int64_t o = 0; o < n; ++o) out[o * channel] = T(corner[o]);
    }
    for (int axis = 0; axis < 2; ++axis) {
        const Line& line = s.line[axis];
        const double* const taps = s.line_taps[axis] + group * line.taps * square;
        if (!s.transpose) {
            for (std::int64_t q = 1; q < line.length; ++q)
                for (std::int64_t o = 0; o < n; ++o) values[(q - 1) * n + o] = double(in[o * channel + q * line.step]);
            for (std::int64_t t = 1; t < line.taps; ++t) {  // all that read the corner through tap t
                multiply(workspace, taps + t * square, corner, n);
                for (std::int64_t q = 1; q <= smaller(t * line.dilation, line.length - 1); ++q)
                    for (std::int64_t o = 0; o < n; ++o) values[(q - 1) * n + o] -= workspace[o];
            }
            substitute(values, line.length - 1, taps, line, inverses + axis * square, n, workspace);
            for (std::int64_t q = 1; q < line.length; ++q)
                for (std::int64_t o = 0; o < n; ++o) out[o * channel + q * line.step] = T(values[(q - 1) * n + o]);
            continue;
        }
        const T* const neighbour_taps = s.neighbour_taps[axis] + group * s.area() * square;
        add_neighbours<T>(s, line, s.solve ? out : in, neighbour_taps, s.solve ? 1 : 0, sums, neighbours);
        if (s.solve) {
            for (std::int64_t q = 1; q < line.length; ++q)
                for (std::int64_t o = 0; o < n; ++o)
                    values[(line.length - 1 - q) * n + o] =
                        double(in[o * channel + q * line.step]) - double(sums[o * line.padded() + q]);
            substitute(values, line.length - 1, taps, line, inverses + axis * square, n, workspace);
        }
        for (std::int64_t o = 0; o < n; ++o)
            for (std::int64_t q = 1; q < line.length; ++q)
                out[o * channel + q * line.step] =
                    s.solve ? T(values[(line.length - 1 - q) * n + o]) : sums[o * line.padded() + q];
    }
    if (!s.transpose) return;
    const T* const x = s.solve ? out : in;
    for (std::int64_t o = 0; o < n; ++o) corner[o] = 0;
    for (std::int64_t k = 0; k <= s.line[1].depth; ++k)
        for (std::int64_t l = 0; l <= s.line[0].depth; ++l) {
            if (s.solve && k == 0 && l == 0) continue;
            const std::int64_t a = divide_up(k, s.line[0].dilation), b = divide_up(l, s.line[1].dilation);
            const double* const taps = corner_taps + (a * s.line[1].taps + b) * square;
            for (std::int64_t i = 0; i < n; ++i) {
                const double value = double(x[i * channel + k * s.view.row + l * s.view.col]);
                for (std::int64_t o = 0; o < n; ++o) corner[o] += taps[i * n + o] * value;
            }
        }
    if (s.solve) {
        for (std::int64_t i = 0; i < n; ++i) workspace[i] = double(in[i * channel]) - corner[i];
        multiply(corner, inverses + 2 * square, workspace, n);
    }
    for (std::int64_t o = 0; o < n; ++o) out[o * channel] = T(corner[o]);
}

template <class T>
void edges_thread(void* context) {
    Edges<T>& s = *static_cast<Edges<T>*>(context);
    const FlushSubnormals flush;
    const std::int64_t worker = __atomic_fetch_add(&s.next_worker, 1, __ATOMIC_RELAXED);
    if (worker >= s.workers) return;
    for (;;) {
        const std::int64_t task = __atomic_fetch_add(&s.next_task, 1, __ATOMIC_RELAXED);
        if (task >= s.tasks) return;
        const std::int64_t group = task % s.view.groups;
        const std::int64_t offset =
            task / s.view.groups * s.view.frame + group * s.view.channels * s.view.channel + s.view.origin;
        run_edges<T>(s, group, s.in + offset, s.out + offset, s.buffers + worker * s.buffer_bytes);
    }
}

template <class T>
int edges(const deblur_problem& p, bool solve, const void* in, const void* weight, void* out, int threads) {
    Edges<T> s = edges_of<T>(p, solve);
    s.in = static_cast<const T*>(in);
    s.out = static_cast<T*>(out);
    s.tasks = p.batch * p.groups;
    s.next_task = s.next_worker = 0;
    const std::int64_t square = s.square(), groups = p.groups, area = s.area();
    double pixels = double(s.longest());
    std::int64_t adjoint_bytes = 0;
    if (s.transpose) {
        pixels += double(s.line[0].length * s.line[0].depth + s.line[1].length * s.line[1].depth);
        adjoint_bytes = (s.sums_elements() + s.neighbour_elements()) * std::int64_t(sizeof(T));
    }
    s.workers = worth_threads(threads, s.tasks, double(s.tasks * square * (p.taps_h + p.taps_w)) * pixels);
    s.buffer_bytes = s.values_bytes() + divide_up(adjoint_bytes, 64) * 64;

    const Scratch<double> line_taps(groups * (p.taps_h + p.taps_w) * square);
    const Scratch<T> neighbour_taps(s.transpose ? 2 * groups * area * square : 0);
    const Scratch<double> corner(groups * area * square);
    const Scratch<double> inverse(3 * groups * square);
    const Scratch<double> workspace((area + 1) * square);
    const Scratch<char> buffers(s.workers * s.buffer_bytes);
    if (!line_taps || !neighbour_taps || !corner || !inverse || !workspace || !buffers) return DEBLUR_NO_MEMORY;
    double* const axis_line_taps[] = {line_taps.data(), line_taps.data() + groups * p.taps_h * square};
    T* const axis_neighbour_taps[] = {neighbour_taps.data(),
                                      neighbour_taps.data() + (s.transpose ? groups * area * square : 0)};
    for (std::int64_t g = 0; g < groups; ++g) {
        double* const group_line_taps[] = {axis_line_taps[0] + g * p.taps_h * square,
                                           axis_line_taps[1] + g * p.taps_w * square};
        T* group_neighbour_taps[] = {axis_neighbour_taps[0] + g * area * square,
                                     axis_neighbour_taps[1] + g * area * square};
        add_up_taps<T>(s, static_cast<const T*>(weight) + g * square * area, group_line_taps, group_neighbour_taps,
                       corner.data() + g * area * square, inverse.data() + g * 3 * square, workspace.data());
    }
    for (int axis = 0; axis < 2; ++axis) {
        s.line_taps[axis] = axis_line_taps[axis];
        s.neighbour_taps[axis] = axis_neighbour_taps[axis];
    }
    s.corner_taps = corner.data();
    s.inverse = inverse.data();
    s.buffers = buffers.data();
    deblur::run_on_threads(int(s.workers), threads, edges_thread<T>, &s);
    return DEBLUR_OK;
}

}  // namespace

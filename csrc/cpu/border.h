// The first row and column of a frame whose border is repeated: where its operation differs from that of other pixels.
//
// Seen from the corner, pixel (i, j) reads x[max(i - a, 0), max(j - b, 0)]. So column 0 reads nothing but itself, as
// one line, through the taps added up along b, and so does row 0 through those added up along a. A solve finds these
// two lines first, and all that lies beyond the rest of the frame is then known.
//
//     column 0, i > 0:   y[i] = sum over a of  (sum over b of w[a, b]) x[max(i - a, 0)]
//
// The adjoint writes where that reads, so it adds up on the two lines what it would write beyond, and they come last:
//
//     column 0, i > 0:   y[i, 0] = sum over a, j of  (sum over b >= j of w[a, b]) x[i + a, j]
//     corner:            y[0, 0] = sum over i, j of  (sum over a >= i, b >= j of w[a, b]) x[i, j]
//
// of which a solve knows all but the line itself (j = 0): that is a recursion along it. The other line is the same with
// rows and columns exchanged. With a dilation d, "b >= j" is "b d >= j".
//
// It is O(height + width) work; lines are solved in double, one image of one group after another by each thread.
#pragma once

#include "pool.h"
#include "scratch.h"
#include "taps.h"

namespace {

// As many threads as there are tasks and work for: waking one takes as long as about a hundred thousand multiply-adds.
inline int worth_threads(int threads, std::int64_t tasks, double multiply_adds) {
    const double most = smaller(smaller(double(threads), double(tasks)), 1.0 + multiply_adds / 2e5);
    return larger(1, int(most));
}

// Column 0 or row 0: pixels `step` apart, and `cross_step` from each to its neighbour within the frame.
struct Line {
    std::int64_t length, step, taps, dilation;
    std::int64_t cross_step, cross_taps, cross_dilation;
    std::int64_t depth;  // neighbours that take part, the line itself not counted

    // Pixels that a buffer for it has room for: whole vectors, and what the taps reach beyond.
    std::int64_t padded() const { return (divide_up(length, 64) + divide_up((taps - 1) * dilation, 64)) * 64; }
};

template <class T>
struct Edges {
    View view;  // of the whole frame, from the corner
    Line line[2];
    bool solve, transpose;
    const T* in;
    T* out;
    // Of every group: the taps of both lines alone, [tap][input][output]; those from every neighbour on, [output]
    // [first tap across][input][tap]; of the corner, [a][b][input][output]; the inverses of the three anchors.
    const double* line_taps[2];
    const T* neighbour_taps[2];
    const double* corner_taps;
    const double* inverse;
    char* buffers;
    std::int64_t buffer_bytes, tasks, workers, next_task, next_worker;

    std::int64_t square() const { return view.channels * view.channels; }
    std::int64_t area() const { return line[0].taps * line[1].taps; }
    std::int64_t longest() const { return larger(line[0].length, line[1].length); }
    std::int64_t values_bytes() const {
        return divide_up((longest() + 2) * view.channels * std::int64_t(sizeof(double)), 64) * 64;
    }
    std::int64_t sums_elements() const { return larger(line[0].padded(), line[1].padded()) * view.channels; }
    std::int64_t neighbour_elements() const {
        return larger((line[0].depth + 1) * line[0].padded(), (line[1].depth + 1) * line[1].padded()) * view.channels;
    }
};

template <class T>
Edges<T> edges_of(const deblur_problem& p, bool solve) {
    Edges<T> s{};
    s.view = canonical(p, false);
    s.solve = solve;
    s.transpose = p.transpose != 0;
    s.line[0] = {p.height, s.view.row, p.taps_h, p.dilation_h, s.view.col, p.taps_w, p.dilation_w, 0};
    s.line[1] = {p.width, s.view.col, p.taps_w, p.dilation_w, s.view.row, p.taps_h, p.dilation_h, 0};
    for (int axis = 0; axis < 2; ++axis) {
        Line& line = s.line[axis];
        line.depth = smaller((line.cross_taps - 1) * line.cross_dilation, s.line[1 - axis].length - 1);
    }
    return s;
}

// One group's taps, added up in all the ways that are needed; `workspace` holds (taps_h * taps_w + 1) * channels^2
// doubles.
template <class T>
void add_up_taps(const Edges<T>& s, const T* weight, double* const* line_taps, T** neighbour_taps, double* corner,
                 double* inverse, double* workspace) {
    const std::int64_t n = s.view.channels, square = s.square(), area = s.area(), taps_w = s.line[1].taps;
    double* const sums = workspace + square;  // [a][b][input][output]
    const auto read = [&] {
        for (std::int64_t tap = 0; tap < area; ++tap)
            for (std::int64_t i = 0; i < n; ++i)
                for (std::int64_t o = 0; o < n; ++o)
                    sums[(tap * n + i) * n + o] = double(weight[(s.transpose ? i * n + o : o * n + i) * area + tap]);
    };
    const auto add_up_rows = [&] {  // each takes in those after it
        for (std::int64_t a = area / taps_w - 2; a >= 0; --a) {
            double* const row = sums + a * taps_w * square;
            for (std::int64_t k = 0; k < taps_w * square; ++k) row[k] += row[taps_w * square + k];
        }
    };
    const auto pack = [&](int axis) {
        const std::int64_t taps = s.line[axis].taps, step = axis == 0 ? taps_w : 1, across = axis == 0 ? 1 : taps_w;
        for (std::int64_t t = 0; t < taps; ++t)
            for (std::int64_t k = 0; k < square; ++k) line_taps[axis][t * square + k] = sums[t * step * square + k];
        if (!s.transpose) return;
        for (std::int64_t o = 0; o < n; ++o)
            for (std::int64_t u = 0; u < s.line[axis].cross_taps; ++u)
                for (std::int64_t i = 0; i < n; ++i)
                    for (std::int64_t t = 0; t < taps; ++t)
                        *neighbour_taps[axis]++ = T(sums[((t * step + u * across) * n + i) * n + o]);
    };
    read();
    add_up_rows();
    pack(1);
    read();
    for (std::int64_t tap = area - 1; tap >= 0; --tap)
        if ((tap + 1) % taps_w != 0)
            for (std::int64_t k = 0; k < square; ++k) sums[tap * square + k] += sums[(tap + 1) * square + k];
    pack(0);
    add_up_rows();
    __builtin_memcpy(corner, sums, std::size_t(area * square) * sizeof(double));
    if (!s.solve) return;
    const double* const anchors[] = {line_taps[0], line_taps[1], corner};
    for (const double* anchor : anchors) {
        __builtin_memcpy(workspace, anchor, std::size_t(square) * sizeof(double));
        invert(workspace, inverse, n);
        inverse += square;
    }
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

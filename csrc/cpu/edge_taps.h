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
#pragma once

#include "taps.h"

namespace {

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

}  // namespace

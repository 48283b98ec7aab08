// The one canonical problem behind corners, transposes and dilations.
//
// A tensor is read as if its anchor corner were the top-left one: `origin` is the element at that corner, `row` and
// `col` are the (possibly negative) steps away from it. The transposed operation has the opposite corner.
//
// A row dilation of d lets rows i, i + d, i + 2d, ... talk only to each other, so the frame is d independent images of
// every d-th row, each with row dilation 1: they simply join the batch. A column dilation stays a step between columns.
//
// With a repeated border a view may leave out the frame's first row and column (`inset` 1), which are then solved
// before or after it (border.h). Looking toward them, its taps read beyond it what the frame has there: row 0 of the
// frame for every row above, column 0 for every column to the left.
#pragma once

#include <cstdint>

#include "deblur_cpu.h"
#include "simd.h"

namespace {

struct View {
    std::int64_t first_image, images;  // from the first one on, of all batch * row dilation
    std::int64_t groups, channels;     // channels per group
    std::int64_t height, width;        // of the whole frame, less the inset
    std::int64_t split;                // row dilation: image n holds rows n % split, n % split + split, ...
    std::int64_t origin, row, col;     // in elements
    std::int64_t channel, frame;       // steps between channels and between batch entries
    std::int64_t taps_h, taps_w;       // without those that only ever read outside the frame
    std::int64_t dilation_w;
    std::int64_t inset;  // rows and columns of the frame before this view's first
    bool repeats;        // the frame's first row and column beyond it, not zeros

    std::int64_t rows_of(std::int64_t image) const {
        return divide_up(larger<std::int64_t>(height - (first_image + image) % split, 0), split);
    }
    std::int64_t start_of(std::int64_t image) const {
        return (first_image + image) / split * frame + origin + (first_image + image) % split * row;
    }
    // Column 0 of this view in the row that is repeated above an image.
    std::int64_t edge_of(std::int64_t image) const {
        return (first_image + image) / split * frame + origin - inset * row;
    }
    std::int64_t tallest() const { return divide_up(height, split); }
    std::int64_t row_step() const { return row * split; }
};

inline View canonical(const deblur_problem& p, bool transpose, std::int64_t inset = 0) {
    const bool right = bool(p.corner & DEBLUR_RIGHT) != transpose;
    const bool bottom = bool(p.corner & DEBLUR_BOTTOM) != transpose;
    View v;
    v.inset = inset;
    v.repeats = p.border == DEBLUR_REPLICATE && !transpose;
    v.height = p.height - inset;
    v.width = p.width - inset;
    v.split = smaller(p.dilation_h, larger<std::int64_t>(v.height, 1));
    v.first_image = 0;
    v.images = p.batch * v.split;
    v.groups = p.groups;
    v.channels = p.channels / p.groups;
    v.row = bottom ? -p.width : p.width;
    v.col = right ? -1 : 1;
    v.origin = (bottom ? (p.height - 1) * p.width : 0) + (right ? p.width - 1 : 0);
    if (!transpose) v.origin += inset * (v.row + v.col);  // the adjoint meets them last
    v.channel = p.height * p.width;
    v.frame = p.channels * v.channel;
    v.taps_h = v.repeats ? p.taps_h : smaller(p.taps_h, divide_up(v.height, v.split));
    v.taps_w = v.repeats ? p.taps_w : smaller(p.taps_w, divide_up(v.width, p.dilation_w));
    v.dilation_w = p.dilation_w;
    return v;
}

}  // namespace

// Where a pixel lives in a vector: strips of rows, one a lane, each a column behind the one above it.
//
// An image band of `strips * rows` rows is cut into strips of `rows` adjacent rows, one per lane; in step t the lane
// of strip s stands at column t - s. With 4 strips of 2 rows (the numbers are the steps in which a pixel is computed):
//
//     lane 0   row 0   0 1 2 3 4 5 ...      All that a pixel needs lies in an earlier step of its own lane, or higher
//              row 1   0 1 2 3 4 5 ...      in its own column of the strip, save for the rows above the strip: those
//     lane 1   row 2     0 1 2 3 4 ...      belong to the lane before, which passed this column one step earlier. So
//              row 3     0 1 2 3 4 ...      before step t the vectors of step t - 1 move up by one lane into `halo`
//     lane 2   row 4       0 1 2 3 ...      rows on top of the strip, and from there on the recursion is the scalar
//              row 5       0 1 2 3 ...      one with every number replaced by a vector: all loads aligned, no masks,
//     lane 3   ...           0 1 2 ...      no gathers.
//
// A vector may hold several images (strips < lanes), so that small ones fill it too. Strip 0 of a band takes its halo
// from the band above, which is finished there. In memory: column [t], row [-halo .. rows), channel, lane.
#pragma once

#include <cstdint>

#include "view.h"

namespace {

constexpr int kChunk = 16;  // columns moved between image and lanes at a time; a multiple of every lane count
constexpr int kMaxLanes = 16;

// How a problem is laid over vectors, bands and columns. It depends on the sizes and the instruction set alone, never
// on the thread count, so results do not either.
struct Layout {
    int strips = 1;
    std::int64_t images_per_vector = 1;
    std::int64_t rows = 1;      // of a strip
    std::int64_t bands = 1;     // of an image
    std::int64_t vectors = 0;   // that hold all images of a group
    std::int64_t halo = 0;      // rows above a strip
    std::int64_t history = 1;   // earlier columns that the taps, or the halo, look back to
    std::int64_t capacity = 0;  // columns in memory; when full, the last `history` move to the front
    // Steps in elements: from row to row, from column to column of x, and from column to column of the right-hand side
    // y of A x = y, which a solve reads and a convolution writes (no halo, one chunk).
    std::int64_t row = 0, column = 0, rhs_column = 0;

    std::int64_t buffer_elements() const { return column * capacity + rhs_column * kChunk; }
};

// Cycles that one column takes: two multiply-adds a cycle, rows that wait for each other, the halo, the way in and out.
// With one channel, rows share the loads of every tap, which take the time of about another row; with more, pairs of rows
// share them, and a row alone takes longer.
inline double column_cycles(const View& view, const Layout& layout) {
    const double c = double(view.channels), rows = double(layout.rows);
    const double shared = c == 1 ? 1.0 : 0.2 * double(layout.rows % 2);
    const double fma = 0.5 * (rows + shared) * c * c * double(view.taps_h * view.taps_w);
    const double upper = layout.bands > 1 || view.repeats ? 1.5 * layout.images_per_vector : 0.0;
    const double halo = double(layout.halo) * c * (2.0 + upper);
    return fma + halo + 12.0 * rows * c + (c == 1 ? 4.0 * rows : 0.0) + 20.0;
}

// Time of all columns on a machine of some cores, where in a solve (`chained`) a band follows the one above at a distance.
// The number is a guess that many machines are near to; the true one must not be asked, or results would depend on it.
inline double estimated_time(const View& view, const Layout& layout, bool chained) {
    constexpr double cores = 3;
    const double chains = double(view.groups * layout.vectors), tasks = chains * double(layout.bands);
    const double followers = chained ? smaller(cores, tasks) / smaller(chains, cores) - 1.0 : 0.0;
    const double steps = double(view.width + layout.strips - 1);
    const double columns = larger(1.0, tasks / cores) * steps + followers * 2.0 * kChunk;
    return columns * column_cycles(view, layout);
}

// A step made longer where it is near a multiple of 4 KiB: addresses that differ by such a multiple share a set of the
// cache and look alike to what compares loads with earlier stores (96 channels took a quarter longer).
template <class T>
std::int64_t away_from_pages(std::int64_t elements) {
    constexpr std::int64_t page = 4096 / std::int64_t(sizeof(T));
    if (elements < page) return elements;
    while (elements % page < page / 4 || elements % page > 3 * page / 4) elements += kLanes<T>;
    return elements;
}

// The best layout for all images of `view` in vectors alike; idle lanes, if any, are in the last.
template <class T>
Layout layout_for(const View& view, bool chained) {
    constexpr int lanes = kLanes<T>;
    const std::int64_t c = view.channels, image_rows = larger<std::int64_t>(view.tallest(), 1);
    Layout best;
    double best_time = -1;
    for (int strips = 1; strips <= lanes; strips *= 2) {
        Layout layout;
        layout.strips = strips;
        layout.images_per_vector = lanes / strips;
        layout.vectors = divide_up(view.images, layout.images_per_vector);
        layout.halo = view.taps_h - 1;
        layout.history = larger<std::int64_t>((view.taps_w - 1) * view.dilation_w, 1);
        layout.row = c * lanes;
        // Rows of a strip: eight make a register block of the one-channel kernel, but many low bands occupy more
        // cores; many channels want the columns that a chunk looks at in the cache, and few rows beyond the image.
        std::int64_t max_rows = 8;
        if (c > 1) {
            constexpr std::int64_t budget = (std::int64_t(1) << 20) / std::int64_t(sizeof(T));
            const std::int64_t chunks = smaller<std::int64_t>(2, divide_up(view.width + strips - 1, kChunk));
            max_rows = budget / (c * lanes * (layout.history + chunks * kChunk)) - layout.halo;
            max_rows = larger<std::int64_t>(1, smaller<std::int64_t>(max_rows, 16));
        }
        for (std::int64_t rows = max_rows; rows == max_rows || rows >= (c == 1 ? 4 : 1);
             rows = c == 1 ? rows / 2 : rows - 1) {
            layout.rows = smaller(divide_up(image_rows, std::int64_t(strips)), rows);
            layout.bands = divide_up(image_rows, strips * layout.rows);
            const double time = estimated_time(view, layout, chained);
            if (best_time >= 0 && time > best_time) continue;
            best_time = time;
            best = layout;
        }
    }
    best.column = away_from_pages<T>((best.halo + best.rows) * best.row);
    best.rhs_column = away_from_pages<T>(best.rows * best.row);
    best.capacity = best.history + larger<std::int64_t>(best.history, 2 * kChunk) / kChunk * kChunk + kChunk;
    return best;
}

// Images in vectors alike.
struct Part {
    View view;  // of these images
    Layout layout;

    std::int64_t tasks() const { return view.groups * layout.vectors * layout.bands; }  // a band of a vector each
};

// A batch in at most two parts: what fills vectors, and the rest, with more lanes for every image.
struct Parts {
    Part part[2];
    int count;

    std::int64_t tasks() const { return part[0].tasks() + (count > 1 ? part[1].tasks() : 0); }
    std::int64_t buffer_elements() const {
        const std::int64_t first = part[0].layout.buffer_elements();
        return count > 1 ? larger(first, part[1].layout.buffer_elements()) : first;
    }
};

template <class T>
Parts parts_for(const View& view, bool chained) {
    Parts whole = {{{view, layout_for<T>(view, chained)}, {}}, 1};
    const std::int64_t rest = view.images % kLanes<T>;
    if (rest == 0 || rest == view.images) return whole;
    Parts split = {{{view, {}}, {view, {}}}, 2};
    split.part[0].view.images = view.images - rest;
    split.part[1].view.images = rest;
    split.part[1].view.first_image = view.images - rest;
    double time = 0;
    for (Part& part : split.part) {
        part.layout = layout_for<T>(part.view, chained);
        time += estimated_time(part.view, part.layout, chained);
    }
    return time < estimated_time(view, whole.part[0].layout, chained) ? split : whole;
}

}  // namespace

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
constexpr int kMostLanes = 16;

// How a problem is laid over vectors, bands and columns. It depends on the sizes and the instruction set alone, never
// on the thread count, so results do not either.
struct Layout {
    int strips = 1, images_per_vector = 1;
    std::int64_t rows = 1;      // of a strip
    std::int64_t bands = 1;     // of an image
    std::int64_t vectors = 0;   // that hold all images of a group
    std::int64_t halo = 0;      // rows above a strip
    std::int64_t keep = 1;      // earlier columns that the taps, or the halo, look back to
    std::int64_t capacity = 0;  // columns in memory; when full, the last `keep` move to the front
    // Steps in elements: from row to row, from column to column, and from column to column of the side buffer, which
    // holds the right-hand side of a solve or the output of a convolution (no halo, one chunk).
    std::int64_t row = 0, column = 0, side = 0;

    std::int64_t buffer_elements() const { return column * capacity + side * kChunk; }
};

template <class T>
Layout layout_for(const View& view) {
    constexpr int lanes = kLanes<T>;
    const std::int64_t c = view.channels, tall = larger<std::int64_t>(view.tallest(), 1);
    const std::int64_t reach = (view.taps_w - 1) * view.dilation_w;
    Layout best;
    double least = -1;
    best.halo = view.taps_h - 1;
    best.keep = larger<std::int64_t>(reach, 1);

    // Rows of a strip: eight make a register block of the one-channel kernel; many channels want the columns in cache.
    const std::int64_t column_budget = (std::int64_t(1) << 20) / std::int64_t(sizeof(T));
    std::int64_t most_rows = 8;
    if (c > 1) {
        most_rows = column_budget / (c * lanes * (best.keep + 2 * kChunk)) - best.halo;
        most_rows = larger<std::int64_t>(1, smaller<std::int64_t>(most_rows, 16));
    }
    for (int strips = 1; strips <= lanes; strips *= 2) {
        const int per_vector = lanes / strips;
        const std::int64_t rows = smaller(divide_up(tall, strips), most_rows);
        const std::int64_t bands = divide_up(tall, strips * rows);
        const std::int64_t vectors = divide_up(view.images, per_vector);
        // Cycles for one column: multiply-adds at two a cycle, the halo, the way in and out.
        const double fma = 0.5 * double(rows * c * c * view.taps_h * view.taps_w);
        const double halo = double(best.halo * c) * (2.0 + (bands > 1 ? 1.5 * per_vector : 0.0));
        const double moves = 12.0 * double(rows * c);
        const double cost = double(vectors * bands * (view.width + strips - 1)) * (fma + halo + moves + 20.0);
        if (least < 0 || cost <= least) {
            least = cost;
            best.strips = strips;
            best.images_per_vector = per_vector;
            best.rows = rows;
            best.bands = bands;
            best.vectors = vectors;
        }
    }
    best.row = c * lanes;
    best.column = (best.halo + best.rows) * best.row;
    best.side = best.rows * best.row;
    best.capacity = best.keep + larger<std::int64_t>(best.keep, 2 * kChunk) / kChunk * kChunk + kChunk;
    return best;
}

// The lanes of one vector over one band: where each strip starts and how many rows of it exist.
struct Lanes {
    std::int64_t start[kMostLanes];  // element of row 0, column 0, first channel, relative to the group's first channel
    std::int64_t delayed[kMostLanes];  // the same, as many columns back as the lane is late
    std::int64_t image_start[kMostLanes];
    std::int64_t image_rows[kMostLanes];
    std::int64_t rows[kMostLanes];  // 0 for an idle lane
    std::int64_t delay[kMostLanes];
    std::int64_t first_row;  // of the band
    bool full;               // every lane has all its rows
};

template <class T>
Lanes lanes_of(const View& view, const Layout& layout, std::int64_t vector, std::int64_t band) {
    Lanes lanes;
    lanes.first_row = band * layout.strips * layout.rows;
    lanes.full = true;
    for (int lane = 0; lane < kLanes<T>; ++lane) {
        const std::int64_t image = vector * layout.images_per_vector + lane / layout.strips;
        const std::int64_t strip = lane % layout.strips;
        const std::int64_t row = lanes.first_row + strip * layout.rows;
        const bool exists = image < view.images;
        lanes.image_start[lane] = exists ? view.start_of(image) : 0;
        lanes.image_rows[lane] = exists ? view.rows_of(image) : 0;
        lanes.start[lane] = lanes.image_start[lane] + row * view.row_step();
        lanes.rows[lane] = larger<std::int64_t>(0, smaller(layout.rows, lanes.image_rows[lane] - row));
        lanes.delay[lane] = strip;
        lanes.delayed[lane] = lanes.start[lane] - strip * view.col;
        lanes.full = lanes.full && lanes.rows[lane] == layout.rows;
    }
    return lanes;
}

// Whether steps t .. t + kChunk - 1 stay inside the frame in every lane, so that no pixel needs a question.
inline bool inside(const View& view, const Layout& layout, const Lanes& lanes, std::int64_t t) {
    return lanes.full && t >= layout.strips - 1 && t + kChunk <= view.width;
}

// As many pixels of one row as there are lanes: those that `lane` visits from step t on, in the order in which they
// lie in memory (backwards in time where view.col is -1). `row` is row r of the strips; zeros outside the frame.
template <class T>
Vector<T> read_at_the_edge(const T* row, const View& view, const Lanes& lanes, int lane, std::int64_t r,
                           std::int64_t t) {
    constexpr int n = kLanes<T>;
    const std::int64_t c = t - lanes.delay[lane];
    if (r < lanes.rows[lane] && c >= 0 && c + n <= view.width)
        return load_anywhere(row + lanes.start[lane] + (view.col > 0 ? c : 1 - n - c));
    alignas(kVectorBytes) T pixels[n] = {};
    if (r < lanes.rows[lane])
        for (int k = 0; k < n; ++k)
            if (c + k >= 0 && c + k < view.width)
                pixels[view.col > 0 ? k : n - 1 - k] = row[lanes.start[lane] + (c + k) * view.col];
    return load(pixels);
}

template <class T>
void write_at_the_edge(T* row, Vector<T> v, const View& view, const Lanes& lanes, int lane, std::int64_t r,
                       std::int64_t t) {
    constexpr int n = kLanes<T>;
    const std::int64_t c = t - lanes.delay[lane];
    if (r < lanes.rows[lane] && c >= 0 && c + n <= view.width)
        return store_anywhere(row + lanes.start[lane] + (view.col > 0 ? c : 1 - n - c), v);
    alignas(kVectorBytes) T pixels[n];
    store(pixels, v);
    if (r < lanes.rows[lane])
        for (int k = 0; k < n; ++k)
            if (c + k >= 0 && c + k < view.width)
                row[lanes.start[lane] + (c + k) * view.col] = pixels[view.col > 0 ? k : n - 1 - k];
}

// A chunk of columns from the image (its group's first channel) into lanes; `step` is that of the buffer's columns.
template <class T>
void read_chunk(T* buffer, std::int64_t step, const T* image, const View& view, const Layout& layout,
                const Lanes& lanes, std::int64_t t) {
    constexpr int n = kLanes<T>;
    const bool all = inside(view, layout, lanes, t);
    const std::int64_t first = view.col > 0 ? 0 : (n - 1) * step, next = view.col > 0 ? step : -step;
    for (std::int64_t r = 0; r < layout.rows; ++r)
        for (std::int64_t ch = 0; ch < view.channels; ++ch)
            for (int k = 0; k < kChunk; k += n) {
                const T* const row = image + r * view.row_step() + ch * view.channel;
                const T* const from = row + (t + k) * view.col - (view.col > 0 ? 0 : n - 1);
                Vector<T> block[n];
                if (all)
#pragma GCC unroll 16
                    for (int lane = 0; lane < n; ++lane) block[lane] = load_anywhere(from + lanes.delayed[lane]);
                else
                    for (int lane = 0; lane < n; ++lane)
                        block[lane] = read_at_the_edge<T>(row, view, lanes, lane, r, t + k);
                transpose<T>(block);
                T* const to = buffer + k * step + r * layout.row + ch * n + first;
#pragma GCC unroll 16
                for (int j = 0; j < n; ++j) store(to + j * next, block[j]);
            }
}

// And back.
template <class T>
void write_chunk(const T* buffer, std::int64_t step, T* image, const View& view, const Layout& layout,
                 const Lanes& lanes, std::int64_t t) {
    constexpr int n = kLanes<T>;
    const bool all = inside(view, layout, lanes, t);
    const std::int64_t first = view.col > 0 ? 0 : (n - 1) * step, next = view.col > 0 ? step : -step;
    for (std::int64_t r = 0; r < layout.rows; ++r)
        for (std::int64_t ch = 0; ch < view.channels; ++ch)
            for (int k = 0; k < kChunk; k += n) {
                const T* const from = buffer + k * step + r * layout.row + ch * n + first;
                Vector<T> block[n];
#pragma GCC unroll 16
                for (int j = 0; j < n; ++j) block[j] = load(from + j * next);
                transpose<T>(block);
                T* const row = image + r * view.row_step() + ch * view.channel;
                T* const to = row + (t + k) * view.col - (view.col > 0 ? 0 : n - 1);
                if (all)
#pragma GCC unroll 16
                    for (int lane = 0; lane < n; ++lane) store_anywhere(to + lanes.delayed[lane], block[lane]);
                else
                    for (int lane = 0; lane < n; ++lane)
                        write_at_the_edge<T>(row, block[lane], view, lanes, lane, r, t + k);
            }
}

// Ask for the pixels that the coming chunks will touch: one cache line of each of many rows, a pattern that no
// hardware prefetcher follows. Memory likes neighbours, so a row is asked for four chunks at once, and a quarter of
// the rows in each chunk; processors dislike bursts, so the lines are dealt to the columns of the chunk. This is the
// share of column t.
template <class T>
DEBLUR_INLINE void prefetch_rows(const T* in, const T* out, const View& view, const Lanes& lanes, std::int64_t t) {
    constexpr int ahead = 4, n = kLanes<T>;
    const std::int64_t k = t % kChunk, turn = t / kChunk % ahead;
    for (std::int64_t lane = k * n / kChunk; lane < (k + 1) * n / kChunk; ++lane) {
        const std::int64_t c = t - k + 2 * kChunk - 1 - lanes.delay[lane];
        std::int64_t item = 0;
        for (std::int64_t r = 0; r < lanes.rows[lane] && c < view.width; ++r)
            for (std::int64_t ch = 0; ch < view.channels; ++ch, ++item) {
                if (item % ahead != turn) continue;
                const std::int64_t at = lanes.start[lane] + r * view.row_step() + ch * view.channel;
                for (std::int64_t j = c; j < smaller(view.width, c + ahead * kChunk); j += kChunk) {
                    __builtin_prefetch(in + at + j * view.col, 0, 2);
                    __builtin_prefetch(out + at + j * view.col, 1, 2);
                }
            }
    }
}

// The halo of the strips that start a band, for a chunk of columns: single numbers, from rows that the bands above
// finished.
template <class T>
void read_upper_halo(T* x, const T* image, const View& view, const Layout& layout, const Lanes& lanes, std::int64_t t) {
    for (int lane = 0; lane < kLanes<T>; lane += layout.strips)
        for (std::int64_t m = 1; m <= layout.halo; ++m) {
            const std::int64_t row = lanes.first_row - m;
            const bool exists = row >= 0 && row < lanes.image_rows[lane];
            const std::int64_t end = exists ? smaller<std::int64_t>(kChunk, view.width - t) : 0;
            for (std::int64_t ch = 0; ch < view.channels; ++ch) {
                T* to = x - m * layout.row + ch * kLanes<T> + lane;
                const T* from =
                    image + lanes.image_start[lane] + row * view.row_step() + ch * view.channel + t * view.col;
                std::int64_t k = 0;
                for (; k < end; ++k) to[k * layout.column] = from[k * view.col];
                for (; k < kChunk; ++k) to[k * layout.column] = T(0);
            }
        }
}

// The halo of one column: every strip's from the strip above it, one step ago; `first` marks the lanes that start a
// band, which keep what read_upper_halo put there (or zero, in the topmost band).
template <class T>
DEBLUR_INLINE void pass_halo_down(T* x, const Layout& layout, Mask<T> first, bool topmost) {
    const std::int64_t vectors = layout.halo * layout.row;
    const T* from = x - layout.column + (layout.rows - layout.halo) * layout.row;
    T* to = x - vectors;
    if (topmost)
        for (std::int64_t k = 0; k < vectors; k += kLanes<T>)
            store<T>(to + k, first ? Vector<T>{} : up_one_lane<T>(load(from + k)));
    else
        for (std::int64_t k = 0; k < vectors; k += kLanes<T>)
            store<T>(to + k, first ? load(to + k) : up_one_lane<T>(load(from + k)));
}

template <class T>
Mask<T> band_starters(const Layout& layout) {
    Mask<T> first{};
    for (int lane = 0; lane < kLanes<T>; ++lane) first[lane] = lane % layout.strips == 0 ? -1 : 0;
    return first;
}

}  // namespace

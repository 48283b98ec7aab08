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

// The lanes of one vector over one band: where each strip starts and how many rows of it exist.
struct Lanes {
    std::int64_t start[kMaxLanes];  // element of row 0, column 0, first channel, relative to the group's first channel
    std::int64_t skewed_start[kMaxLanes];  // the same, as many columns back as the lane is behind
    std::int64_t image_start[kMaxLanes];
    std::int64_t image_rows[kMaxLanes];
    std::int64_t edge[kMaxLanes];  // of the row that is repeated above the image, column 0
    std::int64_t rows[kMaxLanes];  // 0 for an idle lane
    std::int64_t skew[kMaxLanes];  // columns that the lane is behind
    std::int64_t first_row;        // of the band
    bool full;                     // every lane has all its rows
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
        lanes.edge[lane] = exists ? view.edge_of(image) : 0;
        lanes.start[lane] = lanes.image_start[lane] + row * view.row_step();
        lanes.rows[lane] = larger<std::int64_t>(0, smaller(layout.rows, lanes.image_rows[lane] - row));
        lanes.skew[lane] = strip;
        lanes.skewed_start[lane] = lanes.start[lane] - strip * view.col;
        lanes.full = lanes.full && lanes.rows[lane] == layout.rows;
    }
    return lanes;
}

// Whether steps t .. t + kChunk - 1 stay inside the frame in every lane, so that no pixel needs a question.
inline bool is_interior(const View& view, const Layout& layout, const Lanes& lanes, std::int64_t t) {
    return lanes.full && t >= layout.strips - 1 && t + kChunk <= view.width;
}

// Which of the pixels that `lane` visits from step t on lie in the frame, as many as there are lanes, in the order in
// which they lie in memory (backwards in time where view.col is -1): [begin, end) of those from `offset` on.
struct Segment {
    std::int64_t offset, begin, end;
};

template <class T>
DEBLUR_INLINE Segment segment(const View& view, const Lanes& lanes, int lane, std::int64_t r, std::int64_t t) {
    constexpr std::int64_t n = kLanes<T>;
    const std::int64_t c = t - lanes.skew[lane];
    const std::int64_t begin = larger<std::int64_t>(0, -c), end = smaller(n, view.width - c);
    if (r >= lanes.rows[lane] || begin >= end) return {0, 0, 0};
    if (view.col > 0) return {lanes.start[lane] + c, begin, end};
    return {lanes.start[lane] + 1 - n - c, n - end, n - begin};
}

// A row of a lane near the frame's edge; `row` is row r of the strips; zeros outside the frame.
template <class T>
Vector<T> read_at_the_edge(const T* row, const View& view, const Lanes& lanes, int lane, std::int64_t r,
                           std::int64_t t) {
    const Segment s = segment<T>(view, lanes, lane, r, t);
    if (s.end - s.begin == kLanes<T>) return load_anywhere(row + s.offset);
    alignas(kVectorBytes) T pixels[kLanes<T>] = {};
    __builtin_memcpy(pixels + s.begin, row + s.offset + s.begin, std::size_t(s.end - s.begin) * sizeof(T));
    return load(pixels);
}

template <class T>
void write_at_the_edge(T* row, Vector<T> v, const View& view, const Lanes& lanes, int lane, std::int64_t r,
                       std::int64_t t) {
    const Segment s = segment<T>(view, lanes, lane, r, t);
    if (s.end - s.begin == kLanes<T>) return store_anywhere(row + s.offset, v);
    alignas(kVectorBytes) T pixels[kLanes<T>];
    store(pixels, v);
    __builtin_memcpy(row + s.offset + s.begin, pixels + s.begin, std::size_t(s.end - s.begin) * sizeof(T));
}

// A chunk of columns from the image (its group's first channel) into lanes; `step` is that of the buffer's columns. All
// rows of a channel before the next channel: they share pages of memory.
template <class T>
void read_chunk(T* buffer, std::int64_t step, const T* image, const View& view, const Layout& layout,
                const Lanes& lanes, std::int64_t t) {
    constexpr int n = kLanes<T>;
    const bool interior = is_interior(view, layout, lanes, t);
    const std::int64_t first = view.col > 0 ? 0 : (n - 1) * step, next = view.col > 0 ? step : -step;
    for (std::int64_t ch = 0; ch < view.channels; ++ch)
        for (std::int64_t r = 0; r < layout.rows; ++r)
            for (int k = 0; k < kChunk; k += n) {
                const T* const row = image + r * view.row_step() + ch * view.channel;
                const T* const from = row + (t + k) * view.col - (view.col > 0 ? 0 : n - 1);
                Vector<T> block[n];
                if (interior)
#pragma GCC unroll 16
                    for (int lane = 0; lane < n; ++lane) block[lane] = load_anywhere(from + lanes.skewed_start[lane]);
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
    const bool interior = is_interior(view, layout, lanes, t);
    const std::int64_t first = view.col > 0 ? 0 : (n - 1) * step, next = view.col > 0 ? step : -step;
    for (std::int64_t ch = 0; ch < view.channels; ++ch)
        for (std::int64_t r = 0; r < layout.rows; ++r)
            for (int k = 0; k < kChunk; k += n) {
                const T* const from = buffer + k * step + r * layout.row + ch * n + first;
                Vector<T> block[n];
#pragma GCC unroll 16
                for (int j = 0; j < n; ++j) block[j] = load(from + j * next);
                transpose<T>(block);
                T* const row = image + r * view.row_step() + ch * view.channel;
                T* const to = row + (t + k) * view.col - (view.col > 0 ? 0 : n - 1);
                if (interior)
#pragma GCC unroll 16
                    for (int lane = 0; lane < n; ++lane) store_anywhere(to + lanes.skewed_start[lane], block[lane]);
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
    constexpr int kChunksAhead = 4, n = kLanes<T>;
    const std::int64_t k = t % kChunk, phase = t / kChunk % kChunksAhead;
    for (std::int64_t lane = k * n / kChunk; lane < (k + 1) * n / kChunk; ++lane) {
        const std::int64_t c = t - k + 2 * kChunk - 1 - lanes.skew[lane];
        std::int64_t item = 0;
        for (std::int64_t r = 0; r < lanes.rows[lane] && c < view.width; ++r)
            for (std::int64_t ch = 0; ch < view.channels; ++ch, ++item) {
                if (item % kChunksAhead != phase) continue;
                const std::int64_t offset = lanes.start[lane] + r * view.row_step() + ch * view.channel;
                for (std::int64_t j = c; j < smaller(view.width, c + kChunksAhead * kChunk); j += kChunk) {
                    __builtin_prefetch(in + offset + j * view.col, 0, 2);
                    __builtin_prefetch(out + offset + j * view.col, 1, 2);
                }
            }
    }
}

// What lies to the left of the frame in the columns that a band starts from: zeros, or every row's pixel at the edge.
template <class T>
void fill_left_halo(T* buffer, const T* image, const View& view, const Layout& layout, const Lanes& lanes) {
    const std::int64_t n = kLanes<T>, count = view.repeats ? layout.column : layout.history * layout.column;
    for (std::int64_t k = 0; k < count; k += n) store<T>(buffer + k, Vector<T>{});
    if (!view.repeats) return;
    for (std::int64_t lane = 0; lane < n; ++lane)
        for (std::int64_t r = -layout.halo; r < lanes.rows[lane]; ++r) {
            const std::int64_t row = lanes.first_row + lane % layout.strips * layout.rows + r;
            if (row >= lanes.image_rows[lane] || lanes.image_rows[lane] == 0) continue;
            const T* from = image - view.inset * view.col;
            from += row < 0 ? lanes.edge[lane] : lanes.image_start[lane] + row * view.row_step();
            T* const to = buffer + (layout.halo + r) * layout.row + lane;
            for (std::int64_t ch = 0; ch < view.channels; ++ch) to[ch * n] = from[ch * view.channel];
        }
    for (std::int64_t k = 1; k < layout.history; ++k)
        __builtin_memcpy(buffer + k * layout.column, buffer, std::size_t(layout.column) * sizeof(T));
}

// The same in the lanes that have not yet reached the frame at step t; x stands at row 0 of its column.
template <class T>
void restore_left_halo(T* x, const T* image, const View& view, const Layout& layout, const Lanes& lanes,
                       std::int64_t t) {
    for (int lane = 0; lane < kLanes<T>; ++lane) {
        if (t >= lanes.skew[lane]) continue;
        const T* const from = image + lanes.start[lane] - view.inset * view.col;
        for (std::int64_t r = 0; r < lanes.rows[lane]; ++r)
            for (std::int64_t ch = 0; ch < view.channels; ++ch)
                x[r * layout.row + ch * kLanes<T> + lane] = from[r * view.row_step() + ch * view.channel];
    }
}

// The chunks of a band, one after another: f(t, count, x) for the `count` columns from step t on, the first of which has
// its row 0 at x. They lie one behind the other in the buffer, behind the `history` columns that fill_left_halo wrote;
// when it is full, the last of them move to the front. An f that is not inlined costs small taps five per cent.
template <class T, class F>
DEBLUR_INLINE void for_chunks(const View& view, const Layout& layout, T* buffer, F f) {
    const std::int64_t steps = view.width + layout.strips - 1;
    std::int64_t column = layout.history;
    for (std::int64_t t = 0; t < steps; t += kChunk, column += kChunk) {
        if (column + kChunk > layout.capacity) {
            __builtin_memmove(buffer, buffer + (column - layout.history) * layout.column,
                              std::size_t(layout.history * layout.column) * sizeof(T));
            column = layout.history;
        }
        f(t, smaller<std::int64_t>(kChunk, steps - t), buffer + column * layout.column + layout.halo * layout.row);
    }
}

// The halo of the strips that start a band, for a chunk of columns: single numbers, from rows that the bands above
// finished, or from the row that is repeated above the image.
template <class T>
void read_upper_halo(T* x, const T* image, const View& view, const Layout& layout, const Lanes& lanes, std::int64_t t) {
    for (int lane = 0; lane < kLanes<T>; lane += layout.strips)
        for (std::int64_t m = 1; m <= layout.halo; ++m) {
            const std::int64_t row = lanes.first_row - m;
            const bool exists = row >= 0 ? row < lanes.image_rows[lane] : view.repeats && lanes.image_rows[lane] > 0;
            const std::int64_t end = exists ? smaller<std::int64_t>(kChunk, view.width - t) : 0;
            for (std::int64_t ch = 0; ch < view.channels; ++ch) {
                T* to = x - m * layout.row + ch * kLanes<T> + lane;
                const T* from = image + ch * view.channel + t * view.col;
                from += row < 0 ? lanes.edge[lane] : lanes.image_start[lane] + row * view.row_step();
                std::int64_t k = 0;
                for (; k < end; ++k) to[k * layout.column] = from[k * view.col];
                for (; k < kChunk; ++k) to[k * layout.column] = T(0);
            }
        }
}

// The halo of one column: every strip's from the strip above it, one step ago; `top` marks the lanes that start a band,
// which keep what read_upper_halo put there (or zero, in the topmost band).
template <class T>
DEBLUR_INLINE void pass_halo_down(T* x, const Layout& layout, Mask<T> top, bool topmost) {
    const std::int64_t vectors = layout.halo * layout.row;
    const T* from = x - layout.column + (layout.rows - layout.halo) * layout.row;
    T* to = x - vectors;
    if (topmost)
        for (std::int64_t k = 0; k < vectors; k += kLanes<T>)
            store<T>(to + k, top ? Vector<T>{} : up_one_lane<T>(load(from + k)));
    else
        for (std::int64_t k = 0; k < vectors; k += kLanes<T>)
            store<T>(to + k, top ? load(to + k) : up_one_lane<T>(load(from + k)));
}

template <class T>
Mask<T> top_lanes(const Layout& layout) {
    Mask<T> top{};
    for (int lane = 0; lane < kLanes<T>; ++lane) top[lane] = lane % layout.strips == 0 ? -1 : 0;
    return top;
}

}  // namespace

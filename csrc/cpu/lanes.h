// Columns on their way between the image and the lanes of a vector, which layout.h draws.
//
// A chunk of columns is read a vector of pixels at a time, along the rows, and turned by a transpose in registers; what a
// column needs from outside its strip, the halo, comes from the left of the frame, from the band above or from the strip
// above, one step ago.
#pragma once

#include <cstdint>

#include "layout.h"

namespace {

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

// Solving and convolving: bands of an image as tasks, several of them in flight.
//
// A band needs the band above it only as far as it has come itself, so the next thread follows about two chunks behind:
//
//     thread 0   band 0  ################..........      #  done
//     thread 1   band 1  ##############............      Each band publishes how many of its columns are in the image
//     thread 0   band 2  (when band 0 is done)           (release); the one below waits for those it reads (acquire).
//
// Tasks are drawn from a ticket, band by band over all vectors of images. A band's upper neighbour was thus drawn
// earlier, by a thread that is running, so waiting ends however many threads there are; with many images nobody waits
// at all.
#pragma once

#include "border.h"
#include "columns.h"
#include "pool.h"
#include "scratch.h"

namespace {

// How many columns of one band are finished in the image; alone on its cache line.
struct alignas(64) Progress {
    std::int64_t columns;

    void publish(std::int64_t finished) { __atomic_store_n(&columns, finished, __ATOMIC_RELEASE); }
    void wait_for(std::int64_t needed) const {
        for (int spins = 0; __atomic_load_n(&columns, __ATOMIC_ACQUIRE) < needed; ++spins)
            if (spins < 2000)
                relax();
            else
                deblur::yield();  // more threads than cores: let the one that is waited for run
    }
};

template <class T>
struct Sweep {
    Parts parts;
    const Taps<T>* taps[2];  // of every part: of every group
    Progress* progress[2];   // of every part: [band][vector of images], null where no band waits for another
    Column<T> column;
    bool solve;
    const T* in;
    T* out;
    T* buffers;  // one for every worker
    std::int64_t tasks, workers;
    std::int64_t next_task, next_worker;
};

template <class T>
void run_band(const Sweep<T>& s, int part, std::int64_t task, T* buffer) {
    const View& view = s.parts.part[part].view;
    const Layout& layout = s.parts.part[part].layout;
    const std::int64_t vectors = view.groups * layout.vectors;
    const std::int64_t band = task / vectors, vector = task % vectors, group = vector / layout.vectors;
    const std::int64_t offset = group * view.channels * view.channel;
    const T* const in = s.in + offset;
    T* const out = s.out + offset;
    const Taps<T>& taps = s.taps[part][group];
    const Lanes lanes = lanes_of<T>(view, layout, vector % layout.vectors, band);
    const Mask<T> top = top_lanes<T>(layout);
    const Progress* const upper_progress = s.solve && band > 0 ? s.progress[part] + (task - vectors) : nullptr;
    Progress* const own_progress = s.solve && band + 1 < layout.bands ? s.progress[part] + task : nullptr;

    T* const rhs = buffer + layout.column * layout.capacity;
    const T* const halo_image = s.solve ? out : in;  // where what lies beyond the band is read
    fill_left_halo<T>(buffer, halo_image, view, layout, lanes);
    for_chunks(view, layout, buffer, [&](std::int64_t t, std::int64_t count, T* x) DEBLUR_ALWAYS_INLINE {
        if (s.solve)
            read_chunk<T>(rhs, layout.rhs_column, in, view, layout, lanes, t);
        else
            read_chunk<T>(x, layout.column, in, view, layout, lanes, t);
        const std::int64_t lead = view.repeats && t == 0 ? layout.strips - 1 : 0;  // lanes left of the frame
        if (!s.solve)
            for (std::int64_t k = 0; k < lead; ++k)
                restore_left_halo<T>(x + k * layout.column, halo_image, view, layout, lanes, k);
        if (upper_progress) upper_progress->wait_for(smaller(view.width, t + kChunk));
        if (band > 0 || view.repeats) read_upper_halo<T>(x, halo_image, view, layout, lanes, t);
        for (std::int64_t k = 0; k < count; ++k) {
            prefetch_rows<T>(in, out, view, lanes, t + k);
            pass_halo_down<T>(x + k * layout.column, layout, top, band == 0 && !view.repeats);
            s.column(taps, x + k * layout.column, rhs + k * layout.rhs_column);
            if (s.solve && k < lead) restore_left_halo<T>(x + k * layout.column, halo_image, view, layout, lanes, k);
        }
        if (s.solve)
            write_chunk<T>(x, layout.column, out, view, layout, lanes, t);
        else
            write_chunk<T>(rhs, layout.rhs_column, out, view, layout, lanes, t);
        if (own_progress) own_progress->publish(t + kChunk - (layout.strips - 1));
    });
    if (own_progress) own_progress->publish(view.width);
}

template <class T>
void sweep_thread(void* context) {
    Sweep<T>& s = *static_cast<Sweep<T>*>(context);
    const FlushSubnormals flush;
    const std::int64_t worker = __atomic_fetch_add(&s.next_worker, 1, __ATOMIC_RELAXED);
    if (worker >= s.workers) return;
    T* const buffer = s.buffers + worker * s.parts.buffer_elements();
    const std::int64_t first_part_tasks = s.parts.part[0].tasks();
    for (;;) {
        const std::int64_t task = __atomic_fetch_add(&s.next_task, 1, __ATOMIC_RELAXED);
        if (task >= s.tasks) return;
        if (task < first_part_tasks)
            run_band<T>(s, 0, task, buffer);
        else
            run_band<T>(s, 1, task - first_part_tasks, buffer);
    }
}

// All pixels of a view.
template <class T>
int sweep_view(const deblur_problem& p, const View& view, bool solve, const void* in, const void* weight, void* out,
               int threads) {
    Sweep<T> s;
    s.parts = parts_for<T>(view, solve);
    s.column = column_kernel<T>(view.channels, solve);
    s.solve = solve;
    s.in = static_cast<const T*>(in);
    s.out = static_cast<T*>(out);
    s.tasks = s.parts.tasks();
    s.next_task = s.next_worker = 0;
    const std::int64_t groups = view.groups, packed = packed_elements(view), square = view.channels * view.channels;
    s.workers = worth_threads(threads, s.tasks, double(p.batch * view.height * view.width) * double(groups * packed));

    const Scratch<Taps<T>> taps(2 * groups);
    const Scratch<T> weights(groups * packed);
    const Scratch<double> workspace(4 * square);
    const Scratch<Progress> progress(solve ? s.tasks : 0);
    const Scratch<T> buffers(s.workers * s.parts.buffer_elements());
    if (!taps || !weights || !workspace || !progress || !buffers) return DEBLUR_NO_MEMORY;
    for (std::int64_t g = 0; g < groups; ++g) {
        const Taps<T> packed_taps =
            pack_taps<T>(view, p, solve, static_cast<const T*>(weight) + g * square * p.taps_h * p.taps_w,
                         weights.data() + g * packed, workspace.data());
        for (int part = 0; part < s.parts.count; ++part)
            taps[part * groups + g] = packed_taps.laid_out(view, s.parts.part[part].layout);
    }
    for (std::int64_t k = 0; k < progress.size(); ++k) progress[k].columns = 0;
    for (int part = 0; part < 2; ++part) {
        s.taps[part] = taps.data() + part * groups;
        s.progress[part] = progress.data() + part * s.parts.part[0].tasks();
    }
    s.buffers = buffers.data();
    deblur::run_on_threads(int(s.workers), threads, sweep_thread<T>, &s);
    return DEBLUR_OK;
}

// A convolution with a repeated border reads beyond the frame what is there to be read. A solve finds the first row and
// column before all others, and so knows what lies beyond the rest; for the adjoint, which writes on them what it would
// write beyond, they come last.
template <class T>
int sweep(const deblur_problem& p, bool solve, const void* in, const void* weight, void* out, int threads) {
    const bool transpose = p.transpose != 0, separate_edges = p.border == DEBLUR_REPLICATE && (solve || transpose);
    const View view = canonical(p, transpose, separate_edges);
    int status = separate_edges && !transpose ? edges<T>(p, solve, in, weight, out, threads) : DEBLUR_OK;
    if (status == DEBLUR_OK && view.height > 0 && view.width > 0)
        status = sweep_view<T>(p, view, solve, in, weight, out, threads);
    if (status == DEBLUR_OK && separate_edges && transpose) status = edges<T>(p, solve, in, weight, out, threads);
    return status;
}

}  // namespace

// The wavefront kernel: exact inverse with several channels per group, one block of threads per image.
//
// It starts from x = D^-1 y and taps with the anchor folded in (fold.cuh). At time t all pixels of the anti-diagonal
// i + j = t are solved at once, one skinny product of the taps with what earlier diagonals hold:
//
//     (channels) x (taps * channels)   times   (taps * channels) x (pixels of the diagonal)
//
// The last taps_h + taps_w - 1 diagonals are kept in a ring, by time, row and channel, channels innermost:
//
//     slot t % depth      row -2  0 0 0 0                tap (a, b) of pixel (i, t - i) is row i - a of slot t - a - b.
//                         row -1  0 0 0 0   halo         Rows above the image are zero, and so is what a diagonal has
//                         row  0  c c c c                below its last pixel, where the column is negative: nothing
//                         row  1  c c c c                was ever written there. So no tap asks where it is.
//
// A thread takes kTile neighbouring pixels and kOutputs output channels, a quad of input channels at a time: kTile quads
// of values and kOutputs of weights are loaded for 4 kTile kOutputs multiply-adds. That leaves few threads, so the taps
// and quads are shared out between `parts` of them, which add up their sums in shared memory:
//
//     thread = part * per_pass + item        item = tile * spread + lane        output channels lane, lane + spread, ...
//
// The ring lies in shared memory where it fits and in a scratch of global memory, in cache mostly, where it does not; so
// do the taps. Any image, any number of channels and any number of taps can be solved; many channels and large images at
// once are where this kernel is not fast: one image keeps one multiprocessor busy, and reads all taps again for every
// diagonal.
#pragma once

#include "fold.cuh"

constexpr int kTile = 4;                               // pixels of a thread
constexpr int kOutputs = sizeof(Scalar) == 4 ? 4 : 2;  // its output channels: twice as many would spill doubles
constexpr int kSums = kTile * kOutputs;
constexpr int kPrefetched = 2;          // of its right-hand sides: all, from eight parts on
constexpr int kWavefrontThreads = 384;  // with more, the registers would not do

// One image, seen by its block.
struct Wavefront {
    Image image;
    Scalar* x;         // channel 0 of the group at the image's corner
    Quad* ring;        // [slot][row, the halo first][quad of channels]
    const Quad* taps;  // [tap - 1][quad of input channels][output channel]
    Scalar* sums;      // [part][output channel and pixel of a thread][item]
    int channels, quads, taps_h, taps_w;
    int depth;  // slots of the ring
    int rows;   // of a slot
    int parts, per_pass, spread;
    long long channel_step;
};

DEBLUR_DEVICE Wavefront wavefront_of(const Problem& p) {
    Wavefront front;
    front.image = image_of(p, blockIdx.x);
    front.x = p.x + front.image.first;
    front.channels = p.channels;
    front.quads = p.padded / kQuad;
    front.taps_h = p.taps_h;
    front.taps_w = p.taps_w;
    front.depth = p.taps_h + p.taps_w - 1;
    const int tallest = divide_up(p.height, p.dilation_h), widest = divide_up(p.width, p.dilation_w);
    front.rows = p.taps_h - 1 + tallest + kTile - 1;
    front.parts = p.parts;
    front.spread = divide_up(p.channels, kOutputs);
    front.per_pass = smaller(divide_up(smaller(tallest, widest), kTile) * front.spread, kWavefrontThreads);
    front.channel_step = p.channel_step;
    return front;
}

// A thread's work on every diagonal. It adds the products of all pairs of a tap and a quad of input channels, in this
// order, from `begin` to `end`; the first one is tap (a, b) and `quad`.
struct Work {
    int part, index;  // which part of the sums, and of which item of a pass
    int tile, lane;   // of the item in the first pass
    int begin, end, a, b, quad;
};

DEBLUR_DEVICE Work work_of(const Wavefront& front) {
    const int pairs = (front.taps_h * front.taps_w - 1) * front.quads;
    Work work;
    work.part = threadIdx.x / front.per_pass;
    work.index = threadIdx.x % front.per_pass;
    work.tile = work.index / front.spread;
    work.lane = work.index % front.spread;
    work.begin = pairs * work.part / front.parts;
    work.end = pairs * (work.part + 1) / front.parts;
    work.quad = work.begin % front.quads;
    work.a = (1 + work.begin / front.quads) / front.taps_w;
    work.b = (1 + work.begin / front.quads) % front.taps_w;
    return work;
}

// A pass over a part of a diagonal: all of it but for many channels or a large image.
struct Pass {
    int t, slot;      // the diagonal, and where it lies in the ring
    int first, last;  // its rows
    int base, items;  // the first item of this pass, and how many there are

    DEBLUR_DEVICE void find_rows(const Wavefront& front) {
        first = larger(0, t - front.image.width + 1);
        last = smaller(t, front.image.height - 1);
        base = 0;
        items = divide_up(last - first + 1, kTile) * front.spread;
    }
    DEBLUR_DEVICE void advance(const Wavefront& front) {
        base += front.per_pass;
        if (base < items) return;
        ++t;
        slot = slot + 1 == front.depth ? 0 : slot + 1;
        find_rows(front);
    }
    DEBLUR_DEVICE bool is_over(const Wavefront& front) const { return t >= front.image.height + front.image.width - 1; }
};

// What a thread has of a pass. Its pixels and output channels are numbered: pixel m of output channel n is number
// n * kTile + m.
struct Item {
    int row;     // of its first pixel
    int lane;    // its first output channel
    int pixels;  // 0 or less: none
    Scalar* x;   // the first pixel in channel 0

    DEBLUR_DEVICE int channel(const Wavefront& front, int number) const { return lane + number / kTile * front.spread; }
    DEBLUR_DEVICE bool has(const Wavefront& front, int number) const {
        return number < kSums && number % kTile < pixels && channel(front, number) < front.channels;
    }
    DEBLUR_DEVICE Scalar* address(const Wavefront& front, int number) const {  // down the diagonal from pixel to pixel
        return x + channel(front, number) * front.channel_step +
               number % kTile * (front.image.row - front.image.column);
    }
    DEBLUR_DEVICE Scalar rhs_at(const Wavefront& front, int number) const {
        return has(front, number) ? *address(front, number) : 0;
    }
    DEBLUR_DEVICE void prefetch_rhs(const Wavefront& front, int part, Scalar (&rhs)[kPrefetched]) const {
#pragma unroll
        for (int k = 0; k < kPrefetched; ++k) rhs[k] = rhs_at(front, part + k * front.parts);
    }
};

DEBLUR_DEVICE Item item_of(const Wavefront& front, const Work& work, const Pass& pass) {
    const int index = pass.base + work.index;
    const int tile = pass.base == 0 ? work.tile : index / front.spread;
    Item item;
    item.row = pass.first + tile * kTile;
    item.lane = index - tile * front.spread;
    item.pixels = work.part < front.parts && !pass.is_over(front) ? pass.last - item.row + 1 : 0;
    item.x = front.x + item.row * front.image.row + (pass.t - item.row) * front.image.column;
    return item;
}

template <int kUnrolled>
DEBLUR_DEVICE void add_products(Scalar (&sums)[kOutputs][kTile], const Wavefront& front, const Work& work, int slot,
                                const Item& item) {
    int a = work.a, b = work.b, quad = work.quad;
    const Quad* tap = front.taps + (long long)work.begin * front.channels;
    int channel[kOutputs];
#pragma unroll
    for (int n = 0; n < kOutputs; ++n)  // one beyond the last is computed in vain
        channel[n] = smaller(item.lane + n * front.spread, front.channels - 1);
    for (int begin = work.begin; begin < work.end;) {
        const int source_slot = slot - a - b + (slot < a + b ? front.depth : 0);
        const Quad* values =
            front.ring + (long long)(source_slot * front.rows + front.taps_h - 1 + item.row - a) * front.quads + quad;
        const int count = smaller(front.quads - quad, work.end - begin);
#pragma unroll kUnrolled
        for (int k = 0; k < count; ++k, ++values, tap += front.channels) {
            Quad weight[kOutputs], value[kTile];
#pragma unroll
            for (int n = 0; n < kOutputs; ++n) weight[n] = tap[channel[n]];
#pragma unroll
            for (int m = 0; m < kTile; ++m) value[m] = values[m * front.quads];
#pragma unroll
            for (int q = 0; q < kQuad; ++q)
#pragma unroll
                for (int n = 0; n < kOutputs; ++n)
#pragma unroll
                    for (int m = 0; m < kTile; ++m) sums[n][m] += weight[n].v[q] * value[m].v[q];
        }
        begin += count;
        quad = 0;
        if (++b == front.taps_w) b = 0, ++a;
    }
}

// Adds up the parts of one of an item's sums: a pixel is solved.
DEBLUR_DEVICE void finish(const Wavefront& front, const Work& work, const Pass& pass, const Item& item, int number,
                          Scalar total) {
    if (!item.has(front, number)) return;
#pragma unroll 4
    for (int part = 0; part < front.parts; ++part)
        total += front.sums[(part * kSums + number) * front.per_pass + work.index];
    const int channel = item.channel(front, number), row = item.row + number % kTile;
    *item.address(front, number) = total;
    Quad* const slot_row = front.ring + (long long)(pass.slot * front.rows + front.taps_h - 1 + row) * front.quads;
    slot_row[channel / kQuad].v[channel % kQuad] = total;
}

template <bool kRingInShared, bool kTapsInShared>
DEBLUR_DEVICE void solve_image(const Problem& p, Scalar* shared) {
    Wavefront front = wavefront_of(p);
    const int thread = threadIdx.x, threads = blockDim.x;
    const long long ring_quads = (long long)front.depth * front.rows * front.quads;
    const int tap_quads = (front.taps_h * front.taps_w - 1) * front.quads * front.channels;
    front.ring =
        reinterpret_cast<Quad*>(kRingInShared ? shared : p.ring) + (kRingInShared ? 0 : blockIdx.x * ring_quads);
    front.taps = reinterpret_cast<const Quad*>(p.folded) + (long long)front.image.group * tap_quads;
    front.sums = shared + (kRingInShared ? ring_quads * kQuad : 0) + (kTapsInShared ? tap_quads * kQuad : 0);
    for (long long k = thread; k < ring_quads; k += threads) front.ring[k] = Quad{};
    if (kTapsInShared) {
        Quad* const copy = reinterpret_cast<Quad*>(shared) + ring_quads;
        for (int k = thread; k < tap_quads; k += threads) copy[k] = front.taps[k];
        front.taps = copy;
    }
    __syncthreads();

    const Work work = work_of(front);
    Pass pass = {};
    pass.find_rows(front);
    Item item = item_of(front, work, pass);
    Scalar rhs[kPrefetched];  // right-hand sides, asked for before they are needed
    item.prefetch_rhs(front, work.part, rhs);
    while (!pass.is_over(front)) {
        if (item.pixels > 0) {
            Scalar sums[kOutputs][kTile] = {};
            add_products<kRingInShared ? 2 : 1>(sums, front, work, pass.slot, item);
#pragma unroll
            for (int number = 0; number < kSums; ++number)
                front.sums[(work.part * kSums + number) * front.per_pass + work.index] =
                    sums[number / kTile][number % kTile];
        }
        __syncthreads();  // all parts of the sums are there

        // Every part finishes some of the numbers.
#pragma unroll
        for (int k = 0; k < kPrefetched; ++k) finish(front, work, pass, item, work.part + k * front.parts, rhs[k]);
        for (int number = work.part + kPrefetched * front.parts; number < kSums; number += front.parts)
            finish(front, work, pass, item, number, item.rhs_at(front, number));
        pass.advance(front);
        item = item_of(front, work, pass);
        item.prefetch_rhs(front, work.part, rhs);
        __syncthreads();  // this part of the diagonal is in the ring; the slot it replaced was last read for it
    }
}

DEBLUR_KERNEL(deblur_wavefront_solve, kWavefrontThreads) {
    DEBLUR_SHARED_MEMORY(shared);
    solve_image<false, false>(problem, shared);
}

DEBLUR_KERNEL(deblur_wavefront_solve_ring, kWavefrontThreads) {
    DEBLUR_SHARED_MEMORY(shared);
    solve_image<true, false>(problem, shared);
}

DEBLUR_KERNEL(deblur_wavefront_solve_all, kWavefrontThreads) {
    DEBLUR_SHARED_MEMORY(shared);
    solve_image<true, true>(problem, shared);
}

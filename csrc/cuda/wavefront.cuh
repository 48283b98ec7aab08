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

constexpr int kTile = 4;                                  // pixels of a thread
constexpr int kOutputs = sizeof(Scalar) == 4 ? 4 : 2;     // its output channels: twice as many would spill doubles
constexpr int kSums = kTile * kOutputs;
constexpr int kHeld = 2;  // of its right-hand sides: all, from eight parts on
constexpr int kWavefrontThreads = 384;  // with more, the registers would not do

// One image, seen by its block.
struct Sweep {
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

DEBLUR_DEVICE Sweep sweep_of(const Problem& p) {
    Sweep s;
    s.image = image_of(p, blockIdx.x);
    s.x = p.x + s.image.first;
    s.channels = p.channels;
    s.quads = p.padded / kQuad;
    s.taps_h = p.taps_h;
    s.taps_w = p.taps_w;
    s.depth = p.taps_h + p.taps_w - 1;
    const int tallest = divide_up(p.height, p.dilation_h), widest = divide_up(p.width, p.dilation_w);
    s.rows = p.taps_h - 1 + tallest + kTile - 1;
    s.parts = p.parts;
    s.spread = divide_up(p.channels, kOutputs);
    s.per_pass = smaller(divide_up(smaller(tallest, widest), kTile) * s.spread, kWavefrontThreads);
    s.channel_step = p.channel_step;
    return s;
}

// A thread's work on every diagonal. It adds the products of all pairs of a tap and a quad of input channels, in this
// order, from `begin` to `end`; the first one is tap (a, b) and `quad`.
struct Work {
    int part, place;  // of which item of a pass
    int tile, lane;   // of the item in the first pass
    int begin, end, a, b, quad;
};

DEBLUR_DEVICE Work work_of(const Sweep& s) {
    const int pairs = (s.taps_h * s.taps_w - 1) * s.quads;
    Work work;
    work.part = threadIdx.x / s.per_pass;
    work.place = threadIdx.x % s.per_pass;
    work.tile = work.place / s.spread;
    work.lane = work.place % s.spread;
    work.begin = pairs * work.part / s.parts;
    work.end = pairs * (work.part + 1) / s.parts;
    work.quad = work.begin % s.quads;
    work.a = (1 + work.begin / s.quads) / s.taps_w;
    work.b = (1 + work.begin / s.quads) % s.taps_w;
    return work;
}

// A pass over a part of a diagonal: all of it but for many channels or a large image.
struct Pass {
    int t, slot;      // the diagonal, and where it lies in the ring
    int first, last;  // its rows
    int base, items;  // the first item of this pass, and how many there are

    DEBLUR_DEVICE void find_rows(const Sweep& s) {
        first = larger(0, t - s.image.width + 1);
        last = smaller(t, s.image.height - 1);
        base = 0;
        items = divide_up(last - first + 1, kTile) * s.spread;
    }
    DEBLUR_DEVICE void advance(const Sweep& s) {
        base += s.per_pass;
        if (base < items) return;
        ++t;
        slot = slot + 1 == s.depth ? 0 : slot + 1;
        find_rows(s);
    }
    DEBLUR_DEVICE bool is_over(const Sweep& s) const { return t >= s.image.height + s.image.width - 1; }
};

// What a thread has of a pass. Its pixels and output channels are numbered: pixel m of output channel n is number
// n * kTile + m.
struct Item {
    int row;     // of its first pixel
    int lane;    // its first output channel
    int pixels;  // 0 or less: none
    Scalar* x;   // the first pixel in channel 0

    DEBLUR_DEVICE int channel(const Sweep& s, int number) const { return lane + number / kTile * s.spread; }
    DEBLUR_DEVICE bool has(const Sweep& s, int number) const {
        return number < kSums && number % kTile < pixels && channel(s, number) < s.channels;
    }
    DEBLUR_DEVICE Scalar* at(const Sweep& s, int number) const {  // down the diagonal from pixel to pixel
        return x + channel(s, number) * s.channel_step + number % kTile * (s.image.row - s.image.column);
    }
    DEBLUR_DEVICE Scalar right_side(const Sweep& s, int number) const { return has(s, number) ? *at(s, number) : 0; }
    DEBLUR_DEVICE void read_ahead(const Sweep& s, int part, Scalar (&coming)[kHeld]) const {
#pragma unroll
        for (int k = 0; k < kHeld; ++k) coming[k] = right_side(s, part + k * s.parts);
    }
};

DEBLUR_DEVICE Item item_of(const Sweep& s, const Work& work, const Pass& pass) {
    const int index = pass.base + work.place;
    const int tile = pass.base == 0 ? work.tile : index / s.spread;
    Item item;
    item.row = pass.first + tile * kTile;
    item.lane = index - tile * s.spread;
    item.pixels = work.part < s.parts && !pass.is_over(s) ? pass.last - item.row + 1 : 0;
    item.x = s.x + item.row * s.image.row + (pass.t - item.row) * s.image.column;
    return item;
}

template <int kUnrolled>
DEBLUR_DEVICE void add_products(Scalar (&sums)[kOutputs][kTile], const Sweep& s, const Work& work, int slot,
                                const Item& item) {
    int a = work.a, b = work.b, quad = work.quad;
    const Quad* tap = s.taps + (long long)work.begin * s.channels;
    int channel[kOutputs];
#pragma unroll
    for (int n = 0; n < kOutputs; ++n)  // one beyond the last is computed in vain
        channel[n] = smaller(item.lane + n * s.spread, s.channels - 1);
    for (int begin = work.begin; begin < work.end;) {
        const int earlier = slot - a - b + (slot < a + b ? s.depth : 0);
        const Quad* values = s.ring + (long long)(earlier * s.rows + s.taps_h - 1 + item.row - a) * s.quads + quad;
        const int count = smaller(s.quads - quad, work.end - begin);
#pragma unroll kUnrolled
        for (int k = 0; k < count; ++k, ++values, tap += s.channels) {
            Quad weight[kOutputs], value[kTile];
#pragma unroll
            for (int n = 0; n < kOutputs; ++n) weight[n] = tap[channel[n]];
#pragma unroll
            for (int m = 0; m < kTile; ++m) value[m] = values[m * s.quads];
#pragma unroll
            for (int q = 0; q < kQuad; ++q)
#pragma unroll
                for (int n = 0; n < kOutputs; ++n)
#pragma unroll
                    for (int m = 0; m < kTile; ++m) sums[n][m] += weight[n].of[q] * value[m].of[q];
        }
        begin += count;
        quad = 0;
        if (++b == s.taps_w) b = 0, ++a;
    }
}

// Adds up the parts of one of an item's sums: a pixel is solved.
DEBLUR_DEVICE void finish(const Sweep& s, const Work& work, const Pass& pass, const Item& item, int number,
                          Scalar total) {
    if (!item.has(s, number)) return;
#pragma unroll 4
    for (int part = 0; part < s.parts; ++part) total += s.sums[(part * kSums + number) * s.per_pass + work.place];
    const int channel = item.channel(s, number), row = item.row + number % kTile;
    *item.at(s, number) = total;
    Quad* const here = s.ring + (long long)(pass.slot * s.rows + s.taps_h - 1 + row) * s.quads;
    here[channel / kQuad].of[channel % kQuad] = total;
}

template <bool kRingInShared, bool kTapsInShared>
DEBLUR_DEVICE void solve_image(const Problem& p, Scalar* shared) {
    Sweep s = sweep_of(p);
    const int thread = threadIdx.x, threads = blockDim.x;
    const long long ring_quads = (long long)s.depth * s.rows * s.quads;
    const int tap_quads = (s.taps_h * s.taps_w - 1) * s.quads * s.channels;
    s.ring = reinterpret_cast<Quad*>(kRingInShared ? shared : p.ring) + (kRingInShared ? 0 : blockIdx.x * ring_quads);
    s.taps = reinterpret_cast<const Quad*>(p.folded) + (long long)s.image.group * tap_quads;
    s.sums = shared + (kRingInShared ? ring_quads * kQuad : 0) + (kTapsInShared ? tap_quads * kQuad : 0);
    for (long long k = thread; k < ring_quads; k += threads) s.ring[k] = Quad{};
    if (kTapsInShared) {
        Quad* const copy = reinterpret_cast<Quad*>(shared) + ring_quads;
        for (int k = thread; k < tap_quads; k += threads) copy[k] = s.taps[k];
        s.taps = copy;
    }
    __syncthreads();

    const Work work = work_of(s);
    Pass pass = {};
    pass.find_rows(s);
    Item item = item_of(s, work, pass);
    Scalar coming[kHeld];  // right-hand sides, asked for before they are needed
    item.read_ahead(s, work.part, coming);
    while (!pass.is_over(s)) {
        if (item.pixels > 0) {
            Scalar sums[kOutputs][kTile] = {};
            add_products<kRingInShared ? 2 : 1>(sums, s, work, pass.slot, item);
#pragma unroll
            for (int number = 0; number < kSums; ++number)
                s.sums[(work.part * kSums + number) * s.per_pass + work.place] = sums[number / kTile][number % kTile];
        }
        __syncthreads();  // all parts of the sums are there

        // Every part finishes some of the numbers.
#pragma unroll
        for (int k = 0; k < kHeld; ++k) finish(s, work, pass, item, work.part + k * s.parts, coming[k]);
        for (int number = work.part + kHeld * s.parts; number < kSums; number += s.parts)
            finish(s, work, pass, item, number, item.right_side(s, number));
        pass.advance(s);
        item = item_of(s, work, pass);
        item.read_ahead(s, work.part, coming);
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

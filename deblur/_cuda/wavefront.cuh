// The wavefront kernel: exact inverse with several channels per group, one block of threads per image.
//
// It starts from x = D^-1 y and taps with the anchor folded in (fold.cuh). At time t all pixels of the anti-diagonal
// i + j = t are solved at once, one skinny product of the taps with what earlier diagonals hold, and one barrier ends it:
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
// A thread takes one output channel of kTile neighbouring pixels: a quad of weights, read by the warp in one piece,
// serves four pixels, and their values are the same address for all its lanes. The ring lies in shared memory where it
// fits and in a scratch of global memory, in cache mostly, where it does not; so do the taps. Any image, any number of
// channels and any number of taps can be solved; many channels and large images at once are where this kernel is not
// fast: one image keeps one multiprocessor busy, and reads all taps again for every diagonal.
#pragma once

#include "fold.cuh"

constexpr int kTile = 4;  // pixels of a thread
constexpr int kWavefrontThreads = 512;

// One image, seen by its block.
struct Sweep {
    Image image;
    Scalar* x;         // channel 0 of the group at the image's corner
    Quad* ring;        // [slot][row, the halo first][quad of channels]
    const Quad* taps;  // [tap - 1][quad of input channels][output channel]
    int channels, quads, taps_h, taps_w;
    int depth;  // slots of the ring
    int rows;   // of a slot
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
    s.rows = p.taps_h - 1 + divide_up(p.height, p.dilation_h) + kTile - 1;
    s.channel_step = p.channel_step;
    return s;
}

// One output channel of up to kTile pixels, from row `row` of diagonal t on; `last` is the diagonal's last row.
DEBLUR_DEVICE void solve_tile(const Sweep& s, int t, int slot, int row, int last, int channel) {
    Scalar* const x = s.x + channel * s.channel_step + row * s.image.row + (t - row) * s.image.column;
    const long long next = s.image.row - s.image.column;  // to the pixel below on the diagonal
    Scalar sums[kTile];
#pragma unroll
    for (int k = 0; k < kTile; ++k) sums[k] = row + k <= last ? x[k * next] : 0;
    const Quad* tap = s.taps + channel;
    for (int a = 0; a < s.taps_h; ++a) {
        for (int b = a == 0; b < s.taps_w; ++b) {
            const int earlier = slot - a - b + (slot < a + b ? s.depth : 0);
            const Quad* values = s.ring + (long long)(earlier * s.rows + s.taps_h - 1 + row - a) * s.quads;
            for (int quad = 0; quad < s.quads; ++quad, ++values, tap += s.channels) {
                const Quad weight = *tap;
#pragma unroll
                for (int k = 0; k < kTile; ++k) {
                    const Quad value = values[k * s.quads];
#pragma unroll
                    for (int q = 0; q < kQuad; ++q) sums[k] += weight.of[q] * value.of[q];
                }
            }
        }
    }
    Quad* const here = s.ring + (long long)(slot * s.rows + s.taps_h - 1 + row) * s.quads;
#pragma unroll
    for (int k = 0; k < kTile; ++k) {
        if (row + k > last) break;
        x[k * next] = sums[k];
        here[k * s.quads + channel / kQuad].of[channel % kQuad] = sums[k];
    }
}

template <bool kRingInShared, bool kTapsInShared>
DEBLUR_DEVICE void solve_image(const Problem& p, Scalar* shared) {
    Sweep s = sweep_of(p);
    const int thread = threadIdx.x, threads = blockDim.x;
    const long long ring_quads = (long long)s.depth * s.rows * s.quads;
    const int tap_quads = (s.taps_h * s.taps_w - 1) * s.quads * s.channels;
    s.ring = reinterpret_cast<Quad*>(kRingInShared ? shared : p.ring) + (kRingInShared ? 0 : blockIdx.x * ring_quads);
    for (long long k = thread; k < ring_quads; k += threads) s.ring[k] = Quad{};
    s.taps = reinterpret_cast<const Quad*>(p.folded) + (long long)s.image.group * tap_quads;
    if (kTapsInShared) {
        Quad* const copy = reinterpret_cast<Quad*>(shared) + ring_quads;
        for (int k = thread; k < tap_quads; k += threads) copy[k] = s.taps[k];
        s.taps = copy;
    }
    __syncthreads();

    for (int t = 0, slot = 0; t < s.image.height + s.image.width - 1; ++t) {
        const int first = larger(0, t - s.image.width + 1), last = smaller(t, s.image.height - 1);
        const int items = divide_up(last - first + 1, kTile) * s.channels;
        for (int item = thread; item < items; item += threads)
            solve_tile(s, t, slot, first + item / s.channels * kTile, last, item % s.channels);
        __syncthreads();  // diagonal t is in the ring; the slot it replaced was last read for this diagonal
        if (++slot == s.depth) slot = 0;
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

// The part of a band's work that is not sequential: windows of finished times, each with a row of the taps, added to the
// sums of chunk c + 1 by all warps of a block. band.cuh says when, toeplitz.cuh what a window is.
#pragma once

#include "band_memory.cuh"

// Adds window m of row a of the taps to the sums of chunk c + 1.
DEBLUR_DEVICE void add_window(Scalar (&sums)[kChunk], const Band& band, int a, int m) {
    const Scalar* const source = band.slot(a + m * kChunk) + band.lane - a;
    const Quad* const quads = reinterpret_cast<const Quad*>(band.weights + a * band.weight_pitch + m * kChunk);
    Scalar value[kChunk], weight[2 * kChunk];
#pragma unroll
    for (int k = 0; k < 2 * kChunk; k += kQuad) {
        const Quad quad = quads[k / kQuad];
#pragma unroll
        for (int q = 0; q < kQuad; ++q) weight[k + q] = quad.v[q];
    }
    if (m > 0) {
#pragma unroll
        for (int s = 0; s < kChunk; ++s) value[s] = source[s * band.pitch];
        add_diagonals<1 - kChunk>(sums, value, weight);
    } else {  // its last times may be those of chunk c + 1 itself
#pragma unroll
        for (int s = 0; s < kChunk; ++s) value[s] = s < a ? source[s * band.pitch] : 0;
        add_diagonals<0>(sums, value, weight);
    }
}

// The windows that end before chunk c, so that they need not wait for it: row by row those from first_independent(a) on.
// A warp takes `count` of them in a row.
struct WindowRange {
    int a, m, count;
};

DEBLUR_DEVICE int first_independent(int a) { return larger(0, 2 - int(unsigned(a) / kChunk)); }

DEBLUR_DEVICE int independent_windows(const Band& band) {
    int count = 0;
    for (int a = 0; a < band.taps_h; ++a) count += larger(0, band.windows + 1 - first_independent(a));
    return count;
}

// The share of a warp: nothing for the solver, and half of what the others have for those that publish and wait.
DEBLUR_DEVICE WindowRange independent_share(const Band& band, int count) {
    const int begin = band.warp < kPublisher ? 2 * band.warp - 2 : band.warp + kPublisher - 2;
    const int first = count * larger(0, begin) / (2 * kPublisher);
    const int last = count * (begin + (band.warp < kPublisher ? 2 : 1)) / (2 * kPublisher);
    WindowRange share = {0, first_independent(0), last - first};
    for (int passed = 0; share.a < band.taps_h; ++share.a) {
        share.m = first_independent(share.a);
        const int in_row = larger(0, band.windows + 1 - share.m);
        if (first < passed + in_row) {
            share.m += first - passed;
            break;
        }
        passed += in_row;
    }
    return share;
}

DEBLUR_DEVICE void add_independent(Scalar (&sums)[kChunk], const Band& band, const WindowRange& share) {
    int a = share.a, m = share.m;
    for (int n = 0; n < share.count; ++n) {
        add_window(sums, band, a, m);
        if (++m > band.windows) m = first_independent(++a);
    }
}

// The windows that reach into chunk c and depend on it: m = 1 of the rows before the eighth, m = 0 of those from the
// first to the 15th.
DEBLUR_DEVICE int dependent_whole(const Band& band) { return band.windows > 0 ? smaller(band.taps_h, kChunk) : 0; }
DEBLUR_DEVICE int dependent_windows(const Band& band) {
    return dependent_whole(band) + smaller(band.taps_h, 2 * kChunk) - 1;
}

DEBLUR_DEVICE void add_dependent(Scalar (&sums)[kChunk], const Band& band) {
    const int whole = dependent_whole(band), count = dependent_windows(band);
    for (int n = band.warp; n < count; n += kWarps) add_window(sums, band, n < whole ? n : n - whole + 1, n < whole);
}

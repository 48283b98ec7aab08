// What a block of the band kernel has: its place in the image, its threads and its shared memory. band.cuh draws it.
#pragma once

#include "problem.cuh"
#include "toeplitz.cuh"

constexpr int kWarps = sizeof(Scalar) == 4 ? 16 : 8;  // registers for more there are not
constexpr int kBandThreads = kWarps * kLanes;
constexpr int kPixels = kLanes * kChunk;              // of a chunk
constexpr int kFirstWriter = kBandThreads - kPixels;  // the threads that write the image and read halos
constexpr int kMaxHalo = 256;                         // rows above a band that fit in these threads' registers
constexpr int kHaloRegisters = kMaxHalo * kChunk / kPixels;
constexpr int kFewRows = 4;             // of taps: a chunk is then solved with fewer loads
constexpr int kPartPitch = kLanes + 4;  // so that 4 rows of 8 times lie in 32 banks; the ring's too
constexpr int kSolver = 0, kPublisher = kWarps - 2, kWaiter = kWarps - 1;  // warps with a task of their own

// The block's shared memory; deblur/ops/_cuda/plan.py computes its size.
struct Band {
    Scalar* ring;     // [time in the ring][pad + lane]
    Scalar* weights;  // [a][7 zeros, taps, zeros], divided by minus the anchor
    Scalar* parts;    // [warp][time in the chunk][lane]: the warps' sums
    Scalar* rhs;      // [time in the chunk][lane]: right-hand side of the chunk to be solved next
    int* ticket;      // the number that this block drew: its band of its image

    Image image;
    int index;  // of the band in its image
    int rows;   // of it that lie in the image, at most 32
    int taps_h, taps_w;
    int halo;          // rows above the band that the taps read
    int pad;           // lanes before lane 0 in the ring, zeros where no halo is
    int pitch;         // elements of one time in the ring
    int times;         // in the ring, a multiple of kChunk; the first kChunk stand behind them once more
    int head;          // time in the ring at which chunk c + 1 begins
    int windows;       // the largest m
    int weight_pitch;  // elements of one row of weights
    int warp, lane;

    DEBLUR_DEVICE long long pixel(int row, int column) const {
        return image.first + (long long)(index * kLanes + row) * image.row + (long long)column * image.column;
    }
    // Lane 0's value of the time that lies `age` before chunk c + 1 begins: 0 to `times`.
    DEBLUR_DEVICE Scalar* slot(int age) const {
        const int time = head - age;
        return ring + (time < 0 ? time + times : time) * pitch + pad;
    }
    // From a chunk that begins there to its mirror, where it is kept a second time; 0 for all but one.
    DEBLUR_DEVICE int mirror_offset(const Scalar* chunk) const { return chunk == ring + pad ? times * pitch : 0; }
    DEBLUR_DEVICE const Scalar* taps(int a) const { return weights + a * weight_pitch + kChunk - 1; }
};

DEBLUR_DEVICE Band band_of(const Problem& p, Scalar* shared) {
    Band band;
    band.warp = threadIdx.x / kLanes;
    band.lane = threadIdx.x % kLanes;
    band.taps_h = p.taps_h;
    band.taps_w = p.taps_w;
    band.halo = p.taps_h - 1;
    band.pad = larger(band.halo, kChunk - 1);
    band.pitch = divide_up(band.pad + kLanes - 4, 8) * 8 + 4;
    band.windows = (p.taps_w + kChunk - 2) / kChunk;
    band.times = kChunk * (1 + band.windows + divide_up(band.halo, kChunk));
    band.head = 0;
    band.weight_pitch = kChunk * (band.windows + 2);
    band.ring = shared;
    band.weights = band.ring + (band.times + kChunk) * band.pitch;
    band.parts = band.weights + p.taps_h * band.weight_pitch;
    band.rhs = band.parts + kWarps * kChunk * kPartPitch;
    band.ticket = reinterpret_cast<int*>(band.rhs + kChunk * kPartPitch);
    return band;
}

// Zeros in the ring: they are the outside of the image (one whose edge is repeated comes as problems of this kind, see
// deblur/ops/_cuda/border.py). The taps, divided by minus the anchor, so that every product is added; a vanishing anchor
// gives NaN. Returns one over the anchor.
DEBLUR_DEVICE Scalar prepare(const Problem& p, const Band& band) {
    const int thread = threadIdx.x;
    for (int k = thread; k < (band.times + kChunk) * band.pitch; k += kBandThreads) band.ring[k] = 0;
    for (int k = thread; k < kChunk * kPartPitch; k += kBandThreads) band.rhs[k] = 0;
    const Scalar* const weight = p.weight + band.image.group * p.weight_group;
    const Scalar anchor = weight[0];
    const Scalar inverse = anchor != 0 ? 1 / anchor : not_a_number();
    for (int k = thread; k < band.taps_h * band.weight_pitch; k += kBandThreads) {
        const int a = k / band.weight_pitch, b = k % band.weight_pitch - (kChunk - 1);
        const bool is_tap = b >= 0 && b < band.taps_w;
        band.weights[k] = is_tap ? -inverse * weight[a * p.weight_row + b * p.weight_column] : 0;
    }
    return inverse;
}

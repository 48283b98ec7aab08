// The device as the kernels see it, and nothing of it beyond this: threads, barriers, shared memory, flags.
//
// The same kernels are compiled by three compilers: NVRTC at first use, nvcc in the checks, and a host compiler for the
// emulator of the tests (csrc/emulator), which gives the names below a meaning of its own. There are no includes: NVRTC
// has no standard library.
//
// Flags between blocks follow the pattern of PTX's memory model: everything that a block wrote before a barrier is seen
// by whoever acquires what one of its threads released after that barrier, and by the rest of his block after the next
// barrier there. A relaxed load or store would order nothing.
#pragma once

#ifndef DEBLUR_SCALAR
#define DEBLUR_SCALAR float
#endif
typedef DEBLUR_SCALAR Scalar;

#ifdef DEBLUR_EMULATED
#include "emulated.h"
#else

#define DEBLUR_DEVICE __device__ __forceinline__
// A kernel and the number of threads its block has at most; it takes the one argument `problem`. One block at a time on
// a multiprocessor is enough, so that no register is spilled for the sake of a second.
#define DEBLUR_KERNEL(name, threads) \
    extern "C" __global__ void __launch_bounds__(threads, 1) name(const __grid_constant__ Problem problem)
// The block's dynamic shared memory, of the size that the launch asked for.
#define DEBLUR_SHARED_MEMORY(name)                                 \
    extern __shared__ __align__(16) unsigned char deblur_shared[]; \
    Scalar* const name = reinterpret_cast<Scalar*>(deblur_shared)

// Wait-and-publish between blocks: the value, and with it all that was written before it was released.
DEBLUR_DEVICE int load_acquire(const int* flag) {
    int value;
    asm volatile("ld.acquire.gpu.s32 %0, [%1];" : "=r"(value) : "l"(flag) : "memory");
    return value;
}

DEBLUR_DEVICE void store_release(int* flag, int value) {
    asm volatile("st.release.gpu.s32 [%0], %1;" ::"l"(flag), "r"(value) : "memory");
}

// Between two looks at a flag that was not yet there.
DEBLUR_DEVICE void pause() { __nanosleep(32); }

#endif

constexpr int kLanes = 32;  // threads of a warp

// constexpr functions need no annotation in nvcc, but NVRTC refuses them without.
__host__ __device__ constexpr int smaller(int a, int b) { return a < b ? a : b; }
__host__ __device__ constexpr int larger(int a, int b) { return a > b ? a : b; }
__host__ __device__ constexpr int divide_up(int a, int b) { return (a + b - 1) / b; }

// Values that are loaded together. Aligned to 16, not 32: a quad of doubles is two loads of 16 bytes.
constexpr int kQuad = 4;
struct alignas(16) Quad {
    Scalar v[kQuad];
};

DEBLUR_DEVICE Scalar not_a_number() {
    const Scalar zero = 0;
    return zero / zero;
}

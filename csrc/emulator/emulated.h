// CUDA's words for the host compiler: what csrc/cuda/dev.cuh includes in place of the device's own.
//
// Every word that lets another thread come in between (barriers, warp synchronisation, shuffles, atomics, flags) is a
// *switch point*: the fiber says what it waits for and the scheduler (emulator.cpp) decides who goes on. Ordinary loads
// and stores are ordinary; the orders that ThreadSanitizer knows of are those of barriers and of acquire and release.
#pragma once

#include <cstdint>

namespace emulator {

struct Index {
    unsigned x, y, z;
};

// Where a switch point stands in the source.
struct Location {
    const char* file;
    int line;
};

// By value: a sanitizer must not see a look at the emulator's own memory.
Index thread_index();
Index block_index();
Index block_size();
void* shared_memory();

void barrier(Location location);
void warp_barrier(unsigned mask, Location location);
// The value that `source` of the warp's lanes brought to the same shuffle.
std::uint64_t shuffle(unsigned mask, std::uint64_t value, int source, Location location);
void yield_before_store(Location location);  // any thread may come first
void note_store();                           // whoever waits for a flag looks again
void yield_before_load(Location location);
void wait_for_store(Location location);  // until some flag is stored to, unless one was since this thread's last look

}  // namespace emulator

#define DEBLUR_DEVICE inline
#define DEBLUR_KERNEL(name, threads) extern "C" void name(const Problem& problem)
#define DEBLUR_SHARED_MEMORY(name) Scalar* const name = static_cast<Scalar*>(emulator::shared_memory())
#define __host__
#define __device__
#define threadIdx (emulator::thread_index())
#define blockIdx (emulator::block_index())
#define blockDim (emulator::block_size())
// Two default arguments, where the call stands (braces around them would name this file instead).
#define EMULATOR_CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATOR_CALLER) { emulator::barrier({file, line}); }

inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATOR_CALLER) { emulator::warp_barrier(mask, {file, line}); }

template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int distance, int = 32, EMULATOR_CALLER) {
    static_assert(sizeof(T) <= sizeof(std::uint64_t));
    std::uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = emulator::shuffle(mask, bits, int(threadIdx.x % 32) ^ distance, {file, line});
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

inline int atomicAdd(int* target, int value, EMULATOR_CALLER) {
    emulator::yield_before_store({file, line});
    const int old = __atomic_fetch_add(target, value, __ATOMIC_RELAXED);
    emulator::note_store();
    return old;
}

inline int load_acquire(const int* flag, EMULATOR_CALLER) {
    emulator::yield_before_load({file, line});
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

inline void store_release(int* flag, int value, EMULATOR_CALLER) {
    emulator::yield_before_store({file, line});
    __atomic_store_n(flag, value, __ATOMIC_RELEASE);
    emulator::note_store();
}

// No kernel uses these two; the tests plant them, to see that they are found.
inline int load_relaxed(const int* flag, EMULATOR_CALLER) {
    emulator::yield_before_load({file, line});
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

inline void store_relaxed(int* flag, int value, EMULATOR_CALLER) {
    emulator::yield_before_store({file, line});
    __atomic_store_n(flag, value, __ATOMIC_RELAXED);
    emulator::note_store();
}

inline void pause(EMULATOR_CALLER) { emulator::wait_for_store({file, line}); }

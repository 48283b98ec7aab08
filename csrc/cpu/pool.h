// Threads for the kernels: torch's own where this process has them within reach, else a small pool of std::thread.
//
// torch's threads are those of its OpenMP library. They spin for some milliseconds after each of torch's operations, to
// be quick for the next, and a second set of threads would have to share the cores with them: a solve right after a
// matrix product took twice its time. OpenMP's entry is looked up in the process, so nothing is linked.
//
// In the pool, to wake a sleeping thread takes some ten microseconds, more on a virtual machine, which is a tenth of a
// solve of 256 x 256 pixels. So helpers look out for the next call for about as long before they sleep, and the caller
// for its helpers' end.
#pragma once

namespace {

// One step of a wait: lets the other thread of a core work, and costs some ten nanoseconds.
inline __attribute__((always_inline)) void relax() {
#if defined(__SSE__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

}  // namespace

namespace deblur {

// Calls body(context) on the calling thread and on others at once, and returns when all that started have ended: on
// `workers` in all where there is so much work, 1 or more, or on `threads`, torch's number, where they are torch's (a
// team of another size would be made anew). A body draws its share of the work from a ticket of its own making (see
// bands.h) and returns where there is none, so a helper that wakes too late, or that the system never runs, costs
// little. If another caller holds the pool, body runs here alone.
void run_on_threads(int workers, int threads, void (*body)(void*), void* context);

// std::this_thread::yield(), which is inline and so nothing for files that are compiled for one instruction set (simd.h).
void yield();

}  // namespace deblur

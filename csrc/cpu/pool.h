// Threads for the kernels: a small pool of std::thread, woken per call and asleep otherwise.
//
// To wake a sleeping thread takes some ten microseconds, more on a virtual machine, which is a tenth of a solve of
// 256 x 256 pixels. So helpers look out for the next call for about as long before they sleep, and the caller for its
// helpers' end. Longer would take a core from the threads of others.
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

// Calls body(context) on the calling thread and on up to `threads - 1` others at once, and returns when all that
// started have ended. A body draws its share of the work from a ticket of its own making (see bands.h), so
// a helper that wakes too late, or that the system never runs, costs nothing. If another caller holds the pool, body
// runs here alone.
void run_on_threads(int threads, void (*body)(void*), void* context);

}  // namespace deblur

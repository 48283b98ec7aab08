// Threads for the kernels: a small pool of std::thread, woken per call and asleep otherwise.
#pragma once

namespace deblur {

// Calls body(context) on the calling thread and on up to `threads - 1` others at once, and returns when all that
// started have ended. A body draws its share of the work from a ticket of its own making (see bands.h), so
// a helper that wakes too late, or that the system never runs, costs nothing. If another caller holds the pool, body
// runs here alone.
void run_on_threads(int threads, void (*body)(void*), void* context);

}  // namespace deblur

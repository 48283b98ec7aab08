// A fiber: a stack of its own, entered and left by hand. The emulator runs every CUDA thread as one.
//
// The switch saves what the calling convention asks a function to keep, and the stack pointer. It is written out for
// x86-64 (a system call per switch, as swapcontext makes, would be most of the emulator's time); elsewhere swapcontext
// serves. The sanitizers are told of every switch: to ThreadSanitizer each fiber is a thread of its own, and a switch
// orders nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && !defined(EMULATOR_UCONTEXT)
#define EMULATOR_OWN_SWITCH 1
#else
#include <ucontext.h>
#endif

#if defined(__SANITIZE_THREAD__) || defined(DEBLUR_TSAN)
#define EMULATOR_TSAN 1
extern "C" {
void* __tsan_get_current_fiber(void);
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(DEBLUR_ASAN)
#define EMULATOR_ASAN 1
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, std::size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, std::size_t* size);
}
#endif

namespace emulator {

struct Context {
#if EMULATOR_OWN_SWITCH
    void* stack_pointer = nullptr;
#else
    ucontext_t machine;
#endif
    void* tsan = nullptr;
    void* fake_stack = nullptr;
    const void* bottom = nullptr;
    std::size_t size = 0;
};

// Makes a context that starts in `entry`, which must never return, on the given stack.
void prepare(Context& context, void* stack, std::size_t size, void (*entry)());
// Leaves the running context for another one.
void switch_to(Context& from, Context& to);
// The first thing on a new stack.
void finish_first_switch(Context& from);

}  // namespace emulator

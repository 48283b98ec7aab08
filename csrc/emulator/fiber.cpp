#include "fiber.h"

namespace emulator {

#if EMULATOR_OWN_SWITCH

extern "C" void emulator_swap(void** save, void* load);
__asm__(R"(
.text
.globl emulator_swap
.hidden emulator_swap
.type emulator_swap, @function
emulator_swap:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_swap, .-emulator_swap
)");

static void prepare_stack(Context& context, void* stack, std::size_t size, void (*entry)()) {
    const std::uintptr_t top = (reinterpret_cast<std::uintptr_t>(stack) + size) & ~std::uintptr_t(63);
    void** frame = reinterpret_cast<void**>(top);
    *--frame = nullptr;                         // where `entry` would return to, and the alignment a call leaves
    *--frame = reinterpret_cast<void*>(entry);  // where the first swap returns to
    for (int k = 0; k < 6; ++k) *--frame = nullptr;
    context.stack_pointer = frame;
}

static void swap(Context& from, Context& to) { emulator_swap(&from.stack_pointer, to.stack_pointer); }

#else

static void prepare_stack(Context& context, void* stack, std::size_t size, void (*entry)()) {
    getcontext(&context.machine);
    context.machine.uc_stack.ss_sp = stack;
    context.machine.uc_stack.ss_size = size;
    context.machine.uc_link = nullptr;
    makecontext(&context.machine, entry, 0);
}

static void swap(Context& from, Context& to) { swapcontext(&from.machine, &to.machine); }

#endif

void prepare(Context& context, void* stack, std::size_t size, void (*entry)()) {
    prepare_stack(context, stack, size, entry);
    context.bottom = stack;
    context.size = size;
}

void switch_to(Context& from, Context& to) {
#if EMULATOR_TSAN
    constexpr unsigned kOrdersNothing = 1;
    __tsan_switch_to_fiber(to.tsan, kOrdersNothing);
#endif
#if EMULATOR_ASAN
    __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size);
#endif
    swap(from, to);
#if EMULATOR_ASAN
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void finish_first_switch([[maybe_unused]] Context& from) {
#if EMULATOR_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &from.bottom, &from.size);  // where the scheduler's own stack lies
#endif
}

}  // namespace emulator

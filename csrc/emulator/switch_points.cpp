// The words of emulated.h, on a fiber: each says what the thread waits for and leaves it to the scheduler who goes on.
#include <cstdlib>

#include "scheduler.h"

namespace emulator {
namespace {

void suspend(State state, Location location) {
    Thread& self = *scheduler->running;
    self.state = state;
    self.location = location;
    switch_to(self.context, scheduler->context);
}

void meet(Meeting& meeting, State state, Location location) {
    [[maybe_unused]] void* const order = meeting.order_object();
#if EMULATOR_TSAN
    __tsan_release(order);
#endif
    suspend(state, location);
#if EMULATOR_TSAN
    __tsan_acquire(order);
#endif
}

}  // namespace

void run_thread() {
    finish_first_switch(scheduler->context);
    scheduler->launch->kernel(scheduler->launch->arguments);
#if EMULATOR_TSAN
    __tsan_release(&scheduler->finished);
#endif
    suspend(State::kDone, scheduler->running->location);
    std::abort();  // a thread that is done is not resumed
}

Meeting& warp_of(const Thread& thread) { return thread.block->warps[thread.index.x / kWarp]; }

Index thread_index() { return scheduler->running->index; }
Index block_index() { return scheduler->running->block->index; }
Index block_size() { return scheduler->block_size; }
void* shared_memory() { return scheduler->running->block->shared; }

void barrier(Location location) { meet(scheduler->running->block->barrier, State::kAtBarrier, location); }

void warp_barrier(unsigned mask, Location location) {
    scheduler->running->mask = mask;
    meet(warp_of(*scheduler->running), State::kAtWarpBarrier, location);
}

std::uint64_t shuffle(unsigned mask, std::uint64_t value, int source, Location location) {
    Thread& self = *scheduler->running;
    self.mask = mask;
    self.sent = value;
    self.source = source;
    suspend(State::kAtShuffle, location);
    return self.received;
}

void yield_before_store(Location location) { suspend(State::kReady, location); }

void note_store() {
    ++scheduler->stores;
    scheduler->flag_stored = true;
}

void yield_before_load(Location location) {
    suspend(State::kReady, location);
    scheduler->running->stores_seen = scheduler->stores;
}

void wait_for_store(Location location) { suspend(State::kAtFlag, location); }

}  // namespace emulator

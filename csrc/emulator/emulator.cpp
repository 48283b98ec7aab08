// The scheduler. Fibers only say what they wait for; all that is decided is decided here, on the scheduler's own stack.
#include "emulator.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "scheduler.h"

namespace emulator {

Scheduler* scheduler = nullptr;

namespace {

#if EMULATOR_TSAN || EMULATOR_ASAN
constexpr std::size_t kStack = 256 << 10;
#else
constexpr std::size_t kStack = 64 << 10;
#endif

// By State.
const char* const kWaitsAt[] = {"is ready at",           "waits at the barrier",
                                "waits for its warp at", "waits for its warp's shuffle at",
                                "waits for a flag at",   "is done at"};

std::string name_of(const Location& location) {
    const char* const slash = std::strrchr(location.file, '/');
    return std::string(slash ? slash + 1 : location.file) + ":" + std::to_string(location.line);
}

bool differ(const Location& a, const Location& b) { return a.line != b.line || std::strcmp(a.file, b.file) != 0; }

std::string name_of(const Thread& thread) {
    return "thread " + std::to_string(thread.index.x) + " of block " + std::to_string(thread.block->index.x);
}

// The stacks of a block's fibers. Sanitizers keep notes on memory, so with them every block gets fresh pages: one block's
// stacks must not be seen in another's. Without, the stacks of the blocks that ended serve again.
#if EMULATOR_TSAN || EMULATOR_ASAN
void* take_stacks(std::size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}
void give_stacks(void* stacks, std::size_t bytes) { munmap(stacks, bytes); }
#else
std::map<std::size_t, std::vector<void*>> spare_stacks;
void* take_stacks(std::size_t bytes) {
    std::vector<void*>& spare = spare_stacks[bytes];
    if (spare.empty())
        return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void* const stacks = spare.back();
    spare.pop_back();
    return stacks;
}
void give_stacks(void* stacks, std::size_t bytes) { spare_stacks[bytes].push_back(stacks); }
#endif

void start_block(unsigned number) {
    Scheduler& s = *scheduler;
    auto block = std::make_unique<Block>();
    block->index = {number, 0, 0};
    block->threads.resize(s.launch->block);
    block->warps.resize((s.launch->block + kWarp - 1) / kWarp);
    const std::size_t bytes = s.launch->shared_bytes;
    block->stacks = take_stacks(kStack * s.launch->block);
#if EMULATOR_TSAN
    block->shared = mmap(nullptr, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#else
    block->shared = std::malloc(bytes);  // AddressSanitizer knows its end
#endif
    std::memset(block->shared, 0xff, bytes);
    for (unsigned k = 0; k < s.launch->block; ++k) {
        Thread& thread = block->threads[k];
        thread.block = block.get();
        thread.index = {k, 0, 0};
        prepare(thread.context, static_cast<char*>(block->stacks) + k * kStack, kStack, run_thread);
#if EMULATOR_TSAN
        thread.context.tsan = __tsan_create_fiber(0);
#endif
        s.ready.push_back(&thread);
    }
    s.resident[number] = std::move(block);
}

void end_block(Block& block) {
#if EMULATOR_TSAN
    for (Thread& thread : block.threads) __tsan_destroy_fiber(thread.context.tsan);
    munmap(block.shared, scheduler->launch->shared_bytes + 1);
#else
    std::free(block.shared);
#endif
    give_stacks(block.stacks, kStack * scheduler->launch->block);
}

void fail(const std::string& text) {
    if (scheduler->report.empty()) scheduler->report = text;
}

void resume(Thread& thread) {
    thread.state = State::kReady;
    scheduler->ready.push_back(&thread);
}

void on_barrier(Thread& thread) {
    Block& block = *thread.block;
    if (block.ended)
        fail(name_of(thread) + " waits at the barrier " + name_of(thread.location) + ", but " +
             std::to_string(block.ended) + " threads of its block have ended before it");
    if (block.barrier.arrived == 0) block.barrier.first_arrival = &thread;
    const Thread& first = *block.barrier.first_arrival;
    if (differ(first.location, thread.location))
        return fail("divergent barriers: " + name_of(thread) + " at " + name_of(thread.location) + ", " +
                    name_of(first) + " at " + name_of(first.location));
    if (++block.barrier.arrived < block.threads.size()) return;
    block.barrier.arrived = 0;
    ++block.barrier.generation;
    for (Thread& other : block.threads) resume(other);
}

// Threads of a warp that wait at `place` as `thread` does, once all of its mask are there; else none.
std::vector<Thread*> lanes_waiting_with(Thread& thread) {
    Block& block = *thread.block;
    const unsigned base = thread.index.x / kWarp * kWarp;
    std::vector<Thread*> lanes;
    if (!(thread.mask >> (thread.index.x - base) & 1))
        fail(name_of(thread) + " is missing from its own mask at " + name_of(thread.location));
    bool complete = true;
    for (unsigned lane = 0; lane < kWarp; ++lane) {
        if (!(thread.mask >> lane & 1)) continue;
        if (base + lane >= block.threads.size()) {
            if (thread.mask != 0xffffffffu) fail("a mask names lanes that do not exist at " + name_of(thread.location));
            continue;
        }
        Thread& other = block.threads[base + lane];
        if (other.state == State::kDone) {
            fail(name_of(thread) + " waits for its warp at " + name_of(thread.location) + ", but " + name_of(other) +
                 " has ended");
        } else if (other.state == thread.state) {
            if (differ(other.location, thread.location) || other.mask != thread.mask)
                fail("divergent warp: " + name_of(thread) + " at " + name_of(thread.location) + ", " + name_of(other) +
                     " at " + name_of(other.location));
            lanes.push_back(&other);
        } else {
            complete = false;
        }
    }
    if (!complete) lanes.clear();
    return lanes;
}

void on_warp(Thread& thread) {
    const std::vector<Thread*> lanes = lanes_waiting_with(thread);
    if (lanes.empty() || !scheduler->report.empty()) return;
    if (thread.state == State::kAtShuffle) {
        const unsigned base = thread.index.x / kWarp * kWarp;
        for (Thread* lane : lanes) {
            if (!(lane->mask >> lane->source & 1))
                return fail(name_of(*lane) + " reads a lane that is missing from the mask at " +
                            name_of(lane->location));
            lane->received = thread.block->threads[base + lane->source].sent;
        }
    } else {
        ++warp_of(thread).generation;
    }
    for (Thread* lane : lanes) resume(*lane);
}

void wake_flags() {
    for (Thread* thread : scheduler->flag_waiters) resume(*thread);
    scheduler->flag_waiters.clear();
    scheduler->flag_stored = false;
}

void on_end(Thread& thread) {
    Block& block = *thread.block;
    ++block.ended;
    if (block.barrier.arrived)
        for (const Thread& other : block.threads)
            if (other.state == State::kAtBarrier)
                return fail(name_of(thread) + " ended while " + name_of(other) + " waits at the barrier " +
                            name_of(other.location));
    if (block.ended < block.threads.size()) return;
    end_block(block);
    scheduler->resident.erase(block.index.x);
}

void report_deadlock() {
    std::string text = "deadlock:";
    for (const auto& [number, block] : scheduler->resident) {
        std::map<std::string, unsigned> places;
        for (const Thread& thread : block->threads)
            if (thread.state != State::kDone)
                ++places[std::string(kWaitsAt[int(thread.state)]) + " " + name_of(thread.location)];
        for (const auto& [location, count] : places)
            text += "\n  block " + std::to_string(number) + ": " + std::to_string(count) + " threads, each " + location;
    }
    if (!scheduler->pending.empty())
        text += "\n  " + std::to_string(scheduler->pending.size()) + " blocks have not started";
    fail(text);
}

void fill_device() {
    Scheduler& s = *scheduler;
    while (!s.pending.empty() && s.resident.size() < s.launch->resident) {
        const unsigned number = s.pending.front();
        s.pending.pop_front();
        start_block(number);
    }
}

Thread* choose() {
    Scheduler& s = *scheduler;
    if (s.ready.empty()) return nullptr;
    if (s.random) std::swap(s.ready.front(), s.ready[s.next_random() % s.ready.size()]);
    Thread* const thread = s.ready.front();
    s.ready.pop_front();
    return thread;
}

void run_all() {
    Scheduler& s = *scheduler;
    for (unsigned k = 0; k < s.launch->grid; ++k) s.pending.push_back(k);
    if (s.random)
        for (std::size_t k = s.pending.size(); k > 1; --k) std::swap(s.pending[k - 1], s.pending[s.next_random() % k]);
    for (;;) {
        fill_device();
        Thread* const thread = choose();
        if (!thread) break;
        s.running = thread;
        switch_to(s.context, thread->context);
        if (s.flag_stored) wake_flags();
        switch (thread->state) {
            case State::kReady:
                s.ready.push_back(thread);
                break;
            case State::kAtBarrier:
                on_barrier(*thread);
                break;
            case State::kAtWarpBarrier:
            case State::kAtShuffle:
                on_warp(*thread);
                break;
            case State::kAtFlag:
                if (thread->stores_seen != s.stores)
                    resume(*thread);
                else
                    s.flag_waiters.push_back(thread);
                break;
            case State::kDone:
                on_end(*thread);
                break;
        }
        if (!s.report.empty()) break;
    }
    if (s.report.empty() && !s.resident.empty()) report_deadlock();
    for (auto& [number, block] : s.resident) end_block(*block);
}

}  // namespace
}  // namespace emulator

extern "C" int emulator_run(const emulator_launch* launch, char* report, std::size_t size) {
    static std::mutex one_at_a_time;
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    emulator::Scheduler s;
    s.launch = launch;
    s.block_size.x = launch->block;
    s.random = launch->seed * 0x9e3779b97f4a7c15ull;
#if EMULATOR_TSAN
    s.context.tsan = __tsan_get_current_fiber();
#endif
    emulator::scheduler = &s;
    emulator::run_all();
    emulator::scheduler = nullptr;
#if EMULATOR_TSAN
    __tsan_acquire(&s.finished);
#endif
    std::snprintf(report, size, "%s", s.report.c_str());
    return s.report.empty() ? 0 : 1;
}

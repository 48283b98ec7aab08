// What the scheduler knows of a launch: its blocks, their threads, where they meet, and who waits for what.
//
// Two files share it. switch_points.cpp runs on the fibers and only says what a thread waits for; emulator.cpp runs on the
// scheduler's own stack and decides. Both are compiled without instrumentation: to the sanitizers the emulator does not
// exist, except for the orders that it declares (barriers) and the fibers that it announces.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emulated.h"
#include "emulator.h"
#include "fiber.h"

#undef threadIdx
#undef blockIdx
#undef blockDim

namespace emulator {

constexpr unsigned kWarp = 32;

enum class State { kReady, kAtBarrier, kAtWarpBarrier, kAtShuffle, kAtFlag, kDone };

struct Block;
struct Thread;

// Where the threads of a block, or of a warp, meet. Two objects in turn carry ThreadSanitizer's order, so that a thread
// that is already at the next meeting adds nothing to what a late one takes from this one.
struct Meeting {
    unsigned arrived = 0;
    unsigned generation = 0;
    const Thread* first_arrival = nullptr;
    char order[2] = {};
    void* order_object() { return &order[generation & 1]; }
};

struct Thread {
    Context context;
    Block* block = nullptr;
    Index index = {};
    State state = State::kReady;
    Location location = {"the kernel's start", 0};
    unsigned mask = 0;
    std::uint64_t sent = 0, received = 0;
    int source = 0;
    std::uint64_t stores_seen = 0;  // when this thread last loaded a flag
};

struct Block {
    Index index = {};
    std::vector<Thread> threads;
    std::vector<Meeting> warps;
    Meeting barrier;
    unsigned ended = 0;
    void* shared = nullptr;
    void* stacks = nullptr;
};

struct Scheduler {
    Context context;
    const emulator_launch* launch = nullptr;
    Thread* running = nullptr;
    Index block_size = {1, 1, 1};
    std::deque<Thread*> ready;
    std::vector<Thread*> flag_waiters;
    std::map<unsigned, std::unique_ptr<Block>> resident;
    std::deque<unsigned> pending;
    std::uint64_t stores = 0, random = 0;
    bool flag_stored = false;
    std::string report;
    char finished = 0;  // carries the order from every thread's end to the launch's end

    std::uint64_t next_random() {  // xorshift64*
        random ^= random >> 12, random ^= random << 25, random ^= random >> 27;
        return random * 2685821657736338717ull;
    }
};

extern Scheduler* scheduler;  // of the launch that runs

// A thread's first function, on its own stack.
void run_thread();
Meeting& warp_of(const Thread& thread);

}  // namespace emulator

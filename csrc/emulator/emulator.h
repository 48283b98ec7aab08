// Runs a kernel on the host, one fiber per CUDA thread, all blocks in one thread of the system. Test only.
//
// What it shows: wrong values under any order of threads and blocks; divergent barriers, lanes that are missing from a
// mask, exits before a barrier and deadlocks, with file and line; and with ThreadSanitizer and AddressSanitizer races
// and overruns. What it cannot show: bank conflicts, coalescing, occupancy, memory scope, speed.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct emulator_launch {
    void (*kernel)(const void* arguments);
    const void* arguments;
    std::uint64_t seed;          // 0: blocks and threads in turn; any other: a random order, the same for the same seed
    std::uint64_t shared_bytes;  // dynamic shared memory of a block: NaN at first, and not a byte more
    std::uint32_t grid, block;
    std::uint32_t resident;  // blocks that fit on the device together
};

// Returns 0, or 1 and what went wrong, cut to `size` bytes, in `report`.
int emulator_run(const emulator_launch* launch, char* report, std::size_t size);
}

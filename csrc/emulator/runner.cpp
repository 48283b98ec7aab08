// One launch from a file, as a program of its own: sanitizers want to be there from the start, not inside Python.
//
//     runner LAUNCH RESULT
//
// LAUNCH, all integers 64 bits: grid, block, shared bytes, seed, resident; length of the kernel's name, the name; size
// of the arguments, the arguments; number of buffers and for each the place of its pointer in the arguments, its size
// and its bytes. RESULT gets the buffers' bytes after the launch. Exit status 1: a report, on standard error.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "emulator.h"

namespace {

std::FILE* input;

void read(void* into, std::size_t size) {
    if (size && std::fread(into, 1, size, input) != size) std::abort();
}

std::uint64_t read_integer() {
    std::uint64_t value;
    read(&value, sizeof value);
    return value;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    input = std::fopen(argv[1], "rb");
    if (!input) return 2;
    emulator_launch launch;
    launch.grid = std::uint32_t(read_integer());
    launch.block = std::uint32_t(read_integer());
    launch.shared_bytes = read_integer();
    launch.seed = read_integer();
    launch.resident = std::uint32_t(read_integer());
    std::string kernel(read_integer(), '\0');
    read(&kernel[0], kernel.size());
    std::vector<char> arguments(read_integer());
    read(arguments.data(), arguments.size());
    std::vector<std::pair<void*, std::size_t>> buffers(read_integer());
    for (auto& [data, size] : buffers) {
        const std::uint64_t offset = read_integer();
        size = read_integer();
        data = std::malloc(size);
        read(data, size);
        std::memcpy(&arguments[offset], &data, sizeof data);
    }
    launch.kernel = reinterpret_cast<void (*)(const void*)>(dlsym(RTLD_DEFAULT, kernel.c_str()));
    if (!launch.kernel) return 2;
    launch.arguments = arguments.data();
    char report[4096];
    const int status = emulator_run(&launch, report, sizeof report);
    if (status) std::fprintf(stderr, "%s\n", report);
    std::FILE* const output = std::fopen(argv[2], "wb");
    for (auto& [data, size] : buffers) {
        std::fwrite(data, 1, size, output);
        std::free(data);
    }
    std::fclose(output);
    return status;
}

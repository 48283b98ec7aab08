// The calls of the CUDA driver that deblur/ops/_cuda/driver.py makes, with the prototypes of cuda.h, on the emulator.
//
// So that the launcher's last lines run too: what is passed, in which order and as what type. A call that the driver
// would refuse is refused here: an unknown handle, no current context, more shared memory than was allowed.
#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "emulator.h"

namespace {

constexpr int kSuccess = 0, kInvalidValue = 1, kInvalidImage = 200, kInvalidContext = 201, kNotFound = 500,
              kFailed = 719;
constexpr int kDevice = 40;  // a handle is not the number that it was asked for with
constexpr int kSharedMemory = 99 << 10, kSharedMemoryUnasked = 48 << 10;

struct Context {
} primary;

struct Module {
    void* library;
    int (*run)(const emulator_launch*, char*, std::size_t);
};

struct Function {
    Module* module;
    void (*kernel)(const void*);
    unsigned shared_limit;
};

Context* current = nullptr;
void* last_stream = nullptr;
std::string report;

// An ELF file ends with its section headers, and says where they are.
std::size_t size_of(const void* image) {
    const auto& header = *static_cast<const Elf64_Ehdr*>(image);
    return header.e_shoff + std::size_t(header.e_shnum) * header.e_shentsize;
}

}  // namespace

extern "C" {

void* emulator_last_stream() { return last_stream; }

int cuGetErrorString(int status, const char** text) {
    *text = status == kFailed ? report.c_str() : status == kInvalidImage ? "device kernel image is invalid" : "refused";
    return kSuccess;
}

int cuInit(unsigned flags) { return flags == 0 ? kSuccess : kInvalidValue; }

int cuDeviceGet(int* device, int ordinal) {
    *device = kDevice + ordinal;
    return ordinal == 0 ? kSuccess : kInvalidValue;
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
    constexpr int kSharedMemoryOptIn = 97;
    *value = kSharedMemory;
    return attribute == kSharedMemoryOptIn && device == kDevice ? kSuccess : kInvalidValue;
}

int cuDevicePrimaryCtxRetain(Context** context, int device) {
    *context = &primary;
    return device == kDevice ? kSuccess : kInvalidValue;
}

int cuCtxSetCurrent(Context* context) {
    current = context;
    return context == &primary ? kSuccess : kInvalidContext;
}

int cuModuleLoadData(Module** module, const void* image) {
    if (!current) return kInvalidContext;
    if (std::string(static_cast<const char*>(image), 4) != "\177ELF") return kInvalidImage;
    char path[] = "/tmp/deblur-module-XXXXXX";
    const int file = mkstemp(path);
    const std::size_t size = size_of(image);
    const bool written = write(file, image, size) == ssize_t(size);
    close(file);
    void* const library = written ? dlopen(path, RTLD_NOW) : nullptr;
    unlink(path);
    if (!library) return kInvalidImage;
    *module = new Module{library, reinterpret_cast<decltype(Module::run)>(dlsym(library, "emulator_run"))};
    return kSuccess;
}

int cuModuleGetFunction(Function** function, Module* module, const char* name) {
    void* const kernel = dlsym(module->library, name);
    if (!kernel) return kNotFound;
    *function = new Function{module, reinterpret_cast<void (*)(const void*)>(kernel), kSharedMemoryUnasked};
    return kSuccess;
}

int cuFuncSetAttribute(Function* function, int attribute, int value) {
    constexpr int kMaxDynamicSharedSize = 8;
    if (attribute != kMaxDynamicSharedSize || value > kSharedMemory) return kInvalidValue;
    function->shared_limit = value;
    return kSuccess;
}

int cuLaunchKernel(Function* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream, void** parameters,
                   void** extra) {
    if (!current) return kInvalidContext;
    const bool flat = grid_y == 1 && grid_z == 1 && block_y == 1 && block_z == 1;
    if (!flat || !grid_x || !block_x || block_x > 1024 || shared_bytes > function->shared_limit || extra)
        return kInvalidValue;
    last_stream = stream;
    emulator_launch launch = {};
    launch.kernel = function->kernel;
    launch.arguments = parameters[0];
    launch.shared_bytes = shared_bytes;
    launch.grid = grid_x;
    launch.block = block_x;
    launch.resident = 8;
    char text[4096];
    if (!function->module->run(&launch, text, sizeof text)) return kSuccess;
    report = text;
    return kFailed;
}
}

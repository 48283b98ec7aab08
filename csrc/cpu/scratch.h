// Memory of one call, on a cache line of its own, given back at its end.
//
// Large blocks go to a small store instead of back to the system: fresh memory costs a page fault for every 4 KiB, and
// on a virtual machine the faults of a solve's buffers took as long as a solve of 256 x 256 pixels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace deblur {

// At least `bytes` bytes on a cache line of their own, or null; give() takes what take() returned.
void* take(std::size_t bytes);
void give(void* memory);

}  // namespace deblur

namespace {

template <class T>
class Scratch {
public:
    explicit Scratch(std::int64_t count)
        : size_(count), data_(static_cast<T*>(deblur::take(std::size_t(count) * sizeof(T)))) {}
    ~Scratch() { deblur::give(data_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    explicit operator bool() const { return data_ != nullptr; }
    T* data() const { return data_; }
    T& operator[](std::int64_t k) const { return data_[k]; }
    std::int64_t size() const { return size_; }

private:
    std::int64_t size_;
    T* data_;
};

}  // namespace

// Memory of one call, on a cache line of its own, given back at its end.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace {

template <class T>
class Scratch {
public:
    explicit Scratch(std::int64_t count)
        : size_(count),
          block_(std::malloc(std::size_t(count) * sizeof(T) + kLine)),
          data_(reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(block_) + kLine - 1) / kLine * kLine)) {}
    ~Scratch() { std::free(block_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    explicit operator bool() const { return block_ != nullptr; }
    T* data() const { return data_; }
    T& operator[](std::int64_t k) const { return data_[k]; }
    std::int64_t size() const { return size_; }

private:
    static constexpr std::uintptr_t kLine = 64;
    std::int64_t size_;
    void* block_;
    T* data_;
};

}  // namespace

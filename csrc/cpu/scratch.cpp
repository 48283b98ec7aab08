// A store of a few large blocks between calls, without a lock: every slot is exchanged as a whole.
#include "scratch.h"

#include <atomic>
#include <cstdlib>

namespace deblur {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kWorthKeeping = std::size_t(1) << 16;  // below, malloc has memory at hand
constexpr std::size_t kMostKept = std::size_t(1) << 23;      // of one slot
constexpr int kSlots = 4;

// In front of the memory, on the line before it.
struct Header {
    void* block;  // what malloc returned
    std::size_t bytes;
};
static_assert(sizeof(Header) <= kLine, "one line holds it");

std::atomic<Header*> store[kSlots];
std::atomic<unsigned> next_victim;  // which slot makes room when all are taken

Header* obtain(std::size_t bytes) {
    void* const block = std::malloc(bytes + 2 * kLine);
    if (block == nullptr) return nullptr;
    const auto line = (reinterpret_cast<std::uintptr_t>(block) + kLine - 1) / kLine * kLine;
    auto* const header = reinterpret_cast<Header*>(line);
    *header = {block, bytes};
    return header;
}

void* memory_of(Header* header) { return reinterpret_cast<char*>(header) + kLine; }

}  // namespace

void* take(std::size_t bytes) {
    if (bytes >= kWorthKeeping)
        for (auto& slot : store) {
            Header* const kept = slot.exchange(nullptr, std::memory_order_acquire);
            if (kept == nullptr) continue;
            // Not one several times too large: it may be wanted by the same call.
            if (kept->bytes >= bytes && kept->bytes / 4 <= bytes) return memory_of(kept);
            give(memory_of(kept));
        }
    Header* const fresh = obtain(bytes);
    return fresh == nullptr ? nullptr : memory_of(fresh);
}

void give(void* memory) {
    if (memory == nullptr) return;
    auto* header = reinterpret_cast<Header*>(static_cast<char*>(memory) - kLine);
    const bool keep = header->bytes >= kWorthKeeping && header->bytes <= kMostKept;
    if (keep)
        for (auto& slot : store) {
            Header* empty = nullptr;
            if (slot.compare_exchange_strong(empty, header, std::memory_order_release, std::memory_order_relaxed))
                return;
        }
    if (keep) header = store[next_victim.fetch_add(1, std::memory_order_relaxed) % kSlots].exchange(header);
    if (header != nullptr) std::free(header->block);
}

}  // namespace deblur

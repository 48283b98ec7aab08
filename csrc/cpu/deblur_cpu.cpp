// The C interface: chooses the kernels for this machine once, and serves the empty cases.
#include "deblur_cpu.h"

#include <cstdlib>
#include <cstring>

#include "kernels.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace {

// The best that this processor has and DEBLUR_ISA, if set, allows.
const deblur::Kernels& choose() {
    const char* const requested = std::getenv("DEBLUR_ISA");
    const bool any_isa = requested == nullptr || *requested == '\0';
#if defined(DEBLUR_HAVE_AVX512)
    const bool avx512 = any_isa || std::strcmp(requested, "avx512") == 0;
    if (avx512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return deblur::avx512_kernels;
#endif
#if defined(DEBLUR_HAVE_AVX2)
    const bool avx2 = any_isa || std::strcmp(requested, "baseline") != 0;
    if (avx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return deblur::avx2_kernels;
#endif
    (void)any_isa;
    return deblur::baseline_kernels;
}

const deblur::Kernels& kernels() {
    static const deblur::Kernels& chosen = choose();
    return chosen;
}

bool empty(const deblur_problem& p) { return p.batch == 0 || p.channels == 0 || p.height == 0 || p.width == 0; }

// Whether, with a repeated border, the taps along an axis have been added up as far as they can be.
bool folded(std::int64_t size, std::int64_t taps, std::int64_t dilation) {
    return (taps == 1 || (taps - 2) * dilation < size - 1) && (dilation == 1 || dilation < size);
}

bool valid(const deblur_problem* p) {
    return p != nullptr && p->batch >= 0 && p->height >= 0 && p->width >= 0 && p->channels >= 0 && p->groups >= 1 &&
           p->channels % p->groups == 0 && p->taps_h >= 1 && p->taps_w >= 1 && p->dilation_h >= 1 &&
           p->dilation_w >= 1 && (p->dtype == DEBLUR_FLOAT32 || p->dtype == DEBLUR_FLOAT64) && p->corner >= 0 &&
           p->corner <= 3 &&
           (p->border == DEBLUR_ZERO ||
            (p->border == DEBLUR_REPLICATE && (empty(*p) || (folded(p->height, p->taps_h, p->dilation_h) &&
                                                             folded(p->width, p->taps_w, p->dilation_w)))));
}

// Whether some anchor is 0, where every group has one channel.
template <class T>
bool singular(const deblur_problem& p, const T* w) {
    const std::int64_t taps = p.taps_h * p.taps_w;
    for (std::int64_t c = 0; c < p.channels; ++c)
        if (w[c * taps] == T(0)) return true;
    return false;
}

bool singular(const deblur_problem& p, const void* w) {
    if (p.channels != p.groups || p.border != DEBLUR_ZERO) return false;
    if (p.dtype == DEBLUR_FLOAT32) return singular(p, static_cast<const float*>(w));
    return singular(p, static_cast<const double*>(w));
}

// A large output that was never touched costs a page fault for every 4 KiB, which takes longer than computing it; in
// pages of 2 MiB it does not. Advice only, and without effect on memory that is in use already.
void advise_large_pages(const deblur_problem& p, void* out) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const std::size_t bytes =
        std::size_t(p.batch * p.channels * p.height * p.width) * (p.dtype == DEBLUR_FLOAT32 ? 4 : 8);
    if (bytes < (std::size_t(1) << 21)) return;
    const auto page = std::uintptr_t(sysconf(_SC_PAGESIZE));
    const auto start = reinterpret_cast<std::uintptr_t>(out) / page * page;
    madvise(reinterpret_cast<void*>(start), reinterpret_cast<std::uintptr_t>(out) + bytes - start, MADV_HUGEPAGE);
#else
    (void)p, (void)out;
#endif
}

}  // namespace

int deblur_abi_version(void) { return DEBLUR_ABI_VERSION; }

const char* deblur_instruction_set(void) { return kernels().name; }

int deblur_conv(const deblur_problem* p, const void* x, const void* w, void* y, int threads) {
    if (!valid(p)) return DEBLUR_BAD_PROBLEM;
    if (empty(*p)) return DEBLUR_OK;
    advise_large_pages(*p, y);
    return kernels().conv(*p, x, w, y, threads);
}

int deblur_solve(const deblur_problem* p, const void* y, const void* w, void* x, int threads) {
    if (!valid(p)) return DEBLUR_BAD_PROBLEM;
    if (singular(*p, w)) return DEBLUR_SINGULAR;
    if (empty(*p)) return DEBLUR_OK;
    advise_large_pages(*p, x);
    return kernels().solve(*p, y, w, x, threads);
}

int deblur_weight_grad(const deblur_problem* p, const void* grad, const void* x, void* dw, int threads) {
    if (!valid(p)) return DEBLUR_BAD_PROBLEM;
    if (!empty(*p)) return kernels().weight_grad(*p, grad, x, dw, threads);
    const std::size_t size = p->dtype == DEBLUR_FLOAT32 ? 4 : 8;
    std::memset(dw, 0, std::size_t(p->channels * (p->channels / p->groups) * p->taps_h * p->taps_w) * size);
    return DEBLUR_OK;
}

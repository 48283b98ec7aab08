// What one build of the kernels for one instruction set offers.
#pragma once

#include "deblur_cpu.h"

namespace deblur {

struct Kernels {
    const char* name;
    int (*conv)(const deblur_problem&, const void* x, const void* w, void* y, int threads);
    int (*solve)(const deblur_problem&, const void* y, const void* w, void* x, int threads);
    int (*weight_grad)(const deblur_problem&, const void* grad, const void* x, void* dw, int threads);
};

extern const Kernels baseline_kernels;  // SSE2 on x86-64, NEON on arm64
extern const Kernels avx2_kernels;      // with FMA
extern const Kernels avx512_kernels;    // F, DQ, BW and VL

}  // namespace deblur

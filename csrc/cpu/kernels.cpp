// The kernels for one instruction set. CMake compiles this file once for each, with the compiler's options for it and
// DEBLUR_KERNELS naming the table.
#include "kernels.h"

#include "gradient.h"

namespace {

int conv(const deblur_problem& p, const void* x, const void* w, void* y, int threads) {
    return p.dtype == DEBLUR_FLOAT32 ? sweep<float>(p, false, x, w, y, threads)
                                     : sweep<double>(p, false, x, w, y, threads);
}
int solve(const deblur_problem& p, const void* y, const void* w, void* x, int threads) {
    return p.dtype == DEBLUR_FLOAT32 ? sweep<float>(p, true, y, w, x, threads)
                                     : sweep<double>(p, true, y, w, x, threads);
}
int weight_grad(const deblur_problem& p, const void* grad, const void* x, void* dw, int threads) {
    return p.dtype == DEBLUR_FLOAT32 ? weight_gradient<float>(p, grad, x, dw, threads)
                                     : weight_gradient<double>(p, grad, x, dw, threads);
}

}  // namespace

namespace deblur {
const Kernels DEBLUR_KERNELS = {DEBLUR_KERNELS_NAME, conv, solve, weight_grad};
}

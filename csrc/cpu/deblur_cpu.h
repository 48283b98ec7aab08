// The plain C interface of the CPU kernels: pointers, sizes and a thread count; no C++ and no torch type crosses it.
//
// One operation lies underneath everything, the masked convolution anchored at the top-left tap:
//
//     y[o, p] = sum over i, a >= 0, b >= 0 of  w[o, i, a, b] * x[i, p - (a * dilation_h, b * dilation_w)]
//
// with x = 0 outside the frame, or its first row and column repeated there (`border`).
//
// The other three corners are flips of the image and the adjoint (`transpose`) is the flip in both axes with the roles
// of o and i exchanged, so all eight cases are one recursion on an image read with other strides (see view.h).
//
// Tensors are contiguous: x, y, grad (batch, channels, height, width), w (channels, channels / groups, taps_h, taps_w).
// Every function returns 0, or DEBLUR_NO_MEMORY, or DEBLUR_BAD_PROBLEM; the caller has checked shapes. A solve returns
// DEBLUR_SINGULAR, before anything else, where one channel a group and border zero have an anchor of 0: the anchors that
// can be looked at in less time than a call takes. All other anchors the caller has checked.
// Results are bit-identical from run to run and for any number of threads (on one machine).
#pragma once

#include <cstdint>

#if defined(_WIN32)
#define DEBLUR_EXPORT __declspec(dllexport)
#else
#define DEBLUR_EXPORT __attribute__((visibility("default")))
#endif

extern "C" {

enum { DEBLUR_OK = 0, DEBLUR_NO_MEMORY = 1, DEBLUR_BAD_PROBLEM = 2, DEBLUR_SINGULAR = 3 };
enum { DEBLUR_FLOAT32 = 0, DEBLUR_FLOAT64 = 1 };
enum { DEBLUR_RIGHT = 1, DEBLUR_BOTTOM = 2 };  // bits of `corner`; 0 is top-left
enum { DEBLUR_ZERO = 0, DEBLUR_REPLICATE = 1 };

// Mirrored field by field in deblur/ops/_native.py; raise DEBLUR_ABI_VERSION with every change.
struct deblur_problem {
    std::int64_t batch, channels, height, width, groups;
    std::int64_t taps_h, taps_w, dilation_h, dilation_w;
    std::int32_t dtype, corner, transpose, border;
};
static_assert(sizeof(deblur_problem) == 88, "deblur/ops/_native.py mirrors this layout");

// With a repeated border no two taps may read the edge from every pixel: (taps_h - 2) * dilation_h < height - 1, and
// the dilations are less than height and width (or 1); the caller adds such taps up.

#define DEBLUR_ABI_VERSION 3

DEBLUR_EXPORT int deblur_abi_version(void);
// The instruction set the kernels run with on this machine: "AVX-512", "AVX2", "NEON" or "baseline (SSE2)". The
// environment variable DEBLUR_ISA (avx512, avx2 or baseline), read once, asks for a lesser one.
DEBLUR_EXPORT const char* deblur_instruction_set(void);

// y = masked convolution of x.
DEBLUR_EXPORT int deblur_conv(const deblur_problem* problem, const void* x, const void* w, void* y, int threads);
// x such that the masked convolution of x is y.
DEBLUR_EXPORT int deblur_solve(const deblur_problem* problem, const void* y, const void* w, void* x, int threads);
// dw = d <grad, masked convolution of x> / dw.
DEBLUR_EXPORT int deblur_weight_grad(const deblur_problem* problem, const void* grad, const void* x, void* dw,
                                     int threads);
}

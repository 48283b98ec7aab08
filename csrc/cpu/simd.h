// Vectors of the widest kind this file is compiled for, written with the vector extension that GCC and Clang share.
//
// Everything that the per-instruction-set files include lives in an unnamed namespace and calls no inline function of
// the standard library: a linker keeps one copy of such a function, and if that were the AVX-512 one, older machines
// would crash.
#pragma once

#include <cstdint>
#include <utility>  // std::integer_sequence, a type only

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace {

// Taps that share their loads of the vectors around them: they take a register each, and where there is no fused
// multiply-add, every product takes another.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr bool kManyRegisters = true;  // 32 vector registers rather than 16
constexpr int kTapsAtOnce = 8;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr bool kManyRegisters = false;
constexpr int kTapsAtOnce = 4;
#else
constexpr int kVectorBytes = 16;
#if defined(__aarch64__)
constexpr bool kManyRegisters = true;
constexpr int kTapsAtOnce = 8;
#else
constexpr bool kManyRegisters = false;
constexpr int kTapsAtOnce = 1;
#endif
#endif

#define DEBLUR_ALWAYS_INLINE __attribute__((always_inline))  // alone: behind the parameters of a lambda
#define DEBLUR_INLINE inline DEBLUR_ALWAYS_INLINE

template <class T>
struct Simd;
template <>
struct Simd<float> {
    typedef float Vector __attribute__((vector_size(kVectorBytes), may_alias));
    typedef float Loose __attribute__((vector_size(kVectorBytes), may_alias, aligned(4)));  // at any address
    typedef std::int32_t Mask __attribute__((vector_size(kVectorBytes), may_alias));
};
template <>
struct Simd<double> {
    typedef double Vector __attribute__((vector_size(kVectorBytes), may_alias));
    typedef double Loose __attribute__((vector_size(kVectorBytes), may_alias, aligned(8)));
    typedef std::int64_t Mask __attribute__((vector_size(kVectorBytes), may_alias));
};

template <class T>
using Vector = typename Simd<T>::Vector;
template <class T>
using Mask = typename Simd<T>::Mask;
template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));

template <class T>
DEBLUR_INLINE Vector<T> load(const T* aligned) {
    return *reinterpret_cast<const Vector<T>*>(aligned);
}
template <class T>
DEBLUR_INLINE void store(T* aligned, Vector<T> v) {
    *reinterpret_cast<Vector<T>*>(aligned) = v;
}
template <class T>
DEBLUR_INLINE Vector<T> load_anywhere(const T* p) {
    return *reinterpret_cast<const typename Simd<T>::Loose*>(p);
}
template <class T>
DEBLUR_INLINE void store_anywhere(T* p, Vector<T> v) {
    *reinterpret_cast<typename Simd<T>::Loose*>(p) = v;
}

// shuffle<i...>(a, b): lane k is lane i_k of the two vectors laid end to end.
#if defined(__clang__) || __GNUC__ >= 12
#define DEBLUR_SHUFFLE(T, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define DEBLUR_SHUFFLE(T, a, b, ...) __builtin_shuffle(a, b, Mask<T>{__VA_ARGS__})
#endif

// Every lane moves one up; lane 0 keeps what it had.
template <class T, int... lane>
DEBLUR_INLINE Vector<T> up_one_lane(Vector<T> v, std::integer_sequence<int, lane...>) {
    return DEBLUR_SHUFFLE(T, v, v, (lane ? lane - 1 : 0)...);
}
template <class T>
DEBLUR_INLINE Vector<T> up_one_lane(Vector<T> v) {
    return up_one_lane<T>(v, std::make_integer_sequence<int, kLanes<T>>());
}

// Transpose a square block held in registers: log2(lanes) rounds that exchange off-diagonal sub-blocks of size S.
template <class T, int S, int... lane>
DEBLUR_INLINE void exchange(Vector<T>& a, Vector<T>& b, std::integer_sequence<int, lane...>) {
    const Vector<T> first = DEBLUR_SHUFFLE(T, a, b, ((lane & S) ? kLanes<T> + lane - S : lane)...);
    const Vector<T> second = DEBLUR_SHUFFLE(T, a, b, ((lane & S) ? kLanes<T> + lane : lane + S)...);
    a = first;
    b = second;
}
template <class T, int S = 1>
DEBLUR_INLINE void transpose(Vector<T> (&block)[kLanes<T>]) {
    if constexpr (S < kLanes<T>) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes<T>; ++i)
            if (!(i & S)) exchange<T, S>(block[i], block[i + S], std::make_integer_sequence<int, kLanes<T>>());
        transpose<T, 2 * S>(block);
    }
}

// Numbers below the normal range are flushed to zero while the kernels run: an exact inverse decays into them, and they
// are a hundred times slower than others and far below anything a picture holds.
class FlushSubnormals {
public:
#if defined(__SSE__)
    FlushSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u); }
    ~FlushSubnormals() { _mm_setcsr(saved_); }

private:
    unsigned saved_;
#elif defined(__aarch64__)
    FlushSubnormals() {
        __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
        __asm__ volatile("msr fpcr, %0" : : "r"(saved_ | (std::uint64_t(1) << 24)));
    }
    ~FlushSubnormals() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }

private:
    std::uint64_t saved_;
#endif
};

template <class T>
constexpr T smaller(T a, T b) {
    return a < b ? a : b;
}
template <class T>
constexpr T larger(T a, T b) {
    return a < b ? b : a;
}
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

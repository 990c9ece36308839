// Vectors of fp32 as wide as the instruction set, by the compiler's vector types. For kernel files only.
#pragma once

#include <cstdint>
#include <type_traits>

#include "types.h"

namespace icl {
namespace CPU_CAPABILITY {

// kLanes numbers a vector; a product keeps kTall x kBroad vectors of sums in registers.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kTall = 6, kBroad = 4;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kTall = 6, kBroad = 2;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kTall = 6, kBroad = 4;
#else
constexpr int kLanes = 4, kTall = 4, kBroad = 2;
#endif

typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef uint16_t Halves __attribute__((vector_size(2 * kLanes)));
typedef float LooseLanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef int32_t LooseInts __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef uint16_t LooseHalves __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));

typedef uint16_t LooseHalf __attribute__((aligned(2), may_alias));
typedef int32_t LooseInt __attribute__((aligned(4), may_alias));

#define ICL_INLINE inline __attribute__((always_inline))

ICL_INLINE Lanes all(float x) { return x - Lanes{}; }
ICL_INLINE Ints all(int32_t x) { return x - Ints{}; }
ICL_INLINE Lanes as_floats(Ints x) { return (Lanes)x; }
ICL_INLINE Ints as_ints(Lanes x) { return (Ints)x; }
ICL_INLINE Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }

ICL_INLINE Lanes load(const float* from) { return *(const LooseLanes*)from; }
ICL_INLINE Ints load(const int32_t* from) { return *(const LooseInts*)from; }
ICL_INLINE void store(float* to, Lanes x) { *(LooseLanes*)to = x; }

ICL_INLINE Ints widened(const void* from) {
  return __builtin_convertvector((Halves)*(const LooseHalves*)from, Ints);
}

ICL_INLINE Lanes load(const c10::BFloat16* from) { return as_floats(widened(from) << 16); }

ICL_INLINE Lanes load(const c10::Half* from) {
  const Ints bits = widened(from), rest = bits & 0x7fff;
  const Lanes scaled = as_floats(rest << 13) * all(0x1p112f);  // subnormal numbers come out right as well
  const Ints endless = (rest >= 0x7c00) & 0x7f800000;
  return as_floats(as_ints(scaled) | endless | ((bits & 0x8000) << 16));
}

ICL_INLINE void store(c10::BFloat16* to, Lanes x) {
  const Ints bits = as_ints(x), odd = (bits >> 16) & 1;
  const Ints rounded = ((bits + 0x7fff + odd) >> 16) & 0xffff;
  const Ints found = x == x ? rounded : all(0x7fc0);
  *(LooseHalves*)to = __builtin_convertvector(found, Halves);
}

ICL_INLINE void store(c10::Half* to, Lanes x) {
  for (int i = 0; i < kLanes; ++i) to[i] = static_cast<c10::Half>(x[i]);
}

ICL_INLINE float one(float x) { return x; }
ICL_INLINE float one(c10::BFloat16 x) { return static_cast<float>(x); }
ICL_INLINE float one(c10::Half x) { return static_cast<float>(x); }

// 2^x for x <= 0, to 2e-7 of itself; 0 below -126; NaN stays.
ICL_INLINE Lanes power_of_two(Lanes x) {
  const Lanes shift = all(12582912.0f);  // 1.5 * 2^23: the integer part is in the low bits of the sum
  const Lanes moved = x + shift;
  const Lanes part = x - (moved - shift);
  Lanes y = all(1.535336188319500e-4f);
  y = y * part + 1.339887440266574e-3f;
  y = y * part + 9.618437357674640e-3f;
  y = y * part + 5.550332471162809e-2f;
  y = y * part + 2.402264791363012e-1f;
  y = y * part + 6.931472028550421e-1f;
  y = y * part + 1.0f;
  const Lanes scaled = as_floats((Ints)((Words)y + ((Words)moved << 23)));  // without signs: it may overflow
  return x < -126.0f ? all(0.0f) : (x == x ? scaled : x);
}

ICL_INLINE float power_of_two(float x) { return power_of_two(all(x))[0]; }

// tanh x; a series near 0, where 1 - 2 / (e^2x + 1) would lose digits.
ICL_INLINE Lanes hyperbolic(Lanes x) {
  const Lanes size = x < 0.0f ? -x : x, square = x * x;
  const Lanes e = power_of_two(size * -2.885390081777927f);  // e^(-2 |x|)
  const Lanes far = (1.0f - e) / (1.0f + e);
  Lanes near = all(-5.70498872745e-3f);
  near = near * square + 2.06390887954e-2f;
  near = near * square - 5.37397155531e-2f;
  near = near * square + 1.33314422036e-1f;
  near = near * square - 3.33332819422e-1f;
  near = near * square * x + x;
  const Lanes signed_far = x < 0.0f ? -far : far;
  return size < 0.625f ? near : signed_far;
}

#if defined(__clang__) || __GNUC__ >= 12
#define ICL_LANES_FROM(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define ICL_LANES_FROM(a, b, ...) __builtin_shuffle(a, b, Ints{__VA_ARGS__})
#endif

// x with lane i in place of lane i ^ `step`.
template <int step>
ICL_INLINE Lanes crossed(Lanes x) {
  constexpr int s = step;
#if defined(__AVX512F__)
  return ICL_LANES_FROM(x, x, 0 ^ s, 1 ^ s, 2 ^ s, 3 ^ s, 4 ^ s, 5 ^ s, 6 ^ s, 7 ^ s, 8 ^ s, 9 ^ s, 10 ^ s, 11 ^ s,
                        12 ^ s, 13 ^ s, 14 ^ s, 15 ^ s);
#elif defined(__AVX2__)
  return ICL_LANES_FROM(x, x, 0 ^ s, 1 ^ s, 2 ^ s, 3 ^ s, 4 ^ s, 5 ^ s, 6 ^ s, 7 ^ s);
#else
  return ICL_LANES_FROM(x, x, 0 ^ s, 1 ^ s, 2 ^ s, 3 ^ s);
#endif
}

// The largest of all lanes, and their sum, in every lane.
template <int step = kLanes / 2>
ICL_INLINE Lanes largest(Lanes x) {
  x = larger(crossed<step>(x), x);
  if constexpr (step > 1) {
    return largest<step / 2>(x);
  } else {
    return x;
  }
}

template <int step = kLanes / 2>
ICL_INLINE Lanes total(Lanes x) {
  x += crossed<step>(x);
  if constexpr (step > 1) {
    return total<step / 2>(x);
  } else {
    return x;
  }
}

// a0 b0 a1 b1 ... of the lower (upper) halves.
ICL_INLINE Lanes lower_pairs(Lanes a, Lanes b) {
#if defined(__AVX512F__)
  return ICL_LANES_FROM(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX2__)
  return ICL_LANES_FROM(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
  return ICL_LANES_FROM(a, b, 0, 4, 1, 5);
#endif
}

ICL_INLINE Lanes upper_pairs(Lanes a, Lanes b) {
#if defined(__AVX512F__)
  return ICL_LANES_FROM(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif defined(__AVX2__)
  return ICL_LANES_FROM(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  return ICL_LANES_FROM(a, b, 2, 6, 3, 7);
#endif
}

// Rows become columns: log2(kLanes) perfect shuffles of row i with row i + kLanes / 2.
ICL_INLINE void turned(Lanes (&rows)[kLanes]) {
  Lanes other[kLanes];
  for (int width = 1; width < kLanes; width *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes / 2; ++i) {
      other[2 * i] = lower_pairs(rows[i], rows[i + kLanes / 2]);
      other[2 * i + 1] = upper_pairs(rows[i], rows[i + kLanes / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) rows[i] = other[i];
  }
}

}  // namespace CPU_CAPABILITY
}  // namespace icl

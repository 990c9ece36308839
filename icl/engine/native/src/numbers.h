// Vectors of fp32 read from and written to rows of fp32, bf16 or fp16. For kernel files only.
#pragma once

#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>

#include <cstdint>
#include <type_traits>

namespace icl {
namespace CPU_CAPABILITY {

using Vec = at::vec::Vectorized<float>;
constexpr int64_t kWide = Vec::size();

template <typename T>
inline Vec read(const T* from) {
  if constexpr (std::is_same_v<T, float>) {
    return Vec::loadu(from);
  } else if constexpr (std::is_same_v<T, c10::BFloat16>) {
    Vec wide(0.0f);
    at::vec::load_fp32_from_bf16(from, wide);
    return wide;
  } else {
    Vec wide(0.0f);
    at::vec::load_fp32_from_fp16(from, wide);
    return wide;
  }
}

// The first `count` < kWide numbers; zeros after them.
template <typename T>
inline Vec read(const T* from, int64_t count) {
  alignas(64) T whole[kWide] = {};
  for (int64_t i = 0; i < count; ++i) whole[i] = from[i];
  return read(whole);
}

template <typename T>
inline void write(T* to, const Vec& wide, int64_t count = kWide) {
  if constexpr (std::is_same_v<T, float>) {
    wide.store(to, static_cast<int>(count));
  } else {
    at::vec::convert_from_float<T>(wide, wide).store(to, static_cast<int>(count));
  }
}

inline float total(const Vec& wide) {
  alignas(64) float numbers[kWide];
  wide.store(numbers);
  float sum = 0.0f;
  for (int64_t i = 0; i < kWide; ++i) sum += numbers[i];
  return sum;
}

// Sum of (wide - mean)^2 in four chains.
inline float squares_of(const float* wide, float mean, int64_t size) {
  const Vec centre(mean);
  Vec sums[4] = {Vec(0.0f), Vec(0.0f), Vec(0.0f), Vec(0.0f)};
  int64_t i = 0;
  for (; i + 4 * kWide <= size; i += 4 * kWide) {
    for (int j = 0; j < 4; ++j) {
      const Vec part = Vec::loadu(wide + i + j * kWide) - centre;
      sums[j] = at::vec::fmadd(part, part, sums[j]);
    }
  }
  float rest = 0.0f;
  for (; i < size; ++i) rest += (wide[i] - mean) * (wide[i] - mean);
  return total((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
}

inline float sum_of(const float* wide, int64_t size) {
  Vec sums(0.0f);
  int64_t i = 0;
  for (; i + kWide <= size; i += kWide) sums = sums + Vec::loadu(wide + i);
  float rest = 0.0f;
  for (; i < size; ++i) rest += wide[i];
  return total(sums) + rest;
}

// Room for `size` numbers that goes when it is left.
class Scratch {
 public:
  explicit Scratch(int64_t size) : numbers_(new float[size]) {}
  ~Scratch() { delete[] numbers_; }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  operator float*() const { return numbers_; }

 private:
  float* numbers_;
};

}  // namespace CPU_CAPABILITY
}  // namespace icl

// Kernel of norms.h. The sum is rounded to the rows' format before it is normed, as if it had been stored and read.
#include "norms.h"

#include <algorithm>
#include <cmath>

#include "numbers.h"

namespace icl {
namespace CPU_CAPABILITY {
namespace {

// Reads a row, adds the residual and stores the sum; the row in fp32 is left in `wide` [size].
template <typename T>
void gather(const T* x, const T* residual, T* summed, float* wide, int64_t size) {
  for (int64_t i = 0; i < size; i += kWide) {
    const int64_t count = std::min(kWide, size - i);
    const bool whole = count == kWide;
    Vec row = whole ? read(x + i) : read(x + i, count);
    if (residual != nullptr) {
      row = row + (whole ? read(residual + i) : read(residual + i, count));
      write(summed + i, row, count);
      if constexpr (!std::is_same_v<T, float>) row = whole ? read(summed + i) : read(summed + i, count);
    }
    row.store(wide + i, static_cast<int>(count));
  }
}

template <typename T, typename W>
void scaled(const NormArgs& args, const float* wide, float mean, float scale, T* out) {
  const W* weight = static_cast<const W*>(args.weight);
  const W* bias = static_cast<const W*>(args.bias);
  const Vec centre(mean), factor(scale), offset(args.offset);
  for (int64_t i = 0; i < args.size; i += kWide) {
    const int64_t count = std::min(kWide, args.size - i);
    const bool whole = count == kWide;
    Vec row = ((whole ? Vec::loadu(wide + i) : read(wide + i, count)) - centre) * factor;
    if (weight != nullptr) row = row * ((whole ? read(weight + i) : read(weight + i, count)) + offset);
    if (bias != nullptr) row = row + (whole ? read(bias + i) : read(bias + i, count));
    write(out + i, row, count);
  }
}

template <typename T, typename W>
void rows(const NormArgs& args) {
  const Scratch wide(args.size);
  for (int64_t at = args.first; at < args.last; ++at) {
    const T* x = static_cast<const T*>(args.x) + (at / args.inner) * args.outer_stride + (at % args.inner) * args.stride;
    const int64_t place = at * args.size;
    const T* residual = args.residual == nullptr ? nullptr : static_cast<const T*>(args.residual) + place;
    T* summed = args.summed == nullptr ? nullptr : static_cast<T*>(args.summed) + place;
    gather<T>(x, residual, summed, wide, args.size);
    const float mean = args.centred ? sum_of(wide, args.size) / static_cast<float>(args.size) : 0.0f;
    const float spread = squares_of(wide, mean, args.size) / static_cast<float>(args.size);
    scaled<T, W>(args, wide, mean, 1.0f / std::sqrt(spread + args.eps), static_cast<T*>(args.out) + place);
  }
}

}  // namespace

void norm_rows(const NormArgs& args) {
  with_type(args.number, [&](auto number) {
    using T = decltype(number);
    if (args.weights == Number::fp32) {
      rows<T, float>(args);
    } else {
      rows<T, T>(args);
    }
  });
}

}  // namespace CPU_CAPABILITY
}  // namespace icl

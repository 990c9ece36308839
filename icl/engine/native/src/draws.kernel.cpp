// Kernel of draws.h.
#include "draws.h"

#include <algorithm>
#include <limits>

#include "numbers.h"

namespace icl {
namespace CPU_CAPABILITY {
namespace {

float peak_of(const float* x, int64_t size) {
  const float least = -std::numeric_limits<float>::infinity();
  float best = least;
  int64_t i = 0;
  if (size >= kWide) {
    Vec most(least);
    for (; i + kWide <= size; i += kWide) most = at::vec::maximum(most, Vec::loadu(x + i));
    alignas(64) float numbers[kWide];
    most.store(numbers);
    for (const float one : numbers) best = one > best || one != one ? one : best;  // a NaN stays
  }
  for (; i < size; ++i) best = x[i] > best || x[i] != x[i] ? x[i] : best;
  return best;
}

// exp((x - peak) / temperature) of `count` numbers; their sum.
float weighed(const float* x, int64_t count, const Vec& peak, const Vec& temperature, float* weights) {
  Vec sums(0.0f);
  float rest = 0.0f;
  for (int64_t i = 0; i < count; i += kWide) {
    const int64_t here = std::min(kWide, count - i);
    const Vec row = ((here == kWide ? Vec::loadu(x + i) : read(x + i, here)) - peak) / temperature;
    const Vec weight = row.exp();
    weight.store(weights + i, static_cast<int>(here));
    if (here == kWide) {
      sums = sums + weight;
    } else {
      for (int64_t j = 0; j < here; ++j) rest += weights[i + j];
    }
  }
  return total(sums) + rest;
}

}  // namespace

void weigh(const RowArgs& args) {
  Row& row = *args.row;
  row.peak = peak_of(row.logits, row.size);
  row.at = std::find(row.logits, row.logits + row.size, row.peak) - row.logits;
  row.total = 0.0;
  const Vec peak(row.peak), temperature(row.temperature);
  for (int64_t low = 0, block = 0; low < row.size; low += kBlock, ++block) {
    const int64_t count = std::min(kBlock, row.size - low);
    row.sums[block] = weighed(row.logits + low, count, peak, temperature, row.weights + low);
    row.total += row.sums[block];
  }
}

}  // namespace CPU_CAPABILITY
}  // namespace icl

// Kernel of heads.h.
#include "heads.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "numbers.h"

namespace icl {
namespace CPU_CAPABILITY {
namespace {

template <typename T>
void widened(const T* from, float* to, int64_t size) {
  for (int64_t i = 0; i < size; i += kWide) {
    const int64_t count = std::min(kWide, size - i);
    const Vec row = count == kWide ? read(from + i) : read(from + i, count);
    row.store(to + i, static_cast<int>(count));
  }
}

// The first `count` numbers become `over` less their mean if centred, over their root mean square.
void normed(const HeadNorm& norm, float* x, int64_t size) {
  float mean = 0.0f;
  if (norm.centred) mean = sum_of(x, size) / static_cast<float>(size);
  const float spread = squares_of(x, mean, size) / static_cast<float>(size);
  const float scale = 1.0f / std::sqrt(spread + norm.eps);
  for (int64_t i = 0; i < size; ++i) {
    float y = (x[i] - mean) * scale;
    if (norm.weight != nullptr) y *= norm.weight[i];
    if (norm.bias != nullptr) y += norm.bias[i];
    x[i] = y;
  }
}

void turned(float* x, const float* cos, const float* sin, int64_t half) {
  int64_t i = 0;
  for (; i + kWide <= half; i += kWide) {
    const Vec a = Vec::loadu(x + i), b = Vec::loadu(x + half + i), c = Vec::loadu(cos + i), s = Vec::loadu(sin + i);
    (a * c - b * s).store(x + i);
    (b * c + a * s).store(x + half + i);
  }
  for (; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    x[i] = a * cos[i] - b * sin[i];
    x[half + i] = b * cos[i] + a * sin[i];
  }
}

// `count` heads of row t: queries or keys.
template <typename T>
void placed(const HeadsArgs& args, const T* from, int64_t t, int64_t count, const HeadNorm& norm, const Place& to,
            float* x) {
  widened(from, x, count * args.size);
  if (norm.there && norm.joint) normed(norm, x, count * args.size);
  for (int64_t h = 0; h < count; ++h) {
    float* head = x + h * args.size;
    if (norm.there && !norm.joint) normed(norm, head, args.size);
    if (args.cos != nullptr) turned(head, args.cos + t * args.half, args.sin + t * args.half, args.half);
    T* out = static_cast<T*>(to.data) + h * to.head + t * to.row;
    for (int64_t i = 0; i < args.size; i += kWide) {
      const int64_t rest = std::min(kWide, args.size - i);
      write(out + i, rest == kWide ? Vec::loadu(head + i) : read(head + i, rest), rest);
    }
  }
}

template <typename T>
void rows(const HeadsArgs& args) {
  const Scratch x(std::max(args.heads, args.kv_heads) * args.size);
  for (int64_t t = args.first; t < args.last; ++t) {
    const T* row = static_cast<const T*>(args.projected) + t * args.projected_row;
    const T* keys = row + args.heads * args.size;
    const T* values = keys + args.kv_heads * args.size;
    placed<T>(args, row, t, args.heads, args.q_norm, args.q, x);
    placed<T>(args, keys, t, args.kv_heads, args.k_norm, args.k, x);
    for (int64_t h = 0; h < args.kv_heads; ++h) {
      T* out = static_cast<T*>(args.v.data) + h * args.v.head + t * args.v.row;
      std::memcpy(out, values + h * args.size, sizeof(T) * static_cast<size_t>(args.size));
    }
  }
}

}  // namespace

void split_heads(const HeadsArgs& args) {
  with_type(args.number, [&](auto number) { rows<decltype(number)>(args); });
}

}  // namespace CPU_CAPABILITY
}  // namespace icl

// Op of draws.h: the next tokens of all slots in one call.
#include "draws.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>
#include <vector>

namespace icl {
namespace {

constexpr int64_t kHeap = 128;  // of more tokens than these, ranking is by selection

// What one thread works in.
struct Desk {
  explicit Desk(int64_t size)
      : weights(static_cast<size_t>(size)), sums(static_cast<size_t>(size / kBlock + 1)) {}
  std::vector<float> weights, allowed;
  std::vector<double> sums, candidates;
  std::vector<int64_t> order;
};

// First index whose cumulative weight exceeds u times the whole, never one of weight 0.
template <typename T>
int64_t inverted(const T* weights, int64_t count, double u) {
  double total = 0.0, gathered = 0.0;
  for (int64_t i = 0; i < count; ++i) total += static_cast<double>(weights[i]);
  const double wanted = u * total;
  int64_t last = count - 1;
  while (last > 0 && !(weights[last] > 0)) --last;
  for (int64_t i = 0; i < last; ++i) {
    gathered += static_cast<double>(weights[i]);
    if (gathered > wanted) return i;
  }
  return last;
}

Row weighed(const float* logits, int64_t size, double temperature, Desk& desk) {
  Row row{logits, size, static_cast<float>(temperature), desk.weights.data(), desk.sums.data(), 0.0f, 0, 0.0};
  weigh(RowArgs{&row});
  return row;
}

// Without a truncation tokens stand by their ids: first the block that u falls into, then the token in it.
int64_t anywhere(const Row& row, double u) {
  const int64_t blocks = (row.size + kBlock - 1) / kBlock;
  const int64_t block = inverted(row.sums, blocks, u), low = block * kBlock;
  const int64_t count = std::min(kBlock, row.size - low);
  const double before = std::accumulate(row.sums, row.sums + block, 0.0);
  const double inside = std::accumulate(row.weights + low, row.weights + low + count, 0.0);
  const double rest = (u * row.total - before) / inside;
  return low + inverted(row.weights + low, count, std::min(std::max(rest, 0.0), 1.0));
}

// The `count` most likely tokens into desk.order, by falling logit, ties by id: a scan that keeps them in a heap, whose
// top is the least of them, or where they are many, a selection.
void ranked(const float* logits, int64_t size, int64_t count, Desk& desk) {
  std::vector<int64_t>& order = desk.order;
  const auto before = [logits](int64_t a, int64_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  };
  order.resize(static_cast<size_t>(count <= kHeap ? count : size));
  std::iota(order.begin(), order.end(), 0);
  if (count <= kHeap) {
    std::make_heap(order.begin(), order.end(), before);
    float least = logits[order.front()];
    for (int64_t token = count; token < size; ++token) {
      if (!(logits[token] > least)) continue;  // of equal ones the first is kept
      std::pop_heap(order.begin(), order.end(), before);
      order.back() = token;
      std::push_heap(order.begin(), order.end(), before);
      least = logits[order.front()];
    }
    std::sort_heap(order.begin(), order.end(), before);
    return;
  }
  if (count < size) std::nth_element(order.begin(), order.begin() + count, order.end(), before);
  std::sort(order.begin(), order.begin() + count, before);
}

// With top_k and top_p candidates stand by falling probability. The nucleus is every token before which less
// than top_p has been gathered; more are ranked until it is whole.
int64_t among_the_first(const float* logits, int64_t size, double temperature, int64_t top_k, double top_p, double u,
                        Desk& desk) {
  const int64_t most = top_k > 0 ? std::min(top_k, size) : size;
  int64_t count = top_p < 1.0 && most == size ? std::min(most, kHeap) : most;
  double total = most < size || top_p >= 1.0 ? 0.0 : weighed(logits, size, temperature, desk).total;
  ranked(logits, size, count, desk);
  const double peak = logits[desk.order[0]];
  const auto weight = [&](int64_t token) {
    return std::exp((static_cast<double>(logits[token]) - peak) / temperature);
  };
  if (most < size) {
    for (int64_t i = 0; i < most; ++i) total += weight(desk.order[i]);
  }
  while (true) {
    desk.candidates.clear();
    double gathered = 0.0;
    for (int64_t i = 0; i < count && gathered < top_p; ++i) {
      desk.candidates.push_back(weight(desk.order[i]) / total);
      gathered += desk.candidates.back();
    }
    if (gathered >= top_p || count == most) break;
    count = std::min(most, 8 * count);
    ranked(logits, size, count, desk);
  }
  return desk.order[inverted(desk.candidates.data(), static_cast<int64_t>(desk.candidates.size()), u)];
}

struct Asked {
  double temperature;
  int64_t top_k;
  double top_p, u;
};

int64_t chosen_of(const float* logits, int64_t size, const Asked& asked, Desk& desk) {
  const bool truncated = (asked.top_k > 0 && asked.top_k < size) || asked.top_p < 1.0;
  if (asked.temperature == 0.0 || !truncated) {
    const Row row = weighed(logits, size, asked.temperature == 0.0 ? 1.0 : asked.temperature, desk);
    return asked.temperature == 0.0 ? row.at : anywhere(row, asked.u);
  }
  return among_the_first(logits, size, asked.temperature, asked.top_k, asked.top_p, asked.u, desk);
}

}  // namespace

// logits [B, V] fp32. settings [B, 4] fp64: temperature (0: greedy), top_k (0: all), top_p, u in [0, 1). banned: tokens
// that may not be drawn, those of row b from ends[b - 1] to ends[b]. Returns the tokens drawn, the most likely of all,
// and the log-sum-exp [B] of the whole row in fp64.
std::tuple<at::Tensor, at::Tensor, at::Tensor> draw_tokens(const at::Tensor& logits, const at::Tensor& settings,
                                                           const std::vector<int64_t>& banned,
                                                           const std::vector<int64_t>& ends) {
  TORCH_CHECK_VALUE(logits.dim() == 2 && logits.scalar_type() == at::kFloat && logits.is_contiguous() &&
                        logits.device().is_cpu() && logits.size(1) > 0,
                    "logits must be [B, V] of float32 on the CPU, contiguous");
  const int64_t rows = logits.size(0), size = logits.size(1);
  TORCH_CHECK_VALUE(settings.scalar_type() == at::kDouble && settings.is_contiguous() && settings.dim() == 2 &&
                        settings.size(0) == rows && settings.size(1) == 4,
                    "settings must be [B, 4] of float64");
  TORCH_CHECK_VALUE(ends.empty() || (static_cast<int64_t>(ends.size()) == rows &&
                                     ends.back() == static_cast<int64_t>(banned.size())),
                    "one end a row");
  for (const int64_t token : banned) TORCH_CHECK_INDEX(token >= 0 && token < size, "no token ", token);
  at::Tensor chosen = at::empty({rows}, at::kLong), likeliest = at::empty({rows}, at::kLong);
  at::Tensor lse = at::empty({rows}, at::kDouble);
  const float* all = logits.const_data_ptr<float>();
  const double* asked = settings.const_data_ptr<double>();
  at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
    Desk desk(size);
    for (int64_t b = first; b < last; ++b) {
      const float* row = all + b * size;
      const Row whole = weighed(row, size, 1.0, desk);
      const Asked here{asked[4 * b], static_cast<int64_t>(asked[4 * b + 1]), asked[4 * b + 2], asked[4 * b + 3]};
      const int64_t low = b == 0 || ends.empty() ? 0 : ends[b - 1], high = ends.empty() ? 0 : ends[b];
      likeliest.mutable_data_ptr<int64_t>()[b] = whole.at;
      lse.mutable_data_ptr<double>()[b] = static_cast<double>(whole.peak) + std::log(whole.total);
      int64_t& token = chosen.mutable_data_ptr<int64_t>()[b];
      const bool same = low == high && !(here.top_k > 0 && here.top_k < size) && here.top_p >= 1.0;
      if (!std::isfinite(whole.total) || !std::isfinite(whole.peak)) {
        token = 0;
      } else if (same && (here.temperature == 0.0 || here.temperature == 1.0)) {
        token = here.temperature == 0.0 ? whole.at : anywhere(whole, here.u);
      } else if (low == high) {
        token = chosen_of(row, size, here, desk);
      } else {
        desk.allowed.assign(row, row + size);
        for (int64_t i = low; i < high; ++i) desk.allowed[banned[i]] = -std::numeric_limits<float>::infinity();
        token = chosen_of(desk.allowed.data(), size, here, desk);
      }
    }
  });
  return {chosen, likeliest, lse};
}

}  // namespace icl

TORCH_LIBRARY_FRAGMENT(icl_native, m) {
  m.def("draw_tokens(Tensor logits, Tensor settings, int[] banned, int[] ends) -> (Tensor, Tensor, Tensor)",
        [](const at::Tensor& logits, const at::Tensor& settings, at::IntArrayRef banned, at::IntArrayRef ends) {
          return icl::draw_tokens(logits, settings, banned.vec(), ends.vec());
        });
}

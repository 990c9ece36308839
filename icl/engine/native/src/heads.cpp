// Op of heads.h.
#include "heads.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "tensors.h"

namespace icl {

using Maybe = std::optional<at::Tensor>;

constexpr int64_t kNumbersAThread = 16384;  // fewer are not worth another thread

void split_rows(const HeadsArgs& args, int64_t rows) {
  const int64_t width = (args.heads + 2 * args.kv_heads) * args.size;
  at::parallel_for(0, rows, std::max<int64_t>(1, kNumbersAThread / width), [&](int64_t first, int64_t last) {
    HeadsArgs part = args;
    part.first = first;
    part.last = last;
    split_heads(part);
  });
}

static HeadNorm head_norm(const Maybe& weight, const Maybe& bias, int64_t size, int64_t heads, double eps, bool joint,
                          bool centred) {
  for (const Maybe* given : {&weight, &bias}) {
    if (!given->has_value()) continue;
    const at::Tensor& one = **given;
    TORCH_CHECK_VALUE(one.is_contiguous() && one.scalar_type() == at::kFloat &&
                          one.numel() == (joint ? size * heads : size),
                      "weights of the norm of heads must be float32, contiguous, one a number");
  }
  return {true,  joint, centred, weight ? weight->const_data_ptr<float>() : nullptr,
          bias ? bias->const_data_ptr<float>() : nullptr, static_cast<float>(eps)};
}

// One HeadNorm for queries and one for keys, out of what an op is given.
std::tuple<HeadNorm, HeadNorm> head_norms(const HeadsArgs& args, const Maybe& q_weight, const Maybe& q_bias,
                                          const Maybe& k_weight, const Maybe& k_bias, double eps, bool joint,
                                          bool centred) {
  return {head_norm(q_weight, q_bias, args.size, args.heads, eps, joint, centred),
          head_norm(k_weight, k_bias, args.size, args.kv_heads, eps, joint, centred)};
}

// projected [T, (H + 2 Hkv) D]; cos and sin [T, R/2] fp32 -> q [H, T, D], k and v [Hkv, T, D].
std::tuple<at::Tensor, at::Tensor, at::Tensor> heads(const at::Tensor& projected, int64_t heads, int64_t kv_heads,
                                                     const Maybe& cos, const Maybe& sin, bool norm,
                                                     const Maybe& q_weight, const Maybe& q_bias,
                                                     const Maybe& k_weight, const Maybe& k_bias, double eps,
                                                     bool joint, bool centred) {
  check_rows(projected, "projected");
  TORCH_CHECK_VALUE(projected.dim() == 2 && heads > 0 && kv_heads > 0 &&
                        projected.size(1) % (heads + 2 * kv_heads) == 0,
                    "projected must be [T, (H + 2 Hkv) D]");
  const int64_t rows = projected.size(0), size = projected.size(1) / (heads + 2 * kv_heads);
  HeadsArgs args{};
  args.number = number_of(projected, "projected");
  args.heads = heads;
  args.kv_heads = kv_heads;
  args.size = size;
  args.projected = projected.const_data_ptr();
  args.projected_row = projected.stride(0);
  if (cos && sin) {
    for (const at::Tensor& one : {*cos, *sin}) {
      TORCH_CHECK_VALUE(one.scalar_type() == at::kFloat && one.is_contiguous() && one.dim() == 2 &&
                            one.size(0) == rows && 2 * one.size(1) <= size,
                        "cos and sin must be [T, R/2] of float32, contiguous, R at most D");
    }
    args.half = cos->size(1);
    args.cos = cos->const_data_ptr<float>();
    args.sin = sin->const_data_ptr<float>();
  }
  if (norm) {
    std::tie(args.q_norm, args.k_norm) = head_norms(args, q_weight, q_bias, k_weight, k_bias, eps, joint, centred);
  }
  at::Tensor q = at::empty({heads, rows, size}, projected.options());
  at::Tensor k = at::empty({kv_heads, rows, size}, projected.options()), v = at::empty_like(k);
  args.q = {q.mutable_data_ptr(), rows * size, size};
  args.k = {k.mutable_data_ptr(), rows * size, size};
  args.v = {v.mutable_data_ptr(), rows * size, size};
  split_rows(args, rows);
  return {q, k, v};
}

}  // namespace icl

TORCH_LIBRARY_FRAGMENT(icl_native, m) {
  m.def(
      "heads(Tensor projected, int heads, int kv_heads, Tensor? cos, Tensor? sin, bool norm, Tensor? q_weight,"
      " Tensor? q_bias, Tensor? k_weight, Tensor? k_bias, float eps, bool joint, bool centred)"
      " -> (Tensor, Tensor, Tensor)",
      &icl::heads);
}

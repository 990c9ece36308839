// Ops of norms.h.
#include "norms.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "tensors.h"

namespace icl {

using Maybe = std::optional<at::Tensor>;

constexpr int64_t kNumbersAThread = 16384;  // fewer are not worth another thread

// x [..., n, d] with any strides but the last, of up to three dimensions; weight and bias [d].
static NormArgs described(const at::Tensor& x, const Maybe& weight, const Maybe& bias, double eps, double offset,
                          bool centred) {
  check_rows(x, "x");
  TORCH_CHECK_VALUE(x.dim() <= 3, "x has ", x.dim(), " dimensions; allowed: up to three");
  NormArgs args{};
  args.number = number_of(x, "x");
  args.weights = args.number;
  args.size = x.size(-1);
  args.inner = x.dim() >= 2 ? std::max<int64_t>(x.size(-2), 1) : 1;
  args.stride = x.dim() >= 2 ? x.stride(-2) : 0;
  args.outer_stride = x.dim() == 3 ? x.stride(0) : 0;
  args.x = x.const_data_ptr();
  for (const Maybe* given : {&weight, &bias}) {
    if (!given->has_value()) continue;
    const at::Tensor& one = **given;
    TORCH_CHECK_VALUE(one.dim() == 1 && one.size(0) == args.size && one.is_contiguous() && one.device().is_cpu(),
                      "weight and bias must be [", args.size, "] on the CPU");
    args.weights = number_of(one, "weight");
    TORCH_CHECK_TYPE(args.weights == args.number || args.weights == Number::fp32,
                     "weights must be of the rows' format or float32");
  }
  TORCH_CHECK_TYPE(!(weight && bias) || weight->scalar_type() == bias->scalar_type(), "weight and bias differ in format");
  args.weight = weight ? weight->const_data_ptr() : nullptr;
  args.bias = bias ? bias->const_data_ptr() : nullptr;
  args.offset = static_cast<float>(offset);
  args.eps = static_cast<float>(eps);
  args.centred = centred;
  return args;
}

static void run(const NormArgs& args, int64_t rows) {
  const int64_t grain = std::max<int64_t>(1, kNumbersAThread / std::max<int64_t>(args.size, 1));
  at::parallel_for(0, rows, grain, [&](int64_t first, int64_t last) {
    NormArgs part = args;
    part.first = first;
    part.last = last;
    norm_rows(part);
  });
}

static int64_t rows_of(const at::Tensor& x) {
  return x.size(-1) == 0 ? 0 : x.numel() / x.size(-1);
}

at::Tensor norm(const at::Tensor& x, const Maybe& weight, const Maybe& bias, double eps, double offset, bool centred) {
  NormArgs args = described(x, weight, bias, eps, offset, centred);
  at::Tensor out = at::empty(x.sizes(), x.options());
  args.out = out.mutable_data_ptr();
  run(args, rows_of(x));
  return out;
}

std::tuple<at::Tensor, at::Tensor> add_norm(const at::Tensor& x, const at::Tensor& residual, const Maybe& weight,
                                            const Maybe& bias, double eps, double offset, bool centred) {
  NormArgs args = described(x, weight, bias, eps, offset, centred);
  TORCH_CHECK_VALUE(residual.sizes() == x.sizes() && residual.scalar_type() == x.scalar_type() &&
                        residual.is_contiguous() && residual.device().is_cpu(),
                    "residual must be contiguous, and of the shape and format of x");
  at::Tensor summed = at::empty(x.sizes(), x.options()), out = at::empty(x.sizes(), x.options());
  args.residual = residual.const_data_ptr();
  args.summed = summed.mutable_data_ptr();
  args.out = out.mutable_data_ptr();
  run(args, rows_of(x));
  return {summed, out};
}

}  // namespace icl

TORCH_LIBRARY_FRAGMENT(icl_native, m) {
  m.def("norm(Tensor x, Tensor? weight, Tensor? bias, float eps, float offset, bool centred) -> Tensor", &icl::norm);
  m.def(
      "add_norm(Tensor x, Tensor residual, Tensor? weight, Tensor? bias, float eps, float offset, bool centred)"
      " -> (Tensor, Tensor)",
      &icl::add_norm);
}

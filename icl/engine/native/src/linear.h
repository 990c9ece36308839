// Products with packed weights, the step that follows fused into them: our own in panels (products.h), or oneDNN's
// through torch's dispatcher.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

namespace icl {

// (x W^T + b) [n, out] of rows x [n, in] with panels, and one step after it: of ACTIVATIONS in
// icl/engine/trunks/packed.py by name and algorithm, "none", or "mul" and "add" with `other` [n, out].
at::Tensor product(const at::Tensor& x, const at::Tensor& panels, int64_t out, const std::optional<at::Tensor>& bias,
                   const std::string& step, const std::string& algorithm, const at::Tensor* other);

// x [n, in] -> x W^T + b [n, out]; the weight is packed (PackedLinear in icl/engine/trunks/packed.py).
class Linear {
 public:
  // wide: rows of half precision are multiplied in fp32. out: of panels; of a weight that oneDNN packed 0.
  Linear(at::Tensor weight, std::optional<at::Tensor> bias, bool wide, int64_t out)
      : weight_(std::move(weight)), bias_(std::move(bias)), wide_(wide), out_(out) {}

  at::Tensor plain(const at::Tensor& x) const { return activated(x, "none", ""); }
  at::Tensor activated(const at::Tensor& x, const std::string& step, const std::string& algorithm) const;
  // (x W^T + b) * other, or + other.
  at::Tensor times(const at::Tensor& x, const at::Tensor& other) const { return joined(x, other, "mul"); }
  at::Tensor plus(const at::Tensor& x, const at::Tensor& other) const { return joined(x, other, "add"); }

 private:
  at::Tensor joined(const at::Tensor& x, const at::Tensor& other, const char* step) const;

  at::Tensor weight_;
  std::optional<at::Tensor> bias_;
  bool wide_;
  int64_t out_;
};

}  // namespace icl

// Products with packed weights, through torch's dispatcher: oneDNN's, the step that follows fused into them.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

namespace icl {

// x [n, in] -> x W^T + b [n, out]; the weight is packed (PackedLinear in icl/engine/trunks/packed.py).
class Linear {
 public:
  // wide: rows of half precision are multiplied in fp32.
  Linear(at::Tensor weight, std::optional<at::Tensor> bias, bool wide)
      : weight_(std::move(weight)), bias_(std::move(bias)), wide_(wide) {}

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
};

}  // namespace icl

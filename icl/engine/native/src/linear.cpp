// See linear.h.
#include "linear.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_to_copy.h>

#include <string_view>

namespace icl {
namespace {

using Unary = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                         c10::List<std::optional<c10::Scalar>>, std::optional<std::string_view>);
using Binary = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                          std::string_view);

const char* const kName = "mkldnn::_linear_pointwise";

at::Tensor in(const at::Tensor& x, at::ScalarType type) {
  return x.scalar_type() == type ? x : at::_to_copy(x, type);
}

}  // namespace

at::Tensor Linear::activated(const at::Tensor& x, const std::string& step, const std::string& algorithm) const {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(kName, "").typed<Unary>();
  static const c10::List<std::optional<c10::Scalar>> none;
  const at::Tensor inside = wide_ ? in(x, at::kFloat) : x;
  if (out_ > 0) return in(product(inside, weight_, out_, bias_, step, algorithm, nullptr), x.scalar_type());
  return in(op.call(inside, weight_, bias_, step, none, algorithm), x.scalar_type());
}

at::Tensor Linear::joined(const at::Tensor& x, const at::Tensor& other, const char* step) const {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(kName, "binary").typed<Binary>();
  const at::Tensor inside = wide_ ? in(x, at::kFloat) : x, second = wide_ ? in(other, at::kFloat) : other;
  if (out_ > 0) return in(product(inside, weight_, out_, bias_, step, "", &second), x.scalar_type());
  return in(op.call(inside, second, weight_, bias_, step), x.scalar_type());
}

}  // namespace icl

// What ops ask of their tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include "types.h"

namespace icl {

inline Number number_of(const at::Tensor& x, const char* name) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return Number::fp32;
    case at::kBFloat16:
      return Number::bf16;
    case at::kHalf:
      return Number::fp16;
    default:
      TORCH_CHECK_TYPE(false, name, " is ", x.scalar_type(), "; allowed: float32, bfloat16, float16");
  }
}

inline void check_rows(const at::Tensor& x, const char* name) {
  TORCH_CHECK_VALUE(x.device().is_cpu(), name, " is on ", x.device(), ", not on the CPU");
  TORCH_CHECK_VALUE(x.dim() >= 1 && (x.stride(-1) == 1 || x.size(-1) == 1 || x.numel() == 0),
                    name, " needs a contiguous last dimension");
}

}  // namespace icl

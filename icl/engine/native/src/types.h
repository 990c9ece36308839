// The number formats of weights and activations.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

namespace icl {

enum class Number { fp32, bf16, fp16 };

// Calls work(T()) with the type of a number format.
template <typename Work>
inline void with_type(Number number, Work work) {
  switch (number) {
    case Number::fp32:
      return work(float());
    case Number::bf16:
      return work(c10::BFloat16());
    case Number::fp16:
      return work(c10::Half());
  }
}

}  // namespace icl

// RMSNorm and LayerNorm of rows, with the sum of a residual before it: one pass, fp32 inside.
#pragma once

#include <cstdint>

#include "dispatch.h"
#include "types.h"

namespace icl {

struct NormArgs {
  Number number;           // of x, residual, summed and out
  Number weights;          // of weight and bias
  int64_t first, last;     // rows to do
  int64_t size;            // numbers a row
  int64_t inner;           // rows of x with one stride; row i is at (i / inner) * outer_stride + (i % inner) * stride
  int64_t outer_stride;    // numbers
  int64_t stride;          // numbers
  const void* x;
  const void* residual;    // [rows, size] contiguous, or none
  void* summed;            // [rows, size]: x + residual, rounded; or none
  void* out;               // [rows, size]
  const void* weight;      // [size], or none
  const void* bias;        // [size], or none
  float offset;            // what is added to weight: 1 for Gemma
  float eps;
  bool centred;            // LayerNorm: the mean is taken off
};

ICL_KERNEL(norm_rows, NormArgs)

}  // namespace icl

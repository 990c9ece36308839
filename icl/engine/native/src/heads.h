// From the rows of one projection to the heads of queries, keys and values: split, normed, turned to their positions
// (rotary), laid out as attention reads them. One pass, fp32 inside, rounded once.
#pragma once

#include <cstdint>

#include "dispatch.h"
#include "types.h"

namespace icl {

// Where the heads of a row go: head h of row t at data + h * head + t * row, dense numbers.
struct Place {
  void* data;
  int64_t head, row;
};

// RMSNorm or LayerNorm of heads; weight and bias are fp32: [D], or [heads * D] where all are normed at once.
struct HeadNorm {
  bool there;
  bool joint;
  bool centred;
  const float* weight;     // or none
  const float* bias;       // or none
  float eps;
};

struct HeadsArgs {
  Number number;           // of rows and heads
  int64_t first, last;     // rows to do
  int64_t heads, kv_heads, size;
  const void* projected;   // [T, (H + 2 Hkv) * D]: queries, keys, values
  int64_t projected_row;
  const float* cos;        // [T, half], or none
  const float* sin;
  int64_t half;            // the first 2 * half numbers of a head are turned, i with half + i
  HeadNorm q_norm, k_norm;
  Place q, k, v;
};

ICL_KERNEL(split_heads, HeadsArgs)

}  // namespace icl

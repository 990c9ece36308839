// The next token of a row of logits: greedy, or the inverse of its cumulative distribution at a number that was drawn
// (icl/engine/decoding/sampling.py). A row's draw depends on that row alone.
#pragma once

#include <cstdint>

#include "dispatch.h"

namespace icl {

constexpr int64_t kBlock = 256;  // BLOCK in sampling.py: tokens whose weights are summed before looking inside

struct Row {
  const float* logits;     // [size]
  int64_t size;
  float temperature;       // of `weigh` only
  float* weights;          // [size rounded up to kBlock]: exp((logits - peak) / temperature)
  double* sums;            // of the weights, a block each
  float peak;              // set by weigh
  int64_t at;              // set by weigh: the first token of the peak
  double total;            // set by weigh
};

struct RowArgs {
  Row* row;
};

// Finds the peak and weighs every token against it.
ICL_KERNEL(weigh, RowArgs)

}  // namespace icl

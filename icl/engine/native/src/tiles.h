// Attention of a block of rows over keys that lie in spans; one key head. Strides count bytes.
#pragma once

#include <cstdint>

#include "dispatch.h"
#include "types.h"

namespace icl {

// Neighbouring keys. Row i sees key j iff lo[j] <= i < hi[j] and, with a window, row_pos[i] - pos[j] < window;
// where there are no arrays, iff low <= i < high, and key j stands at position depth + j.
struct Span {
  const char* k;
  const char* v;
  int64_t k_row, v_row;
  int count;
  bool full;               // every row of the block sees all of them
  const int* lo;
  const int* hi;
  const int* pos;
  int low, high, depth;
};

// Keys that one row sees by itself, with their positions.
struct Tail {
  const char* k;
  const char* v;
  int64_t k_row, v_row;
  int count;
  const int64_t* places;
};

// C [m, n] (+)= A [m, k] x B [k, n], B in pairs of rows (VNNI): bf16 into fp32.
using Product = void (*)(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add,
                         const uint16_t* a, const uint16_t* b, float* c);

// Rows [first, first + rows), each with the `group` query heads that read this key head.
struct Block {
  Number number;
  int group, size, first, rows;
  const char* q;           // row `first`, first head of the group
  int64_t q_head, q_row;
  char* out;
  int64_t out_head, out_row;
  float scaling, softcap;  // softcap 0: none
  int window;              // 0: none
  const float* sinks;      // of the group's heads, or none
  const int* row_pos;      // [rows of the whole], for windows
  const Span* spans;
  int span_count;
  const Tail* tails;       // [rows], or none
  Product product;         // none: products are made in fp32
  char* scratch;           // scratch_bytes(...)
};

// For Number::bf16: torch's brgemm where the processor has instructions for bf16, else none. Each thread that has used
// it releases it in the end.
Product product_of_pairs();
void release_product(Product product);

// Memory that attend_block needs for blocks of so many rows, in bytes.
int64_t scratch_bytes(int group, int size, int rows);

ICL_KERNEL(attend_block, Block)

}  // namespace icl

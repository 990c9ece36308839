// Products of rows with weights that are laid out in panels of columns, fp32; what follows a product is done as it ends.
//
// A panel holds some columns of W^T, one number of each behind the other: [in][width]. A block of rows is packed as
// tiles of as many rows as the kernel keeps sums of in registers, by pieces of the inner dimension that stay in the
// first cache. A number of the result is summed in one order, whatever rows stand beside its own.
#pragma once

#include <cstdint>

#include "dispatch.h"

namespace icl {

// What a product goes through before it is stored.
enum class Step { none, swish, gelu, gelu_tanh, relu, times, plus };

// As the kernels that run here have them.
struct TileShape {
  int64_t* height;         // rows of a tile
  int64_t* width;          // columns of a panel
};

struct LayOutArgs {
  const float* weight;     // [out, in], contiguous
  int64_t out, in;
  float* panels;           // [out / width, rounded up][in][width]; columns beyond out are zero
};

struct ProductArgs {
  const float* x;          // row i at i * x_row
  int64_t x_row, rows, in;
  const float* panels;
  int64_t out;
  const float* bias;       // [out], or none
  Step step;
  const float* other;      // of times and plus: row i at i * other_row
  int64_t other_row;
  float* result;           // [rows, out], contiguous
  float* packed;           // room for packed_size(rows, in)
  int64_t first, last;     // rows to pack: tiles of them; to multiply: panels
};

// Rows that are packed and multiplied at once, and room for them: a tile has at most 8 rows.
constexpr int64_t kRowsAtOnce = 192;
inline int64_t packed_size(int64_t rows, int64_t in) { return (rows + 7) / 8 * 8 * in + 8 * in; }

ICL_KERNEL(tile_shape, TileShape)
ICL_KERNEL(lay_out_panels, LayOutArgs)
ICL_KERNEL(pack_rows, ProductArgs)
ICL_KERNEL(multiply_panels, ProductArgs)

}  // namespace icl

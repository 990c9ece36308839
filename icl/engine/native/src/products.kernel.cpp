// Kernels of products.h.
#include "products.h"

#include "lanes.h"

namespace icl {
namespace CPU_CAPABILITY {
namespace {

// A tile of kRows rows and kVectors vectors of columns has its sums in registers.
#if defined(__AVX512F__)
constexpr int kRows = 8, kVectors = 3;
#elif defined(__AVX2__)
constexpr int kRows = 6, kVectors = 2;
#elif defined(__aarch64__)
constexpr int kRows = 6, kVectors = 4;
#else
constexpr int kRows = 4, kVectors = 2;
#endif

constexpr int kColumns = kVectors * kLanes;
constexpr int64_t kPiece = 192;  // of the inner dimension: a piece of a panel stays in the first cache

ICL_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Rows shared out evenly among as few tiles as hold them: a tile of two rows takes as long as one of four.
struct Tiles {
  int64_t rows, count;
  explicit Tiles(int64_t all) : rows(all), count((all + kRows - 1) / kRows) {}
  int64_t first(int64_t tile) const { return tile * rows / count; }
  int64_t height(int64_t tile) const { return first(tile + 1) - first(tile); }
};

// A piece of a panel, and where its tiles of rows fetch the next one from meanwhile: `ahead`, some bytes a step.
struct Piece {
  const float* panel;
  int64_t inner;
  const char* ahead;
  int64_t stride;
};

// to [rows, kColumns] += rows of the tile times columns of the panel, over one piece.
template <int rows>
ICL_INLINE void accumulate(const float* tile, const Piece& piece, float* to, bool begin) {
  const float* panel = piece.panel;
  const char* ahead = piece.ahead;
  Lanes sums[rows][kVectors];
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < kVectors; ++c) sums[r][c] = begin ? Lanes{} : load(to + r * kColumns + c * kLanes);
  }
  for (int64_t k = 0; k < piece.inner; ++k) {
    __builtin_prefetch(ahead, 0, 2);
    ahead += piece.stride;
    Lanes columns[kVectors];
#pragma GCC unroll 4
    for (int c = 0; c < kVectors; ++c) columns[c] = load(panel + k * kColumns + c * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kVectors; ++c) sums[r][c] += tile[k * kRows + r] * columns[c];
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < kVectors; ++c) store(to + r * kColumns + c * kLanes, sums[r][c]);
  }
}

void accumulate(int64_t rows, const float* tile, const Piece& piece, float* to, bool begin) {
  switch (rows) {
    case 1:
      return accumulate<1>(tile, piece, to, begin);
    case 2:
      return accumulate<2>(tile, piece, to, begin);
    case 3:
      return accumulate<3>(tile, piece, to, begin);
    case 4:
      return accumulate<4>(tile, piece, to, begin);
    case 5:
      return accumulate<kRows < 5 ? kRows : 5>(tile, piece, to, begin);
    case 6:
      return accumulate<kRows < 6 ? kRows : 6>(tile, piece, to, begin);
    case 7:
      return accumulate<kRows < 7 ? kRows : 7>(tile, piece, to, begin);
    default:
      return accumulate<kRows>(tile, piece, to, begin);
  }
}

// e^x for x <= 0; the whole part of x / ln 2 is taken off in two pieces, so that large x lose no digits.
ICL_INLINE Lanes exponential(Lanes x) {
  const Lanes shift = all(12582912.0f);
  const Lanes whole = (x * 1.44269504f + shift) - shift;
  const Lanes rest = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  const Lanes found = power_of_two(whole) * power_of_two(rest * 1.44269504f);
  return x < -87.0f ? all(0.0f) : (x == x ? found : x);
}

ICL_INLINE Lanes size_of(Lanes x) { return x < 0.0f ? -x : x; }

ICL_INLINE Lanes swish(Lanes x) {
  const Lanes small = exponential(-size_of(x));  // e^-|x|
  return x * (x < 0.0f ? small : all(1.0f)) / (1.0f + small);
}

// 1 - erf x for x >= 0, to 1.2e-7 of itself (Press et al., Numerical Recipes, section 6.2).
ICL_INLINE Lanes beyond(Lanes x) {
  const Lanes t = 1.0f / (1.0f + 0.5f * x);
  Lanes y = all(0.17087277f);
  y = y * t - 0.82215223f;
  y = y * t + 1.48851587f;
  y = y * t - 1.13520398f;
  y = y * t + 0.27886807f;
  y = y * t - 0.18628806f;
  y = y * t + 0.09678418f;
  y = y * t + 0.37409196f;
  y = y * t + 1.00002368f;
  y = y * t - 1.26551223f;
  const Lanes square = x * x;
  // e^-xx alone keeps its digits where xx is large
  const Lanes rest = y < 0.0f ? exponential(y) : all(1.0f);
  return t * exponential(-square) * rest;
}

ICL_INLINE Lanes gelu(Lanes x) {
  const Lanes tail = beyond(size_of(x) * 0.70710678f);
  return 0.5f * x * (x < 0.0f ? tail : 2.0f - tail);
}

ICL_INLINE Lanes gelu_tanh(Lanes x) {
  return 0.5f * x * (1.0f + hyperbolic(0.79788456f * (x + 0.044715f * x * x * x)));
}

ICL_INLINE Lanes stepped(Step step, Lanes x, Lanes other) {
  switch (step) {
    case Step::swish:
      return swish(x);
    case Step::gelu:
      return gelu(x);
    case Step::gelu_tanh:
      return gelu_tanh(x);
    case Step::relu:
      return x < 0.0f ? all(0.0f) : x;
    case Step::times:
      return x * other;
    case Step::plus:
      return x + other;
    default:
      return x;
  }
}

// Some numbers of a row that are summed whole: with bias and what follows, into the result.
void finish(const ProductArgs& args, const float* sums, int64_t row, int64_t column, int64_t count) {
  const bool joined = args.step == Step::times || args.step == Step::plus;
  const float* other = joined ? args.other + row * args.other_row + column : nullptr;
  const float* bias = args.bias == nullptr ? nullptr : args.bias + column;
  float* to = args.result + row * args.out + column;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Lanes x = load(sums + i);
    if (bias != nullptr) x += load(bias + i);
    store(to + i, stepped(args.step, x, joined ? load(other + i) : Lanes{}));
  }
  if (i == count) return;
  float last[3][kLanes] = {};
  for (int64_t j = i; j < count; ++j) {
    last[0][j - i] = sums[j];
    if (bias != nullptr) last[1][j - i] = bias[j];
    if (joined) last[2][j - i] = other[j];
  }
  store(last[0], stepped(args.step, load(last[0]) + load(last[1]), load(last[2])));
  for (int64_t j = i; j < count; ++j) to[j] = last[0][j - i];
}

}  // namespace

void tile_shape(const TileShape& args) {
  *args.height = kRows;
  *args.width = kColumns;
}

void lay_out_panels(const LayOutArgs& args) {
  for (int64_t first = 0; first < args.out; first += kColumns) {
    float* panel = args.panels + first * args.in;
    for (int64_t k = 0; k < args.in; ++k) {
      for (int64_t c = 0; c < kColumns; ++c) {
        panel[k * kColumns + c] = first + c < args.out ? args.weight[(first + c) * args.in + k] : 0.0f;
      }
    }
  }
}

// Tiles [first, last): by pieces of the inner dimension, a tile after the other, [inner][kRows] each.
void pack_rows(const ProductArgs& args) {
  const Tiles tiles(args.rows);
  for (int64_t t = args.first; t < args.last; ++t) {
    const int64_t first = tiles.first(t), rows = tiles.height(t);
    for (int64_t from = 0; from < args.in; from += kPiece) {
      const int64_t inner = least(kPiece, args.in - from);
      float* tile = args.packed + from * tiles.count * kRows + t * inner * kRows;
      for (int64_t r = 0; r < rows; ++r) {
        const float* x = args.x + (first + r) * args.x_row + from;
        for (int64_t k = 0; k < inner; ++k) tile[k * kRows + r] = x[k];
      }
    }
  }
}

// Panels [first, last), with all rows. Sums of rows that are not done yet wait in a buffer.
void multiply_panels(const ProductArgs& args) {
  const Tiles tiles(args.rows);
  alignas(64) float sums[kRowsAtOnce * kColumns];
  for (int64_t p = args.first; p < args.last; ++p) {
    for (int64_t from = 0; from < args.in; from += kPiece) {
      const int64_t inner = least(kPiece, args.in - from);
      const float* panel = args.panels + (p * args.in + from) * kColumns;
      const float* packed = args.packed + from * tiles.count * kRows;
      // the next piece lies behind this one; each tile fetches its share of it
      const bool end = p + 1 == args.last && from + inner == args.in;
      const int64_t stride = end ? 0 : kColumns * 4 / tiles.count;
      const char* ahead = reinterpret_cast<const char*>(end ? panel : panel + inner * kColumns);
      for (int64_t t = 0; t < tiles.count; ++t) {
        const Piece piece{panel, inner, ahead + t * inner * stride, stride};
        accumulate(tiles.height(t), packed + t * inner * kRows, piece, sums + tiles.first(t) * kColumns, from == 0);
      }
    }
    const int64_t column = p * kColumns, count = least(kColumns, args.out - column);
    for (int64_t row = 0; row < args.rows; ++row) finish(args, sums + row * kColumns, row, column, count);
  }
}

}  // namespace CPU_CAPABILITY
}  // namespace icl

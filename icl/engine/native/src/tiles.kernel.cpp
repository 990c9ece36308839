// Kernel of tiles.h: packed tiles of keys, strips of queries, online softmax to base 2.
#include "tiles.h"

#include "tile_few.h"
#include "tile_pairs.h"
#include "tile_work.h"

namespace icl {
namespace CPU_CAPABILITY {
namespace {

// C [rows, cols of `vectors`] (+)= A [rows, depth] x B [depth, ...].
template <int rows, int vectors, bool add>
void product(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, int depth) {
  Lanes sum[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) sum[i][j] = add ? load(c + i * ldc + j * kLanes) : Lanes{};
  }
  for (int k = 0; k < depth; ++k) {
    Lanes right[vectors];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) right[j] = load(b + k * ldb + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const Lanes left = all(a[i * lda + k]);
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) sum[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) store(c + i * ldc + j * kLanes, sum[i][j]);
  }
}

template <int rows, bool add>
void product_of(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc, int depth, int cols) {
  int at = 0;
  for (; at + kBroad * kLanes <= cols; at += kBroad * kLanes) {
    product<rows, kBroad, add>(a, lda, b + at, ldb, c + at, ldc, depth);
  }
  for (; at < cols; at += kLanes) product<rows, 1, add>(a, lda, b + at, ldb, c + at, ldc, depth);
}

// C [rows <= kTall, cols] (+)= A x B; cols a multiple of kLanes.
template <bool add, int tall = kTall>
void strip_product(int rows, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                   int depth, int cols) {
  if constexpr (tall > 1) {
    if (rows < tall) return strip_product<add, tall - 1>(rows, a, lda, b, ldb, c, ldc, depth, cols);
  }
  product_of<tall, add>(a, lda, b, ldb, c, ldc, depth, cols);
}

// keys [D, kTile] and values [kTile, wide] of the tile, in fp32.
template <typename T>
void pack(const Block& block, Work& work) {
  const int size = block.size;
  for (int n = 0; n < work.count; n += kLanes) {
    int d = 0;
    for (; d + kLanes <= size; d += kLanes) {
      Lanes rows[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        rows[i] = n + i < work.count ? load((const T*)work.key_at[n + i] + d) : Lanes{};
      }
      turned(rows);
      for (int i = 0; i < kLanes; ++i) store(work.keys + int64_t(d + i) * kTile + n, rows[i]);
    }
    for (; d < size; ++d) {
      for (int i = 0; i < kLanes; ++i) {
        work.keys[int64_t(d) * kTile + n + i] = n + i < work.count ? one(((const T*)work.key_at[n + i])[d]) : 0.0f;
      }
    }
  }
  for (int n = 0; n < work.count; ++n) {
    const T* from = (const T*)work.value_at[n];
    float* to = work.values + int64_t(n) * work.wide;
    int d = 0;
    for (; d + kLanes <= size; d += kLanes) store(to + d, load(from + d));
    for (; d < work.wide; ++d) to[d] = d < size ? one(from[d]) : 0.0f;
  }
}

// All queries against the tile, a strip of them at a time, each over the keys between the first and last it sees.
void attend_tile(const Block& block, Work& work) {
  const int m = block.group * block.rows, size = block.size;
  for (int query = 0; query < m; query += kTall) {
    const int tall = m - query < kTall ? m - query : kTall;
    const Seen seen = seen_by(block, work, query, tall);
    if (seen.low == seen.high) continue;
    const int from = seen.low / kLanes * kLanes, to = rounded_up(seen.high, kLanes);
    strip_product<false>(tall, work.queries + int64_t(query) * size, size, work.keys + from, kTile, work.scores + from,
                         kTile, size, to - from);
    for (int i = 0; i < tall; ++i) {
      float* scores = work.scores + i * kTile;
      weigh(block, work, query + i, factor_of(block), scores, scores, from, to);
    }
    strip_product<true>(tall, work.scores + seen.low, kTile, work.values + int64_t(seen.low) * work.wide, work.wide,
                        work.out + int64_t(query) * work.wide, work.wide, seen.high - seen.low, work.wide);
  }
}

template <typename T>
void finish(const Block& block, Work& work) {
  for (int r = 0; r < block.rows; ++r) {
    for (int g = 0; g < block.group; ++g) {
      const int64_t query = int64_t(r) * block.group + g;
      const float* from = work.out + query * work.wide;
      T* to = (T*)(block.out + r * block.out_row + g * block.out_head);
      float scale = 1.0f, mass = work.mass[query];
      if (block.sinks && mass > 0.0f) {
        const float sink = block.sinks[g] * kLog2E, peak = work.peak[query], most = sink > peak ? sink : peak;
        scale = power_of_two(peak - most);
        mass = mass * scale + power_of_two(sink - most);
      }
      scale = mass == 0.0f ? 0.0f : scale / mass;
      int d = 0;
      for (; d + kLanes <= block.size; d += kLanes) store(to + d, load(from + d) * scale);
      for (; d < block.size; ++d) to[d] = static_cast<T>(from[d] * scale);
    }
  }
}

template <typename T>
void attend(const Block& block) {
  Work work;
  lay_out(block, work);
  take_queries<T>(block, work);
  const bool pairs = block.product != nullptr && std::is_same_v<T, c10::BFloat16>;
  if (pairs) take_pairs(block, work);
  Place place{0, 0};
  while (next_tile(block, work, place)) {
    if (pairs) {
      pack_pairs(block, work);
      attend_pairs(block, work);
    } else {
      pack<T>(block, work);
      attend_tile(block, work);
    }
  }
  attend_tails<T>(block, work);
  finish<T>(block, work);
}

}  // namespace

void attend_block(const Block& block) {
  switch (block.number) {
    case Number::fp32:
      return attend<float>(block);
    case Number::bf16:
      return attend<c10::BFloat16>(block);
    case Number::fp16:
      return attend<c10::Half>(block);
  }
}

}  // namespace CPU_CAPABILITY
}  // namespace icl

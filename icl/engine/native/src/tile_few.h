// Attention of few queries: keys and values are read where they lie, nothing is packed. For kernel files only.
#pragma once

#include "tile_work.h"

namespace icl {
namespace CPU_CAPABILITY {
namespace {

// Scores of `heads` queries of one row with the keys of the tile, read where they lie.
template <typename T, int heads>
void dot(const Work& work, const float* queries, int size, float* scores) {
  const int whole = size / kLanes * kLanes;
  for (int n = 0; n < work.count; ++n) {
    const T* key = (const T*)work.key_at[n];
    Lanes sum[heads] = {};
    for (int d = 0; d < whole; d += kLanes) {
      const Lanes part = load(key + d);
#pragma GCC unroll 4
      for (int g = 0; g < heads; ++g) sum[g] += load(queries + int64_t(g) * size + d) * part;
    }
#pragma GCC unroll 4
    for (int g = 0; g < heads; ++g) {
      float found = total(sum[g])[0];
      for (int d = whole; d < size; ++d) found += queries[int64_t(g) * size + d] * one(key[d]);
      scores[g * kTile + n] = found;
    }
  }
}

// The values of the tile, weighted, added to the sums of `heads` queries.
template <typename T, int heads>
void blend(const Work& work, const float* weights, int size, float* out) {
  int d = 0;
  for (; d + kLanes <= size; d += kLanes) {
    Lanes sum[heads];
#pragma GCC unroll 4
    for (int g = 0; g < heads; ++g) sum[g] = load(out + int64_t(g) * work.wide + d);
    for (int n = 0; n < work.count; ++n) {
      const Lanes part = load((const T*)work.value_at[n] + d);
#pragma GCC unroll 4
      for (int g = 0; g < heads; ++g) sum[g] += weights[g * kTile + n] * part;
    }
#pragma GCC unroll 4
    for (int g = 0; g < heads; ++g) store(out + int64_t(g) * work.wide + d, sum[g]);
  }
  for (; d < size; ++d) {
    for (int g = 0; g < heads; ++g) {
      float sum = out[int64_t(g) * work.wide + d];
      for (int n = 0; n < work.count; ++n) sum += weights[g * kTile + n] * one(((const T*)work.value_at[n])[d]);
      out[int64_t(g) * work.wide + d] = sum;
    }
  }
}

template <typename T, int heads>
void attend_heads(const Block& block, Work& work, int query) {
  dot<T, heads>(work, work.queries + int64_t(query) * block.size, block.size, work.scores);
  const int high = rounded_up(work.count, kLanes);
  for (int g = 0; g < heads; ++g) {
    float* scores = work.scores + g * kTile;
    weigh(block, work, query + g, factor_of(block), scores, scores, 0, high);
  }
  blend<T, heads>(work, work.scores, block.size, work.out + int64_t(query) * work.wide);
}

// Keys that few queries see: nothing is packed for them.
template <typename T>
void attend_few(const Block& block, Work& work, int row, const Tail& tail, int depth) {
  for (int from = 0; from < tail.count; from += kTile) {
    work.count = tail.count - from < kTile ? tail.count - from : kTile;
    work.full = !block.window && work.count % kLanes == 0;
    for (int n = 0; n < rounded_up(work.count, kLanes); ++n) {
      const int j = from + n, within = n < work.count;
      work.key_at[n] = within ? tail.k + j * tail.k_row : nullptr;
      work.value_at[n] = within ? tail.v + j * tail.v_row : nullptr;
      work.lo[n] = within ? -kEvery : kEvery;
      work.hi[n] = kEvery;
      work.pos[n] = !within ? 0 : tail.places ? (int)tail.places[j] : depth + j;
    }
    for (int g = 0; g < block.group; g += 4) {
      const int query = row * block.group + g, heads = block.group - g;
      if (heads >= 4) attend_heads<T, 4>(block, work, query);
      if (heads == 3) attend_heads<T, 3>(block, work, query);
      if (heads == 2) attend_heads<T, 2>(block, work, query);
      if (heads == 1) attend_heads<T, 1>(block, work, query);
    }
  }
}

template <typename T>
void attend_tails(const Block& block, Work& work) {
  for (int i = 0; i < block.span_count; ++i) {
    const Span& span = block.spans[i];
    if (!seen_by_few(block, span)) continue;
    const Tail part{span.k, span.v, span.k_row, span.v_row, span.count, nullptr};
    const int low = span.low - block.first, high = span.high - block.first;
    for (int r = low > 0 ? low : 0; r < high && r < block.rows; ++r) {
      attend_few<T>(block, work, r, part, span.depth);
    }
  }
  for (int r = 0; block.tails && r < block.rows; ++r) attend_few<T>(block, work, r, block.tails[r], 0);
}

}  // namespace
}  // namespace CPU_CAPABILITY
}  // namespace icl

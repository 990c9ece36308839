// Tiles in bf16 for products of pairs (brgemm), sums in fp32. For kernel files only.
#pragma once

#include "tile_work.h"

namespace icl {
namespace CPU_CAPABILITY {
namespace {

// Queries as they are, zeros up to whole strips.
void take_pairs(const Block& block, Work& work) {
  const int m = block.group * block.rows;
  for (int query = 0; query < rounded_up(m, kStrip); ++query) {
    const char* from = block.q + query / block.group * block.q_row + query % block.group * block.q_head;
    uint16_t* to = work.pairs + int64_t(query) * block.size;
    for (int d = 0; d < block.size; ++d) to[d] = query < m ? ((const LooseHalf*)from)[d] : 0;
  }
}

// pair_keys and pair_values of the tile, zeros up to whole steps. Two numbers of a row are moved as one of 32 bits.
void pack_pairs(const Block& block, Work& work) {
  const int size = block.size, half = size / 2, count = rounded_up(work.count, kStep);
  float* keys = (float*)work.pair_keys;
  for (int n = 0; n < count; n += kLanes) {
    int d = 0;
    for (; d + kLanes <= half; d += kLanes) {
      Lanes rows[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        rows[i] = n + i < work.count ? load((const float*)work.key_at[n + i] + d) : Lanes{};
      }
      turned(rows);
      for (int i = 0; i < kLanes; ++i) store(keys + int64_t(d + i) * kTile + n, rows[i]);
    }
    for (; d < half; ++d) {
      for (int i = 0; i < kLanes; ++i) {
        const bool within = n + i < work.count;
        ((LooseInt*)keys)[int64_t(d) * kTile + n + i] = within ? ((const LooseInt*)work.key_at[n + i])[d] : 0;
      }
    }
  }
  for (int n = 0; n < count; n += 2) {
    LooseInt* to = (LooseInt*)work.pair_values + int64_t(n / 2) * size;
    const char* first = n < work.count ? work.value_at[n] : nullptr;
    const char* second = n + 1 < work.count ? work.value_at[n + 1] : nullptr;
    int d = 0;
    for (; d + kLanes <= size; d += kLanes) {
      const Ints low = first ? widened(first + 2 * d) : Ints{}, high = second ? widened(second + 2 * d) : Ints{};
      *(LooseInts*)(to + d) = low | (high << 16);
    }
    for (; d < size; ++d) {
      const uint32_t low = first ? ((const LooseHalf*)first)[d] : 0, high = second ? ((const LooseHalf*)second)[d] : 0;
      to[d] = int32_t(low | (high << 16));
    }
  }
}

void attend_pairs(const Block& block, Work& work) {
  const int m = block.group * block.rows, size = block.size;
  for (int query = 0; query < m; query += kStrip) {
    const int tall = m - query < kStrip ? m - query : kStrip;
    const Seen seen = seen_by(block, work, query, tall);
    if (seen.low == seen.high) continue;
    const int from = seen.low / kStep * kStep, to = rounded_up(seen.high, kStep);
    block.product(kStrip, to - from, size, size, kTile, kTile, false, work.pairs + int64_t(query) * size,
                  work.pair_keys + 2 * from, work.scores);
    for (int i = 0; i < tall; ++i) {
      weigh(block, work, query + i, factor_of(block), work.scores + i * kTile - from,
            (c10::BFloat16*)work.pair_weights + i * kTile - from, from, to);
    }
    for (int i = tall * kTile; i < kStrip * kTile; ++i) work.pair_weights[i] = 0;
    block.product(kStrip, size, to - from, kTile, size, work.wide, true, work.pair_weights,
                  work.pair_values + int64_t(from) * size, work.out + int64_t(query) * work.wide);
  }
}

}  // namespace
}  // namespace CPU_CAPABILITY
}  // namespace icl

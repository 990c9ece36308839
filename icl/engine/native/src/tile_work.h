// What a block of queries works with: its sums so far, the keys of a tile, weights of scores. For kernel files only.
#pragma once

#include "lanes.h"
#include "tiles.h"

namespace icl {

constexpr int kTile = 128;   // keys of a tile
constexpr int kStep = 16;    // keys are taken in steps of so many
constexpr int kStrip = 32;   // queries of a product of pairs
constexpr int kFew = 8;      // queries for which keys are not packed
constexpr int64_t kLine = 64;
constexpr int kEvery = 1 << 30;

constexpr int64_t lines(int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
constexpr int rounded_up(int n, int to) { return (n + to - 1) / to * to; }

namespace CPU_CAPABILITY {
namespace {

constexpr float kNone = -__builtin_inff();
constexpr float kLog2E = 1.4426950408889634f;

// What a block works with; the parts of its scratch.
struct Work {
  float* queries;    // [M, D]
  float* out;        // [M, wide]
  float* peak;       // [M]
  float* mass;       // [M]
  float* keys;       // [D, kTile]
  float* values;     // [kTile, wide]
  float* scores;     // [kStrip, kTile]
  uint16_t* pairs;   // queries [M up to kStrip, D] in bf16, for products of pairs
  uint16_t* pair_keys;     // [D / 2, kTile, 2]
  uint16_t* pair_values;   // [kTile / 2, D, 2]
  uint16_t* pair_weights;  // [kStrip, kTile]
  int wide;          // D rounded up to whole vectors
  int count;         // keys in the tile
  bool full;         // all seen by all
  const char* key_at[kTile];
  const char* value_at[kTile];
  int lo[kTile], hi[kTile], pos[kTile];
};

void lay_out(const Block& block, Work& work) {
  const int64_t m = rounded_up(block.group * block.rows, kStrip);
  char* at = (char*)((((uintptr_t)block.scratch) + kLine - 1) / kLine * kLine);
  auto take = [&](int64_t numbers) {
    float* taken = (float*)at;
    at += lines(4 * numbers);
    return taken;
  };
  work.wide = rounded_up(block.size, kLanes);
  work.queries = take(m * block.size);
  work.out = take(m * work.wide);
  work.peak = take(m);
  work.mass = take(m);
  work.keys = take(int64_t(kTile) * block.size);
  work.values = take(int64_t(kTile) * work.wide);
  work.scores = take(int64_t(kStrip) * kTile);
  work.pairs = (uint16_t*)take(m * block.size / 2);
  work.pair_keys = (uint16_t*)take(int64_t(kTile) * block.size / 2);
  work.pair_values = (uint16_t*)take(int64_t(kTile) * block.size / 2);
  work.pair_weights = (uint16_t*)take(int64_t(kStrip) * kTile / 2);
}

// Queries in fp32; nothing seen so far.
template <typename T>
void take_queries(const Block& block, Work& work) {
  for (int r = 0; r < block.rows; ++r) {
    for (int g = 0; g < block.group; ++g) {
      const T* from = (const T*)(block.q + r * block.q_row + g * block.q_head);
      float* to = work.queries + (int64_t(r) * block.group + g) * block.size;
      int d = 0;
      for (; d + kLanes <= block.size; d += kLanes) store(to + d, load(from + d));
      for (; d < block.size; ++d) to[d] = one(from[d]);
    }
  }
  const int64_t m = int64_t(block.group) * block.rows;
  for (int64_t i = 0; i < m * work.wide; ++i) work.out[i] = 0.0f;
  for (int64_t i = 0; i < m; ++i) {
    work.peak[i] = kNone;
    work.mass[i] = 0.0f;
  }
}

// Are there too few queries for a span of a step to be worth packing?
bool seen_by_few(const Block& block, const Span& span) {
  if (span.lo) return false;
  const int low = span.low > block.first ? span.low : block.first;
  const int end = block.first + block.rows, high = span.high < end ? span.high : end;
  return (high - low) * block.group <= kFew;
}

// Where the spans go on.
struct Place {
  int span, key;
};

// The next keys, up to kTile of them. False where there are none.
bool next_tile(const Block& block, Work& work, Place& place) {
  work.count = 0;
  work.full = true;
  while (place.span < block.span_count && work.count < kTile) {
    const Span& span = block.spans[place.span];
    if (seen_by_few(block, span)) {
      place = {place.span + 1, 0};
      continue;
    }
    const int room = kTile - work.count, left = span.count - place.key, count = left < room ? left : room;
    for (int i = 0; i < count; ++i) {
      const int n = work.count + i, j = place.key + i;
      work.key_at[n] = span.k + j * span.k_row;
      work.value_at[n] = span.v + j * span.v_row;
      work.lo[n] = span.full ? -kEvery : span.lo ? span.lo[j] : span.low;
      work.hi[n] = span.full ? kEvery : span.hi ? span.hi[j] : span.high;
      work.pos[n] = span.full ? kEvery : span.pos ? span.pos[j] : span.depth + j;
    }
    work.full = work.full && span.full;
    work.count += count;
    place.key += count;
    if (place.key == span.count) place = {place.span + 1, 0};
  }
  if (work.count % kStep) {
    work.full = false;  // what fills the last step is seen by none
    for (int n = work.count; n < rounded_up(work.count, kStep); ++n) work.lo[n] = kEvery, work.hi[n] = work.pos[n] = 0;
  }
  return work.count > 0;
}

// Keys [low, high) between the first and the last that any of the queries sees; none where they are equal.
struct Seen {
  int low, high;
};

Seen seen_by(const Block& block, const Work& work, int query, int queries) {
  int low = 0, high = work.count;
  if (work.full) return {low, high};
  const int first = block.first + query / block.group, last = block.first + (query + queries - 1) / block.group;
  while (low < high && !(work.lo[low] <= last && work.hi[low] > first)) ++low;
  while (low < high && !(work.lo[high - 1] <= last && work.hi[high - 1] > first)) --high;
  return {low, high};
}

// What scores are multiplied with first, see `weigh`.
float factor_of(const Block& block) {
  return block.softcap != 0.0f ? block.scaling / block.softcap : block.scaling * kLog2E;
}

// Scores [low, high) of a query times `factor` become weights relative to the largest so far; what was summed before
// is brought in line. Scores are to base 2; with a softcap `factor` leads to what is capped.
template <typename W>
void weigh(const Block& block, Work& work, int query, float factor, float* scores, W* weights, int low, int high) {
  const float cap = block.softcap;
  const int row = block.first + query / block.group;
  Lanes most = all(kNone);
  for (int n = low; n < high; n += kLanes) {
    Lanes score = load(scores + n) * factor;
    if (cap != 0.0f) score = hyperbolic(score) * (cap * kLog2E);
    if (!work.full) {
      Ints seen = (load(work.lo + n) <= row) & (load(work.hi + n) > row);
      if (block.window) seen &= block.row_pos[row] - load(work.pos + n) < block.window;
      score = seen ? score : all(kNone);
    }
    store(scores + n, score);
    most = larger(score, most);
  }
  const float before = work.peak[query], found = largest(most)[0], peak = found > before ? found : before;
  const float safe = peak == kNone ? 0.0f : peak;
  Lanes mass = {};
  for (int n = low; n < high; n += kLanes) {
    const Lanes weight = power_of_two(load(scores + n) - safe);
    store(weights + n, weight);
    mass += weight;
  }
  if (peak > before) {
    const float factor = power_of_two(before - safe);
    work.peak[query] = peak;
    work.mass[query] *= factor;
    float* out = work.out + int64_t(query) * work.wide;
    if (before != kNone) {
      for (int d = 0; d < work.wide; d += kLanes) store(out + d, load(out + d) * factor);
    }
  }
  work.mass[query] += total(mass)[0];
}

}  // namespace
}  // namespace CPU_CAPABILITY
}  // namespace icl

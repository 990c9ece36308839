// Kernel of tiles.h: packed tiles of keys, strips of queries, online softmax to base 2.
//
// Query r * group + g of a block is head g of row r. Its sums over the keys so far stand in `out` [M, D] in fp32,
// its largest score in `peak`, the sum of its weights in `mass`.
#include "tiles.h"

#include "lanes.h"

namespace icl {

constexpr int kTile = 128;   // keys of a tile
constexpr int kFew = 8;      // queries for which keys are not packed
constexpr int64_t kLine = 64;
constexpr int kEvery = 1 << 30;

constexpr int64_t lines(int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
constexpr int rounded_up(int n, int to) { return (n + to - 1) / to * to; }

namespace CPU_CAPABILITY {
namespace {

constexpr float kNone = -__builtin_inff();
constexpr float kLog2E = 1.4426950408889634f;

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

// What a block works with; the parts of its scratch.
struct Work {
  float* queries;    // [M, D]
  float* out;        // [M, wide]
  float* peak;       // [M]
  float* mass;       // [M]
  float* keys;       // [D, kTile]
  float* values;     // [kTile, wide]
  float* scores;     // [kTall, kTile]
  int wide;          // D rounded up to whole vectors
  int count;         // keys in the tile
  bool full;         // all seen by all
  const char* key_at[kTile];
  const char* value_at[kTile];
  int lo[kTile], hi[kTile], pos[kTile];
};

void lay_out(const Block& block, Work& work) {
  const int64_t m = int64_t(block.group) * block.rows;
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
  work.scores = take(int64_t(kTall) * kTile);
}

// Queries times `factor`, in fp32.
template <typename T>
void take_queries(const Block& block, Work& work, float factor) {
  for (int r = 0; r < block.rows; ++r) {
    for (int g = 0; g < block.group; ++g) {
      const T* from = (const T*)(block.q + r * block.q_row + g * block.q_head);
      float* to = work.queries + (int64_t(r) * block.group + g) * block.size;
      int d = 0;
      for (; d + kLanes <= block.size; d += kLanes) store(to + d, load(from + d) * factor);
      for (; d < block.size; ++d) to[d] = one(from[d]) * factor;
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
  if (work.count % kLanes) {
    work.full = false;  // what fills the last vector is seen by none
    for (int n = work.count; n < rounded_up(work.count, kLanes); ++n) work.lo[n] = kEvery, work.hi[n] = work.pos[n] = 0;
  }
  return work.count > 0;
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

// Scores of a query become weights relative to the largest so far; what was summed before is brought in line.
void weigh(const Block& block, Work& work, int query, int row, float* scores, int low, int high) {
  const float cap = block.softcap;
  Lanes most = all(kNone);
  for (int n = low; n < high; n += kLanes) {
    Lanes score = load(scores + n);
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
    store(scores + n, weight);
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

// All queries against the tile, a strip of them at a time, each over the keys between the first and last it sees.
void attend_tile(const Block& block, Work& work) {
  const int m = block.group * block.rows;
  for (int query = 0; query < m; query += kTall) {
    const int tall = m - query < kTall ? m - query : kTall;
    int low = 0, high = work.count;
    if (!work.full) {
      const int first = block.first + query / block.group, last = block.first + (query + tall - 1) / block.group;
      while (low < high && !(work.lo[low] <= last && work.hi[low] > first)) ++low;
      while (low < high && !(work.lo[high - 1] <= last && work.hi[high - 1] > first)) --high;
      if (low == high) continue;
    }
    const int from = low / kLanes * kLanes, to = rounded_up(high, kLanes);
    const float* queries = work.queries + int64_t(query) * block.size;
    strip_product<false>(tall, queries, block.size, work.keys + from, kTile, work.scores + from, kTile, block.size,
                         to - from);
    for (int i = 0; i < tall; ++i) {
      weigh(block, work, query + i, block.first + (query + i) / block.group, work.scores + i * kTile, from, to);
    }
    strip_product<true>(tall, work.scores + low, kTile, work.values + int64_t(low) * work.wide, work.wide,
                        work.out + int64_t(query) * work.wide, work.wide, high - low, work.wide);
  }
}

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
void attend_heads(const Block& block, Work& work, int row, int query) {
  dot<T, heads>(work, work.queries + int64_t(query) * block.size, block.size, work.scores);
  const int high = rounded_up(work.count, kLanes);
  for (int g = 0; g < heads; ++g) weigh(block, work, query + g, block.first + row, work.scores + g * kTile, 0, high);
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
      if (heads >= 4) attend_heads<T, 4>(block, work, row, query);
      if (heads == 3) attend_heads<T, 3>(block, work, row, query);
      if (heads == 2) attend_heads<T, 2>(block, work, row, query);
      if (heads == 1) attend_heads<T, 1>(block, work, row, query);
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
  // scores are to base 2; with a softcap they are scaled again after it
  take_queries<T>(block, work, block.softcap != 0.0f ? block.scaling / block.softcap : block.scaling * kLog2E);
  Place place{0, 0};
  while (next_tile(block, work, place)) {
    pack<T>(block, work);
    attend_tile(block, work);
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

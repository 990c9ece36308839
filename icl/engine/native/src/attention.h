// Exact attention over trees of tokens: a chunk of a trie (tree_attention.cpp), one decode step (step_attention.cpp).
//
// Scores and sums are fp32, the softmax is online: keys are read where they lie, tile by tile. No result
// depends on the number of threads. Strides count numbers; the last dimension is dense.
#pragma once

#include <cstdint>

#include "types.h"

namespace icl {

// Key and value heads [Hkv, n, D].
struct Keys {
  const void* k;
  const void* v;
  int64_t k_head, k_row, v_head, v_row;
};

// Keys that all slots [low, high) see, of one layer; key i stands at position depth + i.
struct SharedSpan {
  Keys keys;
  int64_t length, depth, low, high;
};

// What is the same in all layers of a model.
struct Heads {
  Number number;                   // of q, k, v and out
  int64_t heads, kv_heads, size;   // H = kv_heads * group, D
};

// What a layer says, see LayerCall in icl/engine/attention/contract.py.
struct LayerSays {
  float scaling;
  int64_t window;                  // 0: none
  float softcap;                   // 0: none
  const float* sinks;              // [H], or none
};

// One layer of one decode step: row b is the newest token of slot b.
struct StepCall {
  Heads heads;
  LayerSays says;
  int64_t slots;                   // B
  const void* q;                   // [B, H, D]
  int64_t q_slot, q_head;
  const void* new_k;               // [B, Hkv, D]
  const void* new_v;
  int64_t k_slot, k_head, v_slot, v_head;
  void* out;                       // [B, H, D]
  int64_t out_slot, out_head;
  void* tail_k;                    // [R, Hkv, capacity, D]
  void* tail_v;                    // the same strides
  int64_t tail_row, tail_head, tail_token;
  const int64_t* rows;             // [B] row of each slot's tail
  const int64_t* lengths;          // [B] tokens in it before this one
  const int64_t* places;           // [R, capacity] position of each token of a tail, this one's included
  int64_t places_row;
  const int64_t* positions;        // [B] of this one
  const SharedSpan* spans;         // [span_count]
  int64_t span_count;
};

// May step_attention be called? D must be a multiple of 8, up to 256.
bool covered(const Heads& heads);

// Writes the new keys and values to the ends of the tails and attends. Spreads over at::parallel_for itself.
void step_attention(const StepCall& call);

}  // namespace icl

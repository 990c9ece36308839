// A decoder as one object: its blocks, and one step of decoding through all of them in one call.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/custom_class.h>

#include <optional>
#include <string>
#include <vector>

#include "attention.h"
#include "heads.h"
#include "linear.h"

namespace icl {

using Maybe = std::optional<at::Tensor>;

// See Norm in icl/engine/trunks/fused/blocks.py; of rows, or of heads.
struct Norm {
  bool there = false;
  Maybe weight, bias;
  double eps = 0.0;
  bool centred = false;
};

// The norms of a block, see Block there.
enum NormOf { kIn, kOut, kMid, kEnd, kQuery, kKey, kNorms };

// See Block there; out of the same products.
struct Layer {
  Heads heads;
  LayerSays says;
  at::Tensor sinks;        // holds what says.sinks points at
  Linear qkv, out, up, down;
  std::optional<Linear> gate;
  std::string activation, algorithm;
  int64_t rotary;          // which of the step's angles; -1: none
  bool joint, parallel;
  Norm norms[kNorms];
};

// Keys and values of a shared node, by layer: [Hkv, n, D] each.
struct Node : torch::CustomClassHolder {
  Node(std::vector<at::Tensor> k, std::vector<at::Tensor> v) : keys(std::move(k)), values(std::move(v)) {}
  std::vector<at::Tensor> keys, values;
};

// What one step knows beside its rows.
struct StepState {
  const std::vector<at::Tensor>& cos;      // [B, R/2] fp32, by rotation
  const std::vector<at::Tensor>& sin;
  const std::vector<at::Tensor>& tail_keys;    // [R, Hkv, capacity, D], by layer
  const std::vector<at::Tensor>& tail_values;
  const at::Tensor& places;                // [R, capacity] int64
  const at::Tensor& rows;                  // [B] int64: where each slot's tail is
  const at::Tensor& lengths;               // [B] int64: tokens in it before this one
  const at::Tensor& positions;             // [B] int64
  const std::vector<c10::intrusive_ptr<Node>>& nodes;
  const std::vector<int64_t>& spans;       // by node: length, depth, first slot, last slot
};

struct Decoder : torch::CustomClassHolder {
  std::vector<Layer> layers;
  Norm final_norm;

  // Hidden rows [B, d] as they meet the first block -> [B, d] after the final norm. Puts the new keys and values at
  // the ends of the tails, and their positions into places.
  at::Tensor step(const at::Tensor& hidden, const StepState& state) const;
};

}  // namespace icl

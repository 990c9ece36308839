// The decoder as a class of torch's, built from Python block by block (icl/engine/native/decoder.py).
#include <torch/library.h>

#include "decoder.h"
#include "tensors.h"

namespace icl {
namespace {

using Tensors = std::vector<at::Tensor>;
using Integers = std::vector<int64_t>;
using Decoders = c10::intrusive_ptr<Decoder>;

Norm norm_of(const Maybe& weight, const Maybe& bias, double eps, bool centred) {
  for (const Maybe* one : {&weight, &bias}) {
    TORCH_CHECK_VALUE(!*one || ((*one)->is_contiguous() && (*one)->dim() == 1), "norms have contiguous weights [d]");
  }
  return {true, weight, bias, eps, centred};
}

// heads: H, Hkv, D, number format, window (0: none), rotary (-1: none), joint, parallel. says: scaling, softcap (0:
// none). weights: packed, of qkv, out, up, down and perhaps gate; wide: which of them are multiplied in fp32;
// outs: columns of those that are in panels, 0 of others.
void add_block(const Decoders& self, Integers heads, std::vector<double> says, const Maybe& sinks,
               const std::vector<std::optional<at::Tensor>>& biases, Tensors weights, Integers wide, Integers outs,
               std::string activation, std::string algorithm) {
  TORCH_CHECK_VALUE(heads.size() == 8 && says.size() == 2 && weights.size() == wide.size() &&
                        weights.size() == outs.size() &&
                        weights.size() == biases.size() && (weights.size() == 4 || weights.size() == 5),
                    "a block has four products, or five with a gate");
  const auto product = [&](size_t i) { return Linear(weights[i], biases[i], wide[i] != 0, outs[i]); };
  const Heads shape{static_cast<Number>(heads[3]), heads[0], heads[1], heads[2]};
  TORCH_CHECK_VALUE(covered(shape), "the attention of a step is not written for these heads");
  const at::Tensor held = sinks ? sinks->to(at::kFloat).contiguous() : at::Tensor();
  const LayerSays layer{static_cast<float>(says[0]), heads[4], static_cast<float>(says[1]),
                        sinks ? held.const_data_ptr<float>() : nullptr};
  std::optional<Linear> gate;
  if (weights.size() == 5) gate = product(4);
  self->layers.push_back(Layer{shape, layer, held, product(0), product(1), product(2), product(3), std::move(gate),
                               std::move(activation), std::move(algorithm), heads[5], heads[6] != 0, heads[7] != 0,
                               {}});
}

// place: one of kIn ... kKey of the last block, or kNorms: the final norm. Weights of heads must be fp32.
void set_norm(const Decoders& self, int64_t place, const Maybe& weight, const Maybe& bias, double eps, bool centred) {
  const Norm one = norm_of(weight, bias, eps, centred);
  if (place == kNorms) {
    self->final_norm = one;
    return;
  }
  TORCH_CHECK_VALUE(place >= 0 && place < kNorms && !self->layers.empty(), "there is no such norm");
  const bool of_heads = place == kQuery || place == kKey;
  for (const Maybe* given : {&weight, &bias}) {
    TORCH_CHECK_TYPE(!of_heads || !*given || (*given)->scalar_type() == at::kFloat, "norms of heads are in float32");
  }
  self->layers.back().norms[place] = one;
}

void check_step(const Decoder& self, const at::Tensor& hidden, const StepState& state) {
  check_rows(hidden, "hidden");
  const int64_t slots = hidden.size(0);
  const size_t layers = self.layers.size();
  for (const at::Tensor* one : {&state.rows, &state.lengths, &state.positions}) {
    TORCH_CHECK_VALUE(one->scalar_type() == at::kLong && one->is_contiguous() && one->numel() == slots,
                      "rows, lengths and positions are [B] of int64");
  }
  TORCH_CHECK_VALUE(state.places.scalar_type() == at::kLong && state.places.stride(-1) == 1, "places is of int64");
  TORCH_CHECK_VALUE(state.tail_keys.size() == layers && state.tail_values.size() == layers, "a tail a layer");
  TORCH_CHECK_VALUE(state.spans.size() == 4 * state.nodes.size(), "four numbers a node");
  for (size_t i = 0; i < layers; ++i) {
    const at::Tensor& keys = state.tail_keys[i];
    TORCH_CHECK_VALUE(keys.dim() == 4 && keys.strides() == state.tail_values[i].strides() && keys.stride(3) == 1 &&
                          keys.scalar_type() == hidden.scalar_type() && keys.size(2) == state.places.size(1),
                      "tails are [R, Hkv, capacity, D] of the rows' format");
    TORCH_CHECK_VALUE(self.layers[i].rotary < static_cast<int64_t>(state.cos.size()), "an angle a rotation");
  }
  for (const auto& node : state.nodes) {
    TORCH_CHECK_VALUE(node->keys.size() == layers && node->values.size() == layers, "a node has all layers");
  }
  for (int64_t b = 0; b < slots; ++b) {
    const int64_t row = state.rows.const_data_ptr<int64_t>()[b], length = state.lengths.const_data_ptr<int64_t>()[b];
    TORCH_CHECK_INDEX(row >= 0 && row < state.places.size(0) && length >= 0 && length < state.places.size(1),
                      "slot ", b, " has no room in its tail");
  }
}

at::Tensor step(const Decoders& self, const at::Tensor& hidden, Tensors cos, Tensors sin, Tensors tail_keys,
                Tensors tail_values, const at::Tensor& places, const at::Tensor& rows, const at::Tensor& lengths,
                const at::Tensor& positions, std::vector<c10::intrusive_ptr<Node>> nodes, Integers spans) {
  const StepState state{cos, sin, tail_keys, tail_values, places, rows, lengths, positions, nodes, spans};
  check_step(*self, hidden, state);
  return self->step(hidden, state);
}

}  // namespace
}  // namespace icl

TORCH_LIBRARY_FRAGMENT(icl_native, m) {
  m.class_<icl::Node>("Node").def(torch::init<std::vector<at::Tensor>, std::vector<at::Tensor>>());
  m.class_<icl::Decoder>("Decoder")
      .def(torch::init<>())
      .def("add_block", &icl::add_block)
      .def("set_norm", &icl::set_norm)
      .def("step", &icl::step);
}

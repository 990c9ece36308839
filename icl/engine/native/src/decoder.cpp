// One step of decoding through all layers: see decoder.h. What it computes is EagerStep's.
#include "decoder.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "norms.h"
#include "tensors.h"

namespace icl {

at::Tensor norm(const at::Tensor&, const Maybe&, const Maybe&, double, double, bool);
void split_rows(const HeadsArgs&, int64_t);

namespace {

at::Tensor normed(const at::Tensor& x, const Norm& one) {
  return one.there ? norm(x, one.weight, one.bias, one.eps, 0.0, one.centred) : x;
}

at::Tensor joined(const Linear& product, const at::Tensor& x, const Norm& one, const at::Tensor& residual) {
  return one.there ? at::add(normed(product.plain(x), one), residual) : product.plus(x, residual);
}

HeadNorm head_norm(const Norm& one, bool joint) {
  const auto numbers = [](const Maybe& x) { return x ? x->const_data_ptr<float>() : nullptr; };
  return {one.there, joint, one.centred, numbers(one.weight), numbers(one.bias), static_cast<float>(one.eps)};
}

// Queries, keys and values of a step and what attention makes of them, slot by slot; the same memory in every layer.
struct Room {
  at::Tensor q, k, v, out;     // [B, H, D], [B, Hkv, D] twice, [B, H D]
};

Room room(const Heads& heads, const at::Tensor& like) {
  const int64_t slots = like.size(0);
  const at::Tensor q = at::empty({slots, heads.heads, heads.size}, like.options());
  const at::Tensor k = at::empty({slots, heads.kv_heads, heads.size}, like.options());
  return {q, k, at::empty_like(k), at::empty({slots, heads.heads * heads.size}, like.options())};
}

void split(const Layer& layer, const at::Tensor& projected, const StepState& state, const Room& room) {
  const Heads& heads = layer.heads;
  HeadsArgs args{};
  args.number = heads.number;
  args.heads = heads.heads;
  args.kv_heads = heads.kv_heads;
  args.size = heads.size;
  args.projected = projected.const_data_ptr();
  args.projected_row = projected.stride(0);
  if (layer.rotary >= 0) {
    const at::Tensor& cos = state.cos[static_cast<size_t>(layer.rotary)];
    args.cos = cos.const_data_ptr<float>();
    args.sin = state.sin[static_cast<size_t>(layer.rotary)].const_data_ptr<float>();
    args.half = cos.size(1);
  }
  args.q_norm = head_norm(layer.norms[kQuery], layer.joint);
  args.k_norm = head_norm(layer.norms[kKey], layer.joint);
  const int64_t kv_row = heads.kv_heads * heads.size;
  args.q = {room.q.mutable_data_ptr(), heads.size, heads.heads * heads.size};
  args.k = {room.k.mutable_data_ptr(), heads.size, kv_row};
  args.v = {room.v.mutable_data_ptr(), heads.size, kv_row};
  split_rows(args, projected.size(0));
}

std::vector<SharedSpan> spans_of(const StepState& state, size_t layer) {
  std::vector<SharedSpan> spans;
  spans.reserve(state.nodes.size());
  for (size_t i = 0; i < state.nodes.size(); ++i) {
    const at::Tensor& k = state.nodes[i]->keys[layer];
    const at::Tensor& v = state.nodes[i]->values[layer];
    const int64_t* given = state.spans.data() + 4 * i;
    spans.push_back({{k.const_data_ptr(), v.const_data_ptr(), k.stride(0), k.stride(1), v.stride(0), v.stride(1)},
                     given[0], given[1], given[2], given[3]});
  }
  return spans;
}

void attend(const Layer& layer, size_t index, const StepState& state, const Room& room) {
  const Heads& heads = layer.heads;
  const at::Tensor& keys = state.tail_keys[index];
  const at::Tensor& values = state.tail_values[index];
  const std::vector<SharedSpan> spans = spans_of(state, index);
  const int64_t kv_row = heads.kv_heads * heads.size;
  StepCall call{};
  call.heads = heads;
  call.says = layer.says;
  call.slots = room.q.size(0);
  call.q = room.q.const_data_ptr();
  call.q_slot = heads.heads * heads.size;
  call.q_head = heads.size;
  call.new_k = room.k.const_data_ptr();
  call.new_v = room.v.const_data_ptr();
  call.k_slot = call.v_slot = kv_row;
  call.k_head = call.v_head = heads.size;
  call.out = room.out.mutable_data_ptr();
  call.out_slot = heads.heads * heads.size;
  call.out_head = heads.size;
  call.tail_k = keys.mutable_data_ptr();
  call.tail_v = values.mutable_data_ptr();
  call.tail_row = keys.stride(0);
  call.tail_head = keys.stride(1);
  call.tail_token = keys.stride(2);
  call.rows = state.rows.const_data_ptr<int64_t>();
  call.lengths = state.lengths.const_data_ptr<int64_t>();
  call.places = state.places.const_data_ptr<int64_t>();
  call.places_row = state.places.stride(0);
  call.positions = state.positions.const_data_ptr<int64_t>();
  call.spans = spans.data();
  call.span_count = static_cast<int64_t>(spans.size());
  step_attention(call);
}

at::Tensor through(const Layer& layer, size_t index, const at::Tensor& hidden, const StepState& state,
                   const Room& room) {
  split(layer, layer.qkv.plain(normed(hidden, layer.norms[kIn])), state, room);
  attend(layer, index, state, room);
  const at::Tensor summed = joined(layer.out, room.out, layer.norms[kOut], hidden);
  const at::Tensor x = normed(layer.parallel ? hidden : summed, layer.norms[kMid]);
  const at::Tensor inner = layer.gate ? layer.up.times(x, layer.gate->activated(x, layer.activation, layer.algorithm))
                                      : layer.up.activated(x, layer.activation, layer.algorithm);
  return joined(layer.down, inner, layer.norms[kEnd], summed);
}

}  // namespace

at::Tensor Decoder::step(const at::Tensor& hidden, const StepState& state) const {
  const int64_t* rows = state.rows.const_data_ptr<int64_t>();
  const int64_t* lengths = state.lengths.const_data_ptr<int64_t>();
  const int64_t* positions = state.positions.const_data_ptr<int64_t>();
  for (int64_t b = 0; b < hidden.size(0); ++b) {
    state.places.mutable_data_ptr<int64_t>()[rows[b] * state.places.stride(0) + lengths[b]] = positions[b];
  }
  at::Tensor x = hidden;
  Room same;
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool fits = i > 0 && layers[i].heads.heads == layers[i - 1].heads.heads &&
                      layers[i].heads.kv_heads == layers[i - 1].heads.kv_heads;
    if (!fits) same = room(layers[i].heads, hidden);
    x = through(layers[i], i, x, state, same);
  }
  return normed(x, final_norm);
}

}  // namespace icl

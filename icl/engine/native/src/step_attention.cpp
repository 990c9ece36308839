// Attention of one decode step: shared nodes by rectangles of slots, then what each slot sees alone.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <cstring>
#include <optional>
#include <vector>

#include "attention.h"
#include "tensors.h"
#include "tiles.h"

namespace icl {

constexpr int64_t kStepQueries = 96;

static int64_t width_of(Number number) { return number == Number::fp32 ? 4 : 2; }

// Slots of a block: enough queries to pay for packing keys, few enough blocks' worth of work for every thread.
static int64_t slots_of_block(const Heads& heads) {
  const int64_t group = heads.heads / heads.kv_heads;
  return std::max<int64_t>(kStepQueries / group, 1);
}

// Where the Python path weighs in fp32 (softcap, windows), this one does so too.
static bool in_pairs(const StepCall& call) {
  return call.heads.number == Number::bf16 && call.says.softcap == 0.0f && call.says.window == 0;
}

namespace {

// One key head of some slots.
class StepBlock {
 public:
  explicit StepBlock(const StepCall& call)
      : call_(call),
        width_(width_of(call.heads.number)),
        group_(call.heads.heads / call.heads.kv_heads),
        scratch_(scratch_bytes(group_, call.heads.size, slots_of_block(call.heads))),
        product_(in_pairs(call) ? product_of_pairs() : nullptr),
        positions_(call.slots) {
    for (int64_t b = 0; b < call.slots; ++b) positions_[b] = static_cast<int>(call.positions[b]);
  }

  ~StepBlock() { release_product(product_); }
  StepBlock(const StepBlock&) = delete;
  StepBlock& operator=(const StepBlock&) = delete;

  void run(int64_t head, int64_t first, int64_t last) {
    write(head, first, last);
    gather_spans(head, first, last);
    gather_tails(head, first, last);
    Block block{};
    block.number = call_.heads.number;
    block.group = group_;
    block.size = call_.heads.size;
    block.first = first;
    block.rows = last - first;
    block.q_head = call_.q_head * width_;
    block.q_row = call_.q_slot * width_;
    block.q = static_cast<const char*>(call_.q) + head * group_ * block.q_head + first * block.q_row;
    block.out_head = call_.out_head * width_;
    block.out_row = call_.out_slot * width_;
    block.out = static_cast<char*>(call_.out) + head * group_ * block.out_head + first * block.out_row;
    block.scaling = call_.says.scaling;
    block.softcap = call_.says.softcap;
    block.window = call_.says.window;
    block.sinks = call_.says.sinks == nullptr ? nullptr : call_.says.sinks + head * group_;
    block.row_pos = positions_.data();
    block.spans = spans_.data();
    block.span_count = spans_.size();
    block.tails = tails_.data();
    block.product = product_;
    block.scratch = scratch_.data();
    attend_block(block);
  }

 private:
  char* tail(void* base, int64_t slot, int64_t head) const {
    return static_cast<char*>(base) + (call_.rows[slot] * call_.tail_row + head * call_.tail_head) * width_;
  }

  void write(int64_t head, int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const int64_t at = call_.lengths[b] * call_.tail_token * width_, bytes = call_.heads.size * width_;
      const int64_t k = (b * call_.k_slot + head * call_.k_head) * width_;
      const int64_t v = (b * call_.v_slot + head * call_.v_head) * width_;
      std::memcpy(tail(call_.tail_k, b, head) + at, static_cast<const char*>(call_.new_k) + k, bytes);
      std::memcpy(tail(call_.tail_v, b, head) + at, static_cast<const char*>(call_.new_v) + v, bytes);
    }
  }

  void gather_spans(int64_t head, int64_t first, int64_t last) {
    spans_.clear();
    for (int64_t i = 0; i < call_.span_count; ++i) {
      const SharedSpan& one = call_.spans[i];
      if (one.low >= last || one.high <= first) continue;
      Span span{};
      span.k = static_cast<const char*>(one.keys.k) + head * one.keys.k_head * width_;
      span.v = static_cast<const char*>(one.keys.v) + head * one.keys.v_head * width_;
      span.k_row = one.keys.k_row * width_;
      span.v_row = one.keys.v_row * width_;
      span.count = one.length;
      span.low = one.low;
      span.high = one.high;
      span.depth = one.depth;
      span.full = one.low <= first && last <= one.high;
      if (call_.says.window) {
        for (int64_t b = first; b < last; ++b) span.full &= call_.positions[b] - one.depth < call_.says.window;
      }
      spans_.push_back(span);
    }
  }

  void gather_tails(int64_t head, int64_t first, int64_t last) {
    tails_.clear();
    const int64_t row = call_.tail_token * width_;
    for (int64_t b = first; b < last; ++b) {
      tails_.push_back(Tail{tail(call_.tail_k, b, head), tail(call_.tail_v, b, head), row, row,
                            static_cast<int>(call_.lengths[b] + 1), call_.places + call_.rows[b] * call_.places_row});
    }
  }

  const StepCall& call_;
  int64_t width_, group_;
  std::vector<char> scratch_;
  Product product_;
  std::vector<int> positions_;
  std::vector<Span> spans_;
  std::vector<Tail> tails_;
};

}  // namespace

void step_attention(const StepCall& call) {
  const int64_t size = slots_of_block(call.heads), blocks = (call.slots + size - 1) / size;
  at::parallel_for(0, blocks * call.heads.kv_heads, 1, [&](int64_t from, int64_t to) {
    StepBlock block(call);
    for (int64_t task = from; task < to; ++task) {
      const int64_t first = task % blocks * size;
      block.run(task / blocks, first, std::min(first + size, call.slots));
    }
  });
}

// Op of step_attention: [H, B, D] views in and out, all nodes of a layer in two lists.
static StepCall described(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& tail_k,
                          const at::Tensor& tail_v, const at::Tensor& slots, const at::Tensor& places) {
  for (const at::Tensor* one : {&q, &k, &v, &tail_k, &tail_v}) {
    check_rows(*one, "what a step reads");
    TORCH_CHECK_TYPE(one->scalar_type() == q.scalar_type(), "q, k, v and the tails differ in format");
  }
  TORCH_CHECK_VALUE(q.dim() == 3 && k.dim() == 3 && v.sizes() == k.sizes() && tail_k.dim() == 4,
                    "q, k and v must be [heads, slots, size], the tails [rows, heads, capacity, size]");
  const Heads heads{number_of(q, "q"), q.size(0), k.size(0), q.size(2)};
  TORCH_CHECK_VALUE(covered(heads), "not covered: ", heads.heads, " heads of ", heads.size, " over ", heads.kv_heads);
  TORCH_CHECK_VALUE(tail_v.sizes() == tail_k.sizes() && tail_v.strides() == tail_k.strides() &&
                        tail_k.size(1) == heads.kv_heads && tail_k.size(3) == heads.size &&
                        k.size(2) == heads.size && k.size(1) == q.size(1),
                    "q, k, v and the tails differ in shape");
  TORCH_CHECK_VALUE(slots.scalar_type() == at::kLong && slots.is_contiguous() && slots.dim() == 2 &&
                        slots.size(0) == 3 && slots.size(1) == q.size(1),
                    "slots must be int64 [3, ", q.size(1), "]: row, length, position");
  TORCH_CHECK_VALUE(places.scalar_type() == at::kLong && places.dim() == 2 && places.size(0) >= tail_k.size(0) &&
                        places.size(1) >= tail_k.size(2) && places.stride(1) == 1,
                    "places must be int64 [rows, capacity]");
  StepCall call{};
  call.heads = heads;
  call.slots = q.size(1);
  call.q = q.const_data_ptr();
  call.q_slot = q.stride(1);
  call.q_head = q.stride(0);
  call.new_k = k.const_data_ptr();
  call.new_v = v.const_data_ptr();
  call.k_slot = k.stride(1);
  call.k_head = k.stride(0);
  call.v_slot = v.stride(1);
  call.v_head = v.stride(0);
  call.tail_k = tail_k.mutable_data_ptr();
  call.tail_v = tail_v.mutable_data_ptr();
  call.tail_row = tail_k.stride(0);
  call.tail_head = tail_k.stride(1);
  call.tail_token = tail_k.stride(2);
  call.rows = slots.const_data_ptr<int64_t>();
  call.lengths = call.rows + call.slots;
  call.positions = call.lengths + call.slots;
  call.places = places.const_data_ptr<int64_t>();
  call.places_row = places.stride(0);
  for (int64_t b = 0; b < call.slots; ++b) {
    TORCH_CHECK_VALUE(call.rows[b] >= 0 && call.rows[b] < tail_k.size(0) && call.lengths[b] >= 0 &&
                          call.lengths[b] < tail_k.size(2),
                      "slot ", b, " has no place in the tails");
  }
  return call;
}

static std::vector<SharedSpan> shared(const StepCall& call, const std::vector<at::Tensor>& keys,
                                      const std::vector<at::Tensor>& values, const at::Tensor& spans) {
  TORCH_CHECK_VALUE(spans.scalar_type() == at::kLong && spans.is_contiguous() && spans.dim() == 2 &&
                        spans.size(1) == 3 && static_cast<size_t>(spans.size(0)) == keys.size() &&
                        keys.size() == values.size(),
                    "spans must be int64 [nodes, 3]: depth, first slot, last slot");
  std::vector<SharedSpan> found;
  const int64_t* said = spans.const_data_ptr<int64_t>();
  for (size_t i = 0; i < keys.size(); ++i, said += 3) {
    const at::Tensor &k = keys[i], &v = values[i];
    check_rows(k, "a node's keys");
    check_rows(v, "a node's values");
    TORCH_CHECK_VALUE(k.dim() == 3 && k.size(0) == call.heads.kv_heads && k.size(2) == call.heads.size &&
                          v.sizes() == k.sizes(),
                      "a node's keys and values must be [", call.heads.kv_heads, ", n, ", call.heads.size, "]");
    TORCH_CHECK_TYPE(number_of(k, "a node's keys") == call.heads.number && v.scalar_type() == k.scalar_type(),
                     "nodes differ from q in format");
    TORCH_CHECK_VALUE(said[1] >= 0 && said[1] <= said[2] && said[2] <= call.slots, "span ", i, " is beyond the slots");
    found.push_back({{k.const_data_ptr(), v.const_data_ptr(), k.stride(0), k.stride(1), v.stride(0), v.stride(1)},
                     k.size(1), said[0], said[1], said[2]});
  }
  return found;
}

static at::Tensor step_op(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& tail_k,
                          const at::Tensor& tail_v, const at::Tensor& slots, const at::Tensor& places,
                          const std::vector<at::Tensor>& node_k, const std::vector<at::Tensor>& node_v,
                          const at::Tensor& spans, double scaling, int64_t window, double softcap,
                          const std::optional<at::Tensor>& sinks) {
  StepCall call = described(q, k, v, tail_k, tail_v, slots, places);
  const std::vector<SharedSpan> nodes = shared(call, node_k, node_v, spans);
  TORCH_CHECK_VALUE(!sinks || (sinks->scalar_type() == at::kFloat && sinks->is_contiguous() &&
                               sinks->numel() == call.heads.heads),
                    "sinks must be float32 [", call.heads.heads, "]");
  at::Tensor out = at::empty({call.slots, call.heads.heads, call.heads.size}, q.options());
  call.out = out.mutable_data_ptr();
  call.out_slot = out.stride(0);
  call.out_head = out.stride(1);
  call.spans = nodes.data();
  call.span_count = nodes.size();
  call.says = {static_cast<float>(scaling), window, static_cast<float>(softcap),
               sinks ? sinks->const_data_ptr<float>() : nullptr};
  step_attention(call);
  return out.transpose(0, 1);
}

}  // namespace icl

TORCH_LIBRARY_FRAGMENT(icl_native, m) {
  m.def(
      "step_attention(Tensor q, Tensor k, Tensor v, Tensor(a!) tail_k, Tensor(b!) tail_v, Tensor slots, Tensor places,"
      " Tensor[] node_k, Tensor[] node_v, Tensor spans, float scaling, int window, float softcap, Tensor? sinks)"
      " -> Tensor",
      &icl::step_op);
}

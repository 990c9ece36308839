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

namespace {

// One key head of some slots.
class StepBlock {
 public:
  explicit StepBlock(const StepCall& call)
      : call_(call),
        width_(width_of(call.heads.number)),
        group_(call.heads.heads / call.heads.kv_heads),
        scratch_(scratch_bytes(group_, call.heads.size, slots_of_block(call.heads))),
        positions_(call.slots) {
    for (int64_t b = 0; b < call.slots; ++b) positions_[b] = static_cast<int>(call.positions[b]);
  }

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

}  // namespace icl

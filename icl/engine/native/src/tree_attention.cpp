// Op of attention over a chunk of a trie; the plan of its keys is made by icl/engine/attention/spans.py.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "attention.h"
#include "tensors.h"
#include "tiles.h"

namespace icl {

namespace {

// Keys or values [heads, n, D] as bytes.
struct Rows {
  const char* base;
  int64_t head, row;

  explicit Rows(const at::Tensor& x)
      : base(static_cast<const char*>(x.const_data_ptr())),
        head(x.stride(0) * x.element_size()),
        row(x.stride(1) * x.element_size()) {}

  const char* at(int64_t h, int64_t n) const { return base + h * head + n * row; }
};

struct Chunk {
  Rows k, v, stack_k, stack_v;
  int64_t stack;                       // P
  const int* lo;                       // [P + T] rows that see each key, and its position
  const int* hi;
  const int* pos;
  const int* spans;                    // [n, 3]: first key, count, full
  const int* starts;                   // [blocks + 1]
};

void gather(const Chunk& chunk, int64_t head, int64_t block, std::vector<Span>& found) {
  found.clear();
  for (int i = chunk.starts[block]; i < chunk.starts[block + 1]; ++i) {
    const int* said = chunk.spans + 3 * i;
    const int64_t key = said[0];
    const bool above = key < chunk.stack;
    const Rows &k = above ? chunk.stack_k : chunk.k, &v = above ? chunk.stack_v : chunk.v;
    const int64_t row = above ? key : key - chunk.stack;
    Span span{};
    span.k = k.at(head, row);
    span.v = v.at(head, row);
    span.k_row = k.row;
    span.v_row = v.row;
    span.count = said[1];
    span.full = said[2] != 0;
    span.lo = chunk.lo + key;
    span.hi = chunk.hi + key;
    span.pos = chunk.pos + key;
    found.push_back(span);
  }
}

void check_plan(const at::Tensor& keys, const at::Tensor& spans, const at::Tensor& starts, int64_t rows,
                int64_t stack, int64_t block_rows) {
  for (const at::Tensor* one : {&keys, &spans, &starts}) {
    TORCH_CHECK_TYPE(one->scalar_type() == at::kInt, "a plan is int32");
    TORCH_CHECK_VALUE(one->is_contiguous() && one->device().is_cpu(), "a plan is contiguous, on the CPU");
  }
  TORCH_CHECK_VALUE(keys.dim() == 2 && keys.size(0) == 3 && keys.size(1) == stack + rows, "keys must be [3, ",
                    stack + rows, "], not ", keys.sizes());
  TORCH_CHECK_VALUE(spans.dim() == 2 && spans.size(1) == 3, "spans must be [n, 3], not ", spans.sizes());
  TORCH_CHECK_VALUE(block_rows > 0 && starts.dim() == 1 && starts.size(0) == (rows + block_rows - 1) / block_rows + 1,
                    "starts must have one number a block of ", block_rows, " rows and one more, not ", starts.sizes());
  const int* span = spans.const_data_ptr<int>();
  for (int64_t i = 0; i < spans.size(0); ++i, span += 3) {
    const bool above = span[0] < stack;
    TORCH_CHECK_VALUE(span[0] >= 0 && span[1] > 0 && int64_t(span[0]) + span[1] <= (above ? stack : stack + rows),
                      "span ", i, " is not within the stack's or the chunk's keys");
  }
  const int* start = starts.const_data_ptr<int>();
  for (int64_t i = 0; i + 1 < starts.size(0); ++i) {
    TORCH_CHECK_VALUE(start[i] >= 0 && start[i] <= start[i + 1] && start[i + 1] <= spans.size(0),
                      "starts must increase up to the number of spans");
  }
}

void check_heads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& x, const char* name) {
  check_rows(x, name);
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(0) == k.size(0) && x.size(2) == q.size(2), name, " must be [", k.size(0),
                    ", n, ", q.size(2), "], not ", x.sizes());
  TORCH_CHECK_TYPE(x.scalar_type() == q.scalar_type(), name, " is ", x.scalar_type(), ", q ", q.scalar_type());
}

}  // namespace

bool covered(const Heads& heads) {
  return heads.size % 8 == 0 && heads.size > 0 && heads.size <= 256 && heads.kv_heads > 0 &&
         heads.heads % heads.kv_heads == 0;
}

// q [H, T, D], k and v [Hkv, T, D], stack_k and stack_v [Hkv, P, D] -> [H, T, D], a view of memory laid out [T, H, D].
at::Tensor tree_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& stack_k,
                          const at::Tensor& stack_v, const at::Tensor& keys, const at::Tensor& spans,
                          const at::Tensor& starts, int64_t block_rows, double scaling, int64_t window,
                          double softcap, const std::optional<at::Tensor>& sinks) {
  check_rows(q, "q");
  TORCH_CHECK_VALUE(q.dim() == 3 && k.dim() == 3, "q and k must be [heads, rows, size]");
  const Heads shape{number_of(q, "q"), q.size(0), k.size(0), q.size(2)};
  TORCH_CHECK_VALUE(covered(shape), "not covered: ", shape.heads, " heads of ", shape.size, " over ", shape.kv_heads);
  check_heads(q, k, k, "k");
  check_heads(q, k, v, "v");
  check_heads(q, k, stack_k, "stack_k");
  check_heads(q, k, stack_v, "stack_v");
  const int64_t rows = q.size(1), stack = stack_k.size(1);
  TORCH_CHECK_VALUE(k.size(1) == rows && v.size(1) == rows && stack_v.size(1) == stack, "q, k and v differ in rows");
  check_plan(keys, spans, starts, rows, stack, block_rows);
  TORCH_CHECK_VALUE(!sinks || (sinks->scalar_type() == at::kFloat && sinks->is_contiguous() &&
                               sinks->numel() == shape.heads),
                    "sinks must be float32 [", shape.heads, "]");
  at::Tensor out = at::empty({rows, shape.heads, shape.size}, q.options());
  const int* lo = keys.const_data_ptr<int>();
  const Chunk chunk{Rows(k), Rows(v), Rows(stack_k), Rows(stack_v), stack, lo, lo + stack + rows,
                    lo + 2 * (stack + rows), spans.const_data_ptr<int>(), starts.const_data_ptr<int>()};
  const int64_t width = q.element_size(), group = shape.heads / shape.kv_heads, blocks = starts.size(0) - 1;
  Block common{};
  common.number = shape.number;
  common.group = group;
  common.size = shape.size;
  common.q_head = q.stride(0) * width;
  common.q_row = q.stride(1) * width;
  common.out_head = shape.size * width;
  common.out_row = shape.heads * common.out_head;
  common.scaling = scaling;
  common.softcap = softcap;
  common.window = window;
  common.row_pos = chunk.pos + stack;
  // the Python path weighs capped scores in fp32, and nothing is to be further from fp32 than it is
  common.product = shape.number == Number::bf16 && softcap == 0.0 ? product_of_pairs() : nullptr;
  const char* queries = static_cast<const char*>(q.const_data_ptr());
  char* results = static_cast<char*>(out.mutable_data_ptr());
  const float* sink = sinks ? sinks->const_data_ptr<float>() : nullptr;
  at::parallel_for(0, blocks * shape.kv_heads, 1, [&](int64_t from, int64_t to) {
    std::vector<char> scratch(scratch_bytes(group, shape.size, block_rows));
    std::vector<Span> found;
    for (int64_t task = from; task < to; ++task) {
      const int64_t head = task / blocks, first = task % blocks * block_rows;
      gather(chunk, head, task % blocks, found);
      Block block = common;
      block.first = first;
      block.rows = std::min(block_rows, rows - first);
      block.q = queries + head * group * block.q_head + first * block.q_row;
      block.out = results + head * group * block.out_head + first * block.out_row;
      block.sinks = sink == nullptr ? nullptr : sink + head * group;
      block.spans = found.data();
      block.span_count = found.size();
      block.scratch = scratch.data();
      attend_block(block);
    }
    release_product(common.product);
  });
  return out.transpose(0, 1);
}

}  // namespace icl

TORCH_LIBRARY_FRAGMENT(icl_native, m) {
  m.def(
      "tree_attention(Tensor q, Tensor k, Tensor v, Tensor stack_k, Tensor stack_v, Tensor keys, Tensor spans,"
      " Tensor starts, int block_rows, float scaling, int window, float softcap, Tensor? sinks) -> Tensor",
      &icl::tree_attention);
}

// Products with weights in panels, shared out among threads: see products.h.
#include "products.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <atomic>
#include <memory>

#include "linear.h"
#include "tensors.h"

namespace icl {
namespace {

// Memory for packed rows that a thread keeps from call to call.
float* room(int64_t size) {
  static thread_local std::unique_ptr<float[]> kept;
  static thread_local int64_t held = 0;
  if (size > held) {
    kept.reset();
    kept = std::unique_ptr<float[]>(new float[static_cast<size_t>(size)]);
    held = size;
  }
  return kept.get();
}

struct Shape {
  int64_t height, width;
};

Shape shape() {
  static const Shape known = [] {
    Shape found{};
    tile_shape({&found.height, &found.width});
    return found;
  }();
  return known;
}

Step step_of(const std::string& name, const std::string& algorithm) {
  if (name == "none") return Step::none;
  if (name == "swish") return Step::swish;
  if (name == "relu") return Step::relu;
  if (name == "mul") return Step::times;
  if (name == "add") return Step::plus;
  TORCH_CHECK_VALUE(name == "gelu", "no step ", name);
  return algorithm == "tanh" ? Step::gelu_tanh : Step::gelu;
}

// run(first, last) over parts of [0, count), a few at a time to whoever is free: cores are not all as fast.
template <typename Run>
void share(int64_t count, int64_t some, const Run& run) {
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), (count + some - 1) / some);
  if (threads <= 1 || at::in_parallel_region()) return run(0, count);
  std::atomic<int64_t> next{0};
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    for (int64_t first = next.fetch_add(some); first < count; first = next.fetch_add(some)) {
      run(first, std::min(first + some, count));
    }
  });
}

at::Tensor lay_out(const at::Tensor& weight) {
  TORCH_CHECK_VALUE(weight.dim() == 2 && weight.scalar_type() == at::kFloat && weight.is_contiguous() &&
                        weight.device().is_cpu(),
                    "a weight must be [out, in] of float32 on the CPU, contiguous");
  const int64_t out = weight.size(0), in = weight.size(1), width = shape().width;
  const int64_t count = (out + width - 1) / width;
  at::Tensor panels = at::empty({count, in, width}, weight.options());
  at::parallel_for(0, count, 1, [&](int64_t first, int64_t last) {
    const int64_t columns = std::min(last * width, out) - first * width;
    lay_out_panels({weight.const_data_ptr<float>() + first * width * in, columns, in,
                    panels.mutable_data_ptr<float>() + first * width * in});
  });
  return panels;
}

void check(const at::Tensor& x, const at::Tensor& panels, int64_t out, const std::optional<at::Tensor>& bias) {
  check_rows(x, "rows");
  TORCH_CHECK_VALUE(x.dim() == 2 && x.scalar_type() == at::kFloat, "rows must be [n, in] of float32");
  TORCH_CHECK_VALUE(panels.dim() == 3 && panels.scalar_type() == at::kFloat && panels.is_contiguous() &&
                        panels.size(1) == x.size(1) && panels.size(2) == shape().width && out > 0 &&
                        (out + shape().width - 1) / shape().width == panels.size(0),
                    "panels must be those of a weight [", out, ", ", x.size(1), "]");
  TORCH_CHECK_VALUE(!bias || (bias->scalar_type() == at::kFloat && bias->is_contiguous() && bias->numel() == out),
                    "a bias must be [", out, "] of float32");
}

}  // namespace

at::Tensor product(const at::Tensor& x, const at::Tensor& panels, int64_t out, const std::optional<at::Tensor>& bias,
                   const std::string& step, const std::string& algorithm, const at::Tensor* other) {
  check(x, panels, out, bias);
  ProductArgs args{};
  args.step = step_of(step, algorithm);
  const int64_t rows = x.size(0);
  TORCH_CHECK_VALUE((args.step == Step::times || args.step == Step::plus) == (other != nullptr), "a second operand");
  if (other != nullptr) {
    check_rows(*other, "what rows are joined with");
    TORCH_CHECK_VALUE(other->dim() == 2 && other->scalar_type() == at::kFloat && other->size(0) == rows &&
                          other->size(1) == out,
                      "what rows are joined with must be [", rows, ", ", out, "] of float32");
  }
  at::Tensor result = at::empty({rows, out}, x.options());
  args.x_row = x.stride(0);
  args.in = x.size(1);
  args.panels = panels.const_data_ptr<float>();
  args.out = out;
  args.bias = bias ? bias->const_data_ptr<float>() : nullptr;
  args.other_row = other == nullptr ? 0 : other->stride(0);
  args.packed = room(packed_size(std::min(rows, kRowsAtOnce), args.in));
  for (int64_t from = 0; from < rows; from += kRowsAtOnce) {
    args.rows = std::min(kRowsAtOnce, rows - from);
    args.x = x.const_data_ptr<float>() + from * args.x_row;
    args.other = other == nullptr ? nullptr : other->const_data_ptr<float>() + from * args.other_row;
    args.result = result.mutable_data_ptr<float>() + from * out;
    const auto part = [&args](auto run) {
      return [&args, run](int64_t first, int64_t last) {
        ProductArgs mine = args;
        mine.first = first;
        mine.last = last;
        run(mine);
      };
    };
    share((args.rows + shape().height - 1) / shape().height, 4, part([](const ProductArgs& some) { pack_rows(some); }));
    share(panels.size(0), 2, part([](const ProductArgs& some) { multiply_panels(some); }));
  }
  return result;
}

}  // namespace icl

TORCH_LIBRARY_FRAGMENT(icl_native, m) {
  m.def("lay_out(Tensor weight) -> Tensor", &icl::lay_out);
  m.def(
      "product(Tensor x, Tensor panels, int out, Tensor? bias, str step, str algorithm, Tensor? other) -> Tensor",
      [](const at::Tensor& x, const at::Tensor& panels, int64_t out, const std::optional<at::Tensor>& bias,
         std::string step, std::string algorithm, const std::optional<at::Tensor>& other) {
        return icl::product(x, panels, out, bias, step, algorithm, other ? &*other : nullptr);
      });
}

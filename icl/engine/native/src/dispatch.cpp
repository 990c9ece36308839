// Which variant of the kernels runs here, and the op that says so.
#include "dispatch.h"

#include <ATen/Version.h>
#include <torch/library.h>

#include <string>

namespace icl {

static Level found() {
#ifdef ICL_VARIANTS
  const std::string here = at::get_cpu_capability();
  if (here == "AVX512") return Level::avx512;
  return here == "AVX2" ? Level::avx2 : Level::plain;
#else
  return Level::plain;
#endif
}

Level level() {
  static const Level known = found();
  return known;
}

static std::string instructions() {
  switch (level()) {
    case Level::avx512:
      return "AVX-512";
    case Level::avx2:
      return "AVX2";
    default:
#if defined(__aarch64__)
      return "NEON";
#else
      return "no wide vectors";
#endif
  }
}

}  // namespace icl

TORCH_LIBRARY_FRAGMENT(icl_native, m) {
  m.def("instructions() -> str", &icl::instructions);
}

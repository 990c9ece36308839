// One kernel, compiled for several instruction sets; which of them runs is found out at run time.
//
// A file NAME.kernel.cpp is compiled once a variant, with CPU_CAPABILITY set to DEFAULT, AVX2 or AVX512 as in ATen
// (so that at::vec gives vectors of that width), and defines its functions in namespace icl::CPU_CAPABILITY.
// Its header declares each with ICL_KERNEL, which also makes icl::name call the best one. On arm64 there is
// one variant. Kernel files see raw pointers only: what is inline in a library and shared by translation
// units (std::, c10::) must not be compiled for instructions that the processor may not have and then be used elsewhere.
#pragma once

namespace icl {

enum class Level { plain, avx2, avx512 };

// The widest instruction set that was compiled and that this processor has; ATEN_CPU_CAPABILITY is honoured.
Level level();

}  // namespace icl

#ifdef ICL_VARIANTS
#define ICL_KERNEL(name, Args)                          \
  namespace DEFAULT {                                   \
  void name(const Args&);                               \
  }                                                     \
  namespace AVX2 {                                      \
  void name(const Args&);                               \
  }                                                     \
  namespace AVX512 {                                    \
  void name(const Args&);                               \
  }                                                     \
  inline void name(const Args& args) {                  \
    switch (level()) {                                  \
      case Level::avx512:                               \
        return AVX512::name(args);                      \
      case Level::avx2:                                 \
        return AVX2::name(args);                        \
      default:                                          \
        return DEFAULT::name(args);                     \
    }                                                   \
  }
#else
#define ICL_KERNEL(name, Args)                          \
  namespace DEFAULT {                                   \
  void name(const Args&);                               \
  }                                                     \
  inline void name(const Args& args) {                  \
    return DEFAULT::name(args);                         \
  }
#endif

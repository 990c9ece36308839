// What tiles.h needs beside the kernel: its memory, and torch's product of pairs.
#include "tiles.h"

#include <ATen/native/CPUBlas.h>

#include <exception>

namespace icl {

int64_t scratch_bytes(int group, int size, int rows) {
  const int64_t m = (int64_t(group) * rows + 31) / 32 * 32, wide = (size + 15) / 16 * 16, tile = 128;
  const int64_t sums = m * (size + wide + 2) + tile * (size + wide + 32);
  const int64_t pairs = (m * size + 2 * tile * size + 32 * tile) / 2;
  return 4 * (sums + pairs) + 64 * 16;
}

#ifdef CPUBLAS_BRGEMM_BF16BF16F32
static void brgemm(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const uint16_t* a,
                   const uint16_t* b, float* c) {
  at::native::cpublas::brgemm(m, n, k, lda, ldb, ldc, add, reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c, true);
}

// Does it run here, and take pairs of rows as they are laid out in tile_pairs.h?
static bool brgemm_works() {
  uint16_t a[2 * 16], b[16 * 16];
  float c[2 * 16];
  const auto bf16 = [](int x) { return c10::BFloat16(static_cast<float>(x)).x; };
  for (int i = 0; i < 2 * 16; ++i) a[i] = bf16(i % 7 - 3);
  for (int i = 0; i < 16 * 16; ++i) b[i] = bf16(i % 5 - 2);
  try {
    brgemm(2, 16, 16, 16, 16, 16, false, a, b, c);
    at::native::cpublas::brgemm_release(true);
  } catch (const std::exception&) {
    return false;
  }
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 16; ++j) {
      int sum = 0;
      for (int k = 0; k < 16; ++k) {
        const int at = (k / 2 * 16 + j) * 2 + k % 2;
        sum += ((i * 16 + k) % 7 - 3) * (at % 5 - 2);
      }
      if (c[i * 16 + j] != static_cast<float>(sum)) return false;
    }
  }
  return true;
}
#endif

Product product_of_pairs() {
#if defined(CPUBLAS_BRGEMM_BF16BF16F32) && defined(__x86_64__)
  // without instructions for bf16 oneDNN would emulate them, slower than fp32
  static const bool works = level() == Level::avx512 && __builtin_cpu_supports("avx512bf16") && brgemm_works();
  return works ? brgemm : nullptr;
#else
  return nullptr;
#endif
}

void release_product(Product product) {
#ifdef CPUBLAS_BRGEMM_BF16BF16F32
  if (product != nullptr) at::native::cpublas::brgemm_release(true);
#endif
}

}  // namespace icl

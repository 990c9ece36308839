// What the kernels of tiles.h need, whatever the instruction set.
#include "tiles.h"

namespace icl {

int64_t scratch_bytes(int group, int size, int rows) {
  const int64_t m = int64_t(group) * rows, wide = (size + 15) / 16 * 16;
  return 4 * (m * (size + wide + 2) + 128 * (size + wide + 8)) + 64 * 16;
}

}  // namespace icl

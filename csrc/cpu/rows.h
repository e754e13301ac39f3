// Between rows, one point each as the caller has them, and panels, PW points side by side; by whole vectors.
#pragma once

#include "simd.h"

namespace fastsnf::FASTSNF_VARIANT {

// `points` <= PW rows of `width` floats -> the panel [width][PW]. Lanes beyond the last point are 0, and vectors
// beyond it are left as they are.
inline void rows_to_panel(const float* from, int64_t width, int points, float* panel) {
  for (int m = 0; m < points; m += VL) {
    const int here = static_cast<int>(smaller(VL, points - m));
    const float* rows = from + m * width;
    int64_t q = 0;
    for (; q + VL <= width; q += VL) {
      V block[VL];
      for (int i = 0; i < VL; i++) block[i] = i < here ? load_unaligned(rows + i * width + q) : V{};
      transpose(block);
      for (int i = 0; i < VL; i++) store(panel + (q + i) * PW + m, block[i]);
    }
    for (; q < width; q++)
      for (int i = 0; i < VL; i++) panel[q * PW + m + i] = i < here ? rows[i * width + q] : 0.0f;
  }
}

// `points` <= PW rows of `width` floats from a panel: entry q of the points at lanes m... is `entry(q, m)`.
template <class Entry>
inline void panel_to_rows(int64_t width, int points, float* to, Entry entry) {
  for (int m = 0; m < points; m += VL)
    for (int64_t q = 0; q < width; q += VL) {
      const int64_t n = smaller(VL, width - q);
      V block[VL];
      for (int i = 0; i < VL; i++) block[i] = i < n ? entry(q + i, m) : V{};
      transpose(block);
      for (int i = 0; i < smaller(VL, points - m); i++)
        __builtin_memcpy(to + (m + i) * width + q, &block[i], static_cast<size_t>(n) * 4);
    }
}

}  // namespace fastsnf::FASTSNF_VARIANT

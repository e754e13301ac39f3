// The residuals of the adjusted pass: S = I - V diag(a) V^T mixes the groups at each offset, in each channel.
//
// A tile is some whole offsets, so the correction needs nothing beyond it. An offset's residuals lie by group,
// [channel][group], 0 where no point is, so that lanes are groups of S.
#pragma once

#include <math.h>

#include "cursor.h"
#include "field.h"

namespace fastsnf::FASTSNF_VARIANT {

struct AdjustPlan {
  int64_t width;   // groups, and 0s up to a whole vector
  float* vectors;  // V^T [k][width]
};

struct AdjustThread {
  float* residual;  // [C][width], those of an offset
  float* along;     // [k], a o (V^T r) of one channel
  float* size;      // [groups], the largest sum_c |r_c| so far, and the row that has it
  int64_t* row;
};

inline AdjustPlan lay_out_adjustment(const Adjustment& a, Cursor& cursor) {
  AdjustPlan plan = {};
  plan.width = rounded_up(a.groups, VL);
  plan.vectors = cursor.take<float>(a.k * plan.width);
  return plan;
}

inline AdjustThread lay_out_adjustment_thread(const Adjustment& a, int channels, Cursor& cursor) {
  AdjustThread t = {};
  t.residual = cursor.take<float>(channels * rounded_up(a.groups, VL));
  t.along = cursor.take<float>(a.k);
  t.size = cursor.take<float>(a.groups);
  t.row = cursor.take<int64_t>(a.groups);
  return t;
}

// The first row at [first, last) whose slot is `slot` or a later one.
inline int64_t row_of_slot(const int64_t* slots, int64_t first, int64_t last, int64_t slot) {
  while (first < last) {
    const int64_t middle = first + (last - first) / 2;
    if (slots[middle] < slot)
      first = middle + 1;
    else
      last = middle;
  }
  return first;
}

// The first row of the offset that `row` belongs to; row n is an offset's first.
inline int64_t offset_start(const Adjustment& a, int64_t row, int64_t n) {
  if (!a.slots) return row / a.groups * a.groups;
  if (row >= n) return n;
  return row_of_slot(a.slots, larger(0, row - a.groups), row, a.slots[row] / a.groups * a.groups);
}

// The row after the last one of the offset that begins at `row`.
inline int64_t offset_end(const Adjustment& a, int64_t row, int64_t n) {
  if (!a.slots) return row + a.groups;
  const int64_t slot = (a.slots[row] / a.groups + 1) * a.groups;
  return row_of_slot(a.slots, row, smaller(n, row + a.groups), slot);
}

// Points of a tile: the whole offsets that come closest to `wanted`, one at least.
inline int64_t adjusted_points(const Adjustment& a, int64_t n, int64_t wanted) {
  int64_t most = a.slots ? 1 : a.groups;
  for (int64_t row = 0; a.slots && row < n;) {
    const int64_t next = offset_end(a, row, n);
    most = larger(most, next - row);
    row = next;
  }
  return larger(1, (wanted + most / 2) / most) * most;
}

inline void pack_vectors(const Adjustment& a, const AdjustPlan& plan) {
  for (int64_t i = 0; i < a.k; i++)
    for (int64_t j = 0; j < plan.width; j++)
      plan.vectors[i * plan.width + j] = j < a.groups ? a.vectors[j * a.k + i] : 0.0f;
}

inline void forget_largest(const Adjustment& a, AdjustThread& t) {
  for (int64_t g = 0; g < a.groups; g++) t.size[g] = -1.0f, t.row[g] = 0;
}

// r -= V (a o (V^T r)) in every channel.
inline void mix_groups(const Adjustment& a, const AdjustPlan& plan, int channels, AdjustThread& t) {
  for (int c = 0; c < channels; c++) {
    float* r = t.residual + c * plan.width;
    for (int64_t i = 0; i < a.k; i++) {
      const float* v = plan.vectors + i * plan.width;
      V s = {};
      for (int64_t j = 0; j < plan.width; j += VL) s = fma(load(v + j), load(r + j), s);
      t.along[i] = a.coefficients[i] * sum(s);
    }
    for (int64_t j = 0; j < plan.width; j += VL) {
      V s = {};
      for (int64_t i = 0; i < a.k; i++) s = fma(set(t.along[i]), load(plan.vectors + i * plan.width + j), s);
      store(r + j, load(r + j) - s);
    }
  }
}

// What the residuals of a tile are made of, and where they go.
struct TileResiduals {
  const float* out;            // panels of the outputs
  const float* target;         // [N, C]
  const float* sample_weight;  // [N] or null
  float* d;                    // panels of the cotangent
  int channels;
  int64_t first;  // the tile's first row
  float scale;    // of the cotangent: 2 / (C sum w)

  float weight(int64_t row) const { return sample_weight ? sample_weight[row] : 1.0f; }
  int64_t lane(int64_t row) const { return (row - first) / PW * channels * PW + (row - first) % PW; }
};

// d = scale sqrt(w) S sqrt(w) (out - target) for the rows [row, end) of one offset; returns the sum of
// w (out - target)^2. Where w is 0 the target may be anything, also NaN.
inline double adjust_offset(const Adjustment& a, const AdjustPlan& plan, AdjustThread& t,
                            const TileResiduals& tile, int64_t row, int64_t end) {
  const int64_t slot = a.slots ? a.slots[row] / a.groups * a.groups : 0;
  const auto group_of = [&](int64_t i) { return a.slots ? a.slots[i] - slot : i - row; };
  const int channels = tile.channels;
  double loss = 0;
  __builtin_memset(t.residual, 0, static_cast<size_t>(channels * plan.width) * 4);
  for (int64_t i = row; i < end; i++) {
    const int64_t group = group_of(i), lane = tile.lane(i);
    const float w = tile.weight(i), root = sqrtf(w);
    float size = 0;
    for (int c = 0; c < channels; c++) {
      const float e = w != 0.0f ? tile.out[lane + c * PW] - tile.target[i * channels + c] : 0.0f;
      const float r = root * e;
      loss += static_cast<double>(w) * e * e;
      size += fabsf(r);
      t.residual[c * plan.width + group] = r;
    }
    if (size != size) size = INFINITY;
    if (size > t.size[group]) t.size[group] = size, t.row[group] = i;
  }
  mix_groups(a, plan, channels, t);
  for (int64_t i = row; i < end; i++) {
    const int64_t group = group_of(i), lane = tile.lane(i);
    const float factor = tile.scale * sqrtf(tile.weight(i));
    for (int c = 0; c < channels; c++) tile.d[lane + c * PW] = factor * t.residual[c * plan.width + group];
  }
  return loss;
}

}  // namespace fastsnf::FASTSNF_VARIANT

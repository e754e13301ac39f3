// The geometry of one call: real matrices of the layers, where every buffer lies, packing and its inverse.
//
// A complex layer is a real one of twice the size: unit o is the rows 2 o (real part) and 2 o + 1 (imaginary
// part). The first Gabor layer has real weights, hence imaginary rows of zeros; the last complex layer gives
// real parts only.
#pragma once

#include "adjust.h"
#include "threads.h"
#include "tiles.h"

namespace fastsnf::FASTSNF_VARIANT {

struct LayerPlan {
  const Layer* layer;
  int rows, k;                   // of the real matrix E: u = E h + b
  bool expanded;                 // E is not the weight itself but built from it
  float fold;                    // the factor of activation.h that packing puts on E and b
  bool tiled, tiled_t, tiled_w;  // on the tile unit: E h, E^T d, and the gradient of E
  Blocks forward, transposed;
  ActParams params;
  float* matrix;             // E where expanded, later its gradient
  float* packed;             // fold * E, in blocks or tiles
  float* packed_t;           // fold * E^T
  float* bias;               // fold * b, or null
  float* spread_bias;        // the same as tiles start from it
  float norm, largest_bias;  // |u| <= norm * max |h| + largest_bias, in folded units
};

struct ThreadPlan {
  float* x;          // panels of the tile's inputs
  float** h;         // panels after each layer
  float** c;         // what each activation saved
  float* d[2];       // cotangents, ping and pong
  float* scratch;    // operands as the products need them: a transposed column panel, or tiles
  float** d_matrix;  // gradient sums of each layer, in the layout of add_outer or add_dots
  float** d_bias;
  double loss;
  AdjustThread adjust;
};

struct Plan {
  Job* job;
  LayerPlan* layers;
  ThreadPlan* threads;
  int count, tile;  // layers; points in a tile
  bool trains, wants_weights;
  float gradient_scale;  // mse: 2 / (C sum w)
  AdjustPlan adjust;
};

inline LayerPlan plan_layer(const Layer& layer, bool pairs_in) {
  LayerPlan p = {};
  p.layer = &layer;
  p.expanded = pairs_rows(layer.act) || layer.complex_weights;
  p.k = layer.complex_weights ? 2 * layer.fan_in : layer.fan_in;
  p.rows = pairs_rows(layer.act) ? 2 * layer.fan_out : layer.fan_out;
  p.fold = folded(layer.act, layer.omega, layer.scale);
  p.forward = Blocks(p.rows, pairs_rows(layer.act) ? 2 : 1);
  p.transposed = Blocks(p.k, pairs_in ? 2 : 1);
  p.params = {layer.omega, layer.scale, false};
  p.tiled = suits_tiles(p.rows, PW, p.k);
  p.tiled_t = suits_tiles(p.k, PW, p.rows);
  p.tiled_w = suits_tiles(p.rows, p.k, PW);
  return p;
}

inline int64_t packed_floats(int rows, int k, bool tiled) {
  return tiled ? tiled_floats(rows, k) : static_cast<int64_t>(rows) * k;
}

// Floats that a layer's products need beside their operands and results.
inline int64_t scratch_floats(const LayerPlan& p, int points) {
  int64_t most = static_cast<int64_t>(points) * PW;  // add_outer's
  if (p.tiled) most = larger(most, tiled_floats(points, p.k));
  if (p.tiled_t) most = larger(most, tiled_floats(points, p.rows));
  if (p.tiled_w) most = larger(most, tiled_floats(p.rows, points) + tiled_floats(p.k, points));
  return most;
}

// A tile's activations should stay in the second-level cache and still be long enough for the weight gradient,
// whose sums are read and written once a tile.
inline int tile_points(const Plan& plan, int64_t floats_per_point) {
  constexpr int64_t budget = 3 << 19, least = 96, most = 384;
  int64_t points = budget / (floats_per_point * 4) / PW * PW;
  points = larger(least, smaller(most, points));
  const int64_t share = (plan.job->n + plan.job->threads - 1) / plan.job->threads;
  return static_cast<int>(smaller(points, rounded_up(larger(share, 1), PW)));
}

inline bool pairs_before(const Job& job, int l) { return l > 0 && pairs_rows(job.layers[l - 1].act); }

inline LayerPlan lay_out_layer(const Layer& layer, bool pairs_in, bool trains, Cursor& cursor) {
  LayerPlan p = plan_layer(layer, pairs_in);
  p.matrix = p.expanded ? cursor.take<float>(static_cast<int64_t>(p.rows) * p.k) : nullptr;
  p.packed = cursor.take<float>(packed_floats(p.rows, p.k, p.tiled));
  p.packed_t = trains ? cursor.take<float>(packed_floats(p.k, p.rows, p.tiled_t)) : nullptr;
  p.bias = layer.b ? cursor.take<float>(p.rows) : nullptr;
  p.spread_bias = layer.b && p.tiled ? cursor.take<float>(rounded_up(p.rows, TILE) * VL) : nullptr;
  return p;
}

inline ThreadPlan lay_out_thread(const Plan& plan, int64_t widest, int64_t scratch, Cursor& cursor) {
  const Layer* layers = plan.job->layers;
  ThreadPlan t = {};
  t.h = cursor.take<float*>(plan.count);
  t.c = cursor.take<float*>(plan.count);
  t.d_matrix = cursor.take<float*>(plan.count);
  t.d_bias = cursor.take<float*>(plan.count);
  t.x = cursor.take<float>(static_cast<int64_t>(layers[0].fan_in) * plan.tile);
  for (float*& d : t.d) d = cursor.take<float>(widest * plan.tile);
  t.scratch = cursor.take<float>(scratch);
  for (int l = 0; l < plan.count; l++) {
    const LayerPlan p = plan_layer(layers[l], false);
    const int64_t size = static_cast<int64_t>(p.rows) * plan.tile;
    // Inference needs two layers at a time: it alternates between the cotangents' buffers.
    float* h = plan.trains ? cursor.take<float>(size) : t.d[l & 1];
    float* c = plan.trains && saves(layers[l].act) ? cursor.take<float>(size) : nullptr;
    float* d_matrix = plan.trains && layers[l].d_w ? cursor.take<float>(gradient_size(p.rows, p.k)) : nullptr;
    float* d_bias = plan.trains && layers[l].d_b ? cursor.take<float>(p.rows) : nullptr;
    if (!cursor.base) continue;
    t.h[l] = h;
    t.c[l] = c;
    t.d_matrix[l] = d_matrix;
    t.d_bias[l] = d_bias;
  }
  if (const Adjustment* adjustment = plan.job->adjustment)
    t.adjust = lay_out_adjustment_thread(*adjustment, layers[plan.count - 1].fan_out, cursor);
  return t;
}

// Lays out everything that `job` needs; called with a counting cursor first, then with the memory.
inline Plan lay_out(Job& job, Cursor& cursor) {
  Plan plan = {};
  plan.job = &job;
  plan.count = job.layer_count;
  plan.trains = job.pass != Pass::forward;
  plan.layers = cursor.take<LayerPlan>(plan.count);
  plan.threads = cursor.take<ThreadPlan>(job.threads);
  int64_t widest = job.layers[0].fan_in, saved = job.layers[0].fan_in, scratch = 0;
  for (int l = 0; l < plan.count; l++) {
    const LayerPlan p = plan_layer(job.layers[l], false);
    plan.wants_weights = plan.wants_weights || p.layer->d_w || p.layer->d_b;
    widest = larger(widest, p.rows);
    saved += p.rows * (saves(p.layer->act) ? 2 : 1);
  }
  plan.tile = tile_points(plan, plan.trains ? saved + 2 * widest : 2 * widest);
  if (job.adjustment) {
    plan.tile = static_cast<int>(rounded_up(adjusted_points(*job.adjustment, job.n, plan.tile), PW));
    plan.adjust = lay_out_adjustment(*job.adjustment, cursor);
  }
  for (int l = 0; l < plan.count; l++) {
    const LayerPlan p = lay_out_layer(job.layers[l], pairs_before(job, l), plan.trains, cursor);
    scratch = larger(scratch, scratch_floats(p, plan.tile));
    if (cursor.base) plan.layers[l] = p;
  }
  for (int t = 0; t < job.threads; t++) {
    const ThreadPlan thread = lay_out_thread(plan, widest, scratch, cursor);
    if (cursor.base) plan.threads[t] = thread;
  }
  return plan;
}

// Writes the real matrix of a complex or Gabor layer.
inline void expand(const LayerPlan& p) {
  const Layer& layer = *p.layer;
  const bool pairs = pairs_rows(layer.act);
  for (int o = 0; o < layer.fan_out; o++) {
    float* re = p.matrix + static_cast<int64_t>(pairs ? 2 * o : o) * p.k;
    float* im = pairs ? re + p.k : nullptr;
    for (int i = 0; i < layer.fan_in; i++) {
      const int64_t at = static_cast<int64_t>(o) * layer.fan_in + i;
      if (layer.complex_weights) {
        re[2 * i] = layer.w[2 * at];
        re[2 * i + 1] = -layer.w[2 * at + 1];
        if (im) im[2 * i] = layer.w[2 * at + 1], im[2 * i + 1] = layer.w[2 * at];
      } else {
        re[i] = layer.w[at];
        im[i] = 0.0f;
      }
    }
  }
}

// Packs blocks of every layer's matrix; thread t of `threads` takes every threads-th block.
inline void pack(const Plan& plan, int t) {
  const int threads = plan.job->threads;
  int turn = 0;
  for (int l = 0; l < plan.count; l++) {
    const LayerPlan& p = plan.layers[l];
    const float* e = p.expanded ? p.matrix : p.layer->w;
    const int64_t k = p.k, rows = p.rows;
    if (p.tiled) pack_tiles(e, k, 1, p.rows, p.k, p.fold, t, threads, p.packed);
    if (p.tiled_t && p.packed_t) pack_tiles(e, 1, k, p.k, p.rows, p.fold, t, threads, p.packed_t);
    for (int b = 0; b < p.forward.count && !p.tiled; b++) {
      if (turn++ % threads != t) continue;
      const int r0 = p.forward.start(b), r = p.forward.size(b);
      float* to = p.packed + r0 * k;
      for (int64_t i = 0; i < k; i++)
        for (int j = 0; j < r; j++) to[i * r + j] = e[(r0 + j) * k + i] * p.fold;
    }
    if (!p.packed_t || p.tiled_t) continue;
    for (int b = 0; b < p.transposed.count; b++) {
      if (turn++ % threads != t) continue;
      const int i0 = p.transposed.start(b), n = p.transposed.size(b);
      float* to = p.packed_t + i0 * rows;
      for (int64_t o = 0; o < rows; o++)
        for (int j = 0; j < n; j++) to[o * n + j] = e[o * k + i0 + j] * p.fold;
    }
  }
}

// Sets the bound of the layer's pre-activations.
inline void measure(LayerPlan& p) {
  const float* e = p.expanded ? p.matrix : p.layer->w;
  float norm = 0, largest_bias = 0;
  for (int r = 0; r < p.rows; r++, e += p.k) {
    V s = {};
    int i = 0;
    for (; i + VL <= p.k; i += VL) s += abs(load_unaligned(e + i));
    float row = sum(s);
    for (; i < p.k; i++) row += fabsf(e[i]);
    if (!(row <= norm)) norm = row;  // a NaN stays
    if (p.bias && !(fabsf(p.bias[r]) <= largest_bias)) largest_bias = fabsf(p.bias[r]);
  }
  p.norm = norm * p.fold * 1.001f;  // above the sum's own rounding
  p.largest_bias = largest_bias;
}

inline void pack_bias(const LayerPlan& p) {
  if (!p.bias) return;
  const Layer& layer = *p.layer;
  for (int o = 0; o < layer.fan_out; o++) {
    if (!p.expanded) {
      p.bias[o] = layer.b[o] * p.fold;
    } else if (pairs_rows(layer.act)) {
      p.bias[2 * o] = layer.complex_weights ? layer.b[2 * o] : layer.b[o];
      p.bias[2 * o + 1] = layer.complex_weights ? layer.b[2 * o + 1] : 0.0f;
    } else {
      p.bias[o] = layer.b[2 * o];
    }
  }
}

// Sums the threads' gradients of layer l in the order of the threads, rows [first, last), to the layer's own
// gradient or, where expanded, to p.matrix.
inline void reduce(const Plan& plan, int l, int first, int last) {
  const LayerPlan& p = plan.layers[l];
  if (!p.layer->d_w) return;
  const bool dots = by_dots(p.rows, p.k), whole_rows = dots || p.tiled_w;
  const int64_t stride = dots ? p.k : rounded_up(p.k, VL);
  for (int r = first; r < last; r++) {
    float* to = (p.expanded ? p.matrix : p.layer->d_w) + static_cast<int64_t>(r) * p.k;
    for (int j = 0; j < p.k;) {
      const int width = whole_rows ? p.k : column_width(p.k, j) * VL;
      const int64_t from =
          whole_rows ? r * stride : static_cast<int64_t>(j) * p.rows + static_cast<int64_t>(r) * width;
      const int n = static_cast<int>(smaller(width, p.k - j));
      for (int i = 0; i < n; i++) {
        float s = plan.threads[0].d_matrix[l][from + i];
        for (int t = 1; t < plan.job->threads; t++) s += plan.threads[t].d_matrix[l][from + i];
        to[j + i] = s * p.fold;
      }
      j += width;
    }
  }
}

// The gradient of a complex or Gabor layer's weight from that of its real matrix: the inverse of `expand`.
inline void fold_back(const LayerPlan& p) {
  const Layer& layer = *p.layer;
  const bool pairs = pairs_rows(layer.act);
  for (int o = 0; o < layer.fan_out; o++) {
    const float* re = p.matrix + static_cast<int64_t>(pairs ? 2 * o : o) * p.k;
    const float* im = pairs ? re + p.k : nullptr;
    for (int i = 0; i < layer.fan_in; i++) {
      const int64_t at = static_cast<int64_t>(o) * layer.fan_in + i;
      if (layer.complex_weights) {
        layer.d_w[2 * at] = im ? re[2 * i] + im[2 * i + 1] : re[2 * i];
        layer.d_w[2 * at + 1] = im ? im[2 * i] - re[2 * i + 1] : -re[2 * i + 1];
      } else {
        layer.d_w[at] = re[i];
      }
    }
  }
}

inline void reduce_bias(const Plan& plan, int l) {
  const LayerPlan& p = plan.layers[l];
  const Layer& layer = *p.layer;
  if (!layer.d_b) return;
  const int stride = pairs_rows(layer.act) ? 2 : 1;
  for (int o = 0; o < layer.fan_out; o++)
    for (int part = 0; part < (layer.complex_weights ? 2 : 1); part++) {
      float s = 0;  // a last complex layer's imaginary bias does not reach the output
      if (part < stride)
        for (int t = 0; t < plan.job->threads; t++) s += plan.threads[t].d_bias[l][stride * o + part];
      layer.d_b[layer.complex_weights ? 2 * o + part : o] = s * p.fold;
    }
}

// The row of each group's largest residual, the lowest of equal ones: threads have ascending rows.
inline void reduce_largest(const Plan& plan) {
  const Adjustment& a = *plan.job->adjustment;
  for (int64_t g = 0; g < a.groups; g++) {
    const ThreadPlan* best = plan.threads;
    for (const ThreadPlan* t = best; t < plan.threads + plan.job->threads; t++)
      if (t->adjust.size[g] > best->adjust.size[g]) best = t;
    a.largest[g] = best->adjust.row[g];
  }
}

}  // namespace fastsnf::FASTSNF_VARIANT

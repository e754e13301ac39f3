// Blocks of the empirical NTK:  K = sum_l Re[(A_l A_l^H + bias_l) o (D_l D_l^H)]  for blocks of n points.
//
// Points lie in panels, and a panel is both operands: 32 of its points as lanes, or some of them as the rows that
// are broadcast. Complex numbers are pairs of real ones, so Re(A A^H) is a real product of twice the width and
// Im(A A^H) the same product with one side's pairs turned by i. A tile is the PW x PW points of two panels: both
// products of a layer, and the sum over the layers, stay in the first-level cache. Tiles below the diagonal are
// mirrored. Every entry is computed alike whichever thread has it.
#pragma once

#include "cursor.h"
#include "gemm.h"
#include "rows.h"
#include "threads.h"

namespace fastsnf::FASTSNF_VARIANT {

struct GramPlan {
  const GramJob* job;
  int panels;            // of a block
  int64_t tiles;         // of a block, on and above the diagonal
  int64_t panel_floats;  // of all layers: [layer][A, then D][feature][PW]
  int part;              // terms of a product that are added up from 0
  int rows_at_once;      // row panels that pass by a column panel while they are in the cache
  bool shares;           // all threads do one block after the other
  int64_t whole;         // blocks that a thread does alone
  int64_t first, count;  // blocks that the threads share now
  float* packed;         // one block a thread, or those shared

  int64_t block_floats() const { return panel_floats * panels; }
};

inline int64_t real_width(int64_t width, bool is_complex) { return is_complex ? 2 * width : width; }

// c[r][j] = sum_i a[i][r] b[i][j] on R rows and W vectors, a and b being rows of panels; with `resume` the sum
// is added to c. TURNED: Im of complex products instead, sum_i im a[i] re b[i] - re a[i] im b[i] over pairs.
template <int R, int W, bool TURNED>
void pair_kernel(const float* a, const float* b, int64_t k, bool resume, float* c) {
  constexpr int step = TURNED ? 2 : 1;
  V acc[R][W] = {};
#pragma GCC unroll 2
  for (int64_t i = 0; i < k; i += step) {
#pragma GCC unroll 2
    for (int s = 0; s < step; s++) {
      const float* left = a + (TURNED ? 1 - s : 0) * PW;
      V x[W];
#pragma GCC unroll 2
      for (int v = 0; v < W; v++) {
        const V y = load(b + s * PW + v * VL);
        x[v] = TURNED && s == 1 ? -y : y;
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; r++) {
        const V w = set(left[r]);
#pragma GCC unroll 2
        for (int v = 0; v < W; v++) acc[r][v] = fma(w, x[v], acc[r][v]);
      }
    }
    a += step * PW;
    b += step * PW;
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < W; v++) {
      float* to = c + r * PW + v * VL;
      store(to, resume ? load(to) + acc[r][v] : acc[r][v]);
    }
  }
}

using PairKernel = void (*)(const float*, const float*, int64_t, bool, float*);

struct PairTable {
  PairKernel kernel[2][NV + 1][MR + 1] = {};  // [turned][vectors][rows]

  template <int R>
  constexpr void fill() {
    kernel[0][1][R] = pair_kernel<R, 1, false>;
    kernel[0][2][R] = pair_kernel<R, 2, false>;
    kernel[1][1][R] = pair_kernel<R, 1, true>;
    kernel[1][2][R] = pair_kernel<R, 2, true>;
    if constexpr (R > 1) fill<R - 1>();
  }
  constexpr PairTable() { fill<MR>(); }
};
static constexpr PairTable pair_kernels;

// Rows and columns of a tile that are there, and whether it lies on the diagonal.
struct TileShape {
  int rows, columns;
  bool diagonal;
};

// c = the product of two panels of k features, at least where the tile is there and not below the diagonal.
inline void panel_product(const float* a, const float* b, int64_t k, int part, TileShape shape, bool turned,
                          float* c) {
  const Blocks blocks(shape.rows, 1);
  const int last = shape.columns > VL ? 2 : 1;
  for (int64_t k0 = 0; k0 < k; k0 += part, a += part * PW, b += part * PW)
    for (int block = 0; block < blocks.count; block++) {
      const int r0 = blocks.start(block), r = blocks.size(block);
      const int v = shape.diagonal && r0 >= VL ? 1 : 0;
      pair_kernels.kernel[turned][last - v][r](a + r0, b + v * VL, smaller(part, k - k0), k0 > 0,
                                               c + r0 * PW + v * VL);
    }
}

struct GramTile {
  alignas(64) float k[PW * PW] = {}, a[PW * PW] = {}, d[PW * PW] = {};
};

// The products of one layer, added to the tile's sum.
inline void add_layer(const GramLayer& layer, const float* left, const float* right, int part,
                      TileShape shape, bool first, GramTile& t) {
  const int64_t a_width = real_width(layer.fan_in, layer.a_complex),
                d_width = real_width(layer.fan_out, layer.d_complex), d_at = a_width * PW;
  const V bias = set(layer.bias ? 1.0f : 0.0f);
  const int n = shape.rows * PW;
  panel_product(left, right, a_width, part, shape, false, t.a);
  panel_product(left + d_at, right + d_at, d_width, part, shape, false, t.d);
  for (int i = 0; i < n; i += VL) {
    const V product = (load(t.a + i) + bias) * load(t.d + i);
    store(t.k + i, first ? product : load(t.k + i) + product);
  }
  if (!layer.a_complex || !layer.d_complex) return;
  panel_product(left, right, a_width, part, shape, true, t.a);
  panel_product(left + d_at, right + d_at, d_width, part, shape, true, t.d);
  for (int i = 0; i < n; i += VL) store(t.k + i, load(t.k + i) - load(t.a + i) * load(t.d + i));
}

// to = from transposed, both PW x PW.
inline void transpose_tile(const float* from, float* to) {
  for (int r = 0; r < PW; r += VL)
    for (int j = 0; j < PW; j += VL) {
      V block[VL];
      for (int i = 0; i < VL; i++) block[i] = load(from + (r + i) * PW + j);
      transpose(block);
      for (int i = 0; i < VL; i++) store(to + (j + i) * PW + r, block[i]);
    }
}

inline void store_tile(const float* tile, int rows, int columns, float* out, int64_t n) {
  for (int r = 0; r < rows; r++)
    __builtin_memcpy(out + r * n, tile + r * PW, static_cast<size_t>(columns) * 4);
}

// The tile of row panel i and column panel j of a block, and its mirror image.
inline void gram_tile(const GramPlan& plan, const float* packed, int i, int j, float* out, GramTile& t) {
  const GramJob& job = *plan.job;
  const int64_t n = job.n, i0 = static_cast<int64_t>(i) * PW, j0 = static_cast<int64_t>(j) * PW;
  const TileShape shape = {static_cast<int>(smaller(PW, n - i0)), static_cast<int>(smaller(PW, n - j0)),
                           i == j};
  const float *left = packed + i * plan.panel_floats, *right = packed + j * plan.panel_floats;
  for (int l = 0; l < job.layer_count; l++) {
    const GramLayer& layer = job.layers[l];
    add_layer(layer, left, right, plan.part, shape, l == 0, t);
    const int64_t floats =
        (real_width(layer.fan_in, layer.a_complex) + real_width(layer.fan_out, layer.d_complex)) * PW;
    left += floats;
    right += floats;
  }
  if (shape.diagonal) {
    for (int r = 0; r < shape.rows; r++)
      for (int c = r + 1; c < shape.columns; c++) t.k[c * PW + r] = t.k[r * PW + c];
  } else {
    transpose_tile(t.k, t.a);
    store_tile(t.a, shape.columns, shape.rows, out + j0 * n + i0, n);
  }
  store_tile(t.k, shape.rows, shape.columns, out + i0 * n + j0, n);
}

// Tiles [first, last) of a block in an order in which some row panels stay in the cache.
inline void gram_tiles(const GramPlan& plan, const float* packed, int64_t block, int64_t first, int64_t last,
                       GramTile& t) {
  float* out = plan.job->out + block * plan.job->n * plan.job->n;
  int64_t at = 0;
  for (int g = 0; g < plan.panels; g += plan.rows_at_once)
    for (int j = g; j < plan.panels; j++) {
      if (at >= last) return;
      for (int i = g; i <= j && i < g + plan.rows_at_once; i++, at++)
        if (at >= first && at < last) gram_tile(plan, packed, i, j, out, t);
    }
}

inline void pack_gram_panel(const GramPlan& plan, int64_t block, int panel, float* to) {
  const GramJob& job = *plan.job;
  const int64_t point = static_cast<int64_t>(panel) * PW, row = block * job.n + point;
  const int points = static_cast<int>(smaller(PW, job.n - point));
  for (int l = 0; l < job.layer_count; l++) {
    const GramLayer& layer = job.layers[l];
    const int64_t a_width = real_width(layer.fan_in, layer.a_complex),
                  d_width = real_width(layer.fan_out, layer.d_complex);
    rows_to_panel(layer.a + row * a_width, a_width, points, to);
    rows_to_panel(layer.d + row * d_width, d_width, points, to + a_width * PW);
    to += (a_width + d_width) * PW;
  }
}

inline void whole_blocks_task(void* context, int thread) {
  const GramPlan& plan = *static_cast<GramPlan*>(context);
  const FlushDenormals flush;
  const int64_t threads = plan.job->threads;
  float* packed = plan.packed + thread * plan.block_floats();
  GramTile t;
  for (int64_t b = plan.whole * thread / threads; b < plan.whole * (thread + 1) / threads; b++) {
    for (int p = 0; p < plan.panels; p++) pack_gram_panel(plan, b, p, packed + p * plan.panel_floats);
    gram_tiles(plan, packed, b, 0, plan.tiles, t);
  }
}

inline void pack_shared_task(void* context, int thread) {
  const GramPlan& plan = *static_cast<GramPlan*>(context);
  const int64_t threads = plan.job->threads, units = plan.count * plan.panels;
  for (int64_t u = units * thread / threads; u < units * (thread + 1) / threads; u++)
    pack_gram_panel(plan, plan.first + u / plan.panels, static_cast<int>(u % plan.panels),
                    plan.packed + u * plan.panel_floats);
}

inline void shared_tiles_task(void* context, int thread) {
  const GramPlan& plan = *static_cast<GramPlan*>(context);
  const FlushDenormals flush;
  const int64_t threads = plan.job->threads, units = plan.count * plan.tiles;
  const int64_t first = units * thread / threads, last = units * (thread + 1) / threads;
  GramTile t;
  for (int64_t b = 0; b < plan.count; b++)
    gram_tiles(plan, plan.packed + b * plan.block_floats(), plan.first + b, first - b * plan.tiles,
               last - b * plan.tiles, t);
}

// Large blocks are shared by all threads one after the other; of small ones each thread does as many alone as
// go round, and the few that remain are shared.
inline GramPlan plan_gram(const GramJob& job) {
  constexpr int64_t cached = 1 << 19, enough = 8;  // bytes of row panels; tiles of a block for each thread
  GramPlan plan = {};
  plan.job = &job;
  plan.panels = static_cast<int>((job.n + PW - 1) / PW);
  plan.tiles = static_cast<int64_t>(plan.panels) * (plan.panels + 1) / 2;
  for (int l = 0; l < job.layer_count; l++)
    plan.panel_floats += PW * (real_width(job.layers[l].fan_in, job.layers[l].a_complex) +
                               real_width(job.layers[l].fan_out, job.layers[l].d_complex));
  plan.part = job.n <= 64 ? 32 : 64;
  plan.rows_at_once = static_cast<int>(larger(1, smaller(8, cached / (plan.panel_floats * 4))));
  plan.shares = job.threads > 1 && plan.tiles >= enough * job.threads;
  plan.whole = plan.shares ? 0 : job.blocks / job.threads * job.threads;
  return plan;
}

inline void run_gram(GramJob& job) {
  const int64_t panels = (job.n + PW - 1) / PW, tiles = job.blocks * (panels * (panels + 1) / 2);
  job.threads = static_cast<int>(larger(1, smaller(job.threads, tiles)));
  GramPlan plan = plan_gram(job);
  const int64_t rest = job.blocks - plan.whole;
  const int64_t copies = plan.shares ? 1 : larger(plan.whole ? job.threads : 0, rest);
  Workspace workspace;
  plan.packed = reinterpret_cast<float*>(workspace.reserve(copies * plan.block_floats() * 4));
  if (plan.whole) parallel(job.threads, whole_blocks_task, &plan);
  for (plan.first = plan.whole; plan.first < job.blocks; plan.first += plan.count) {
    plan.count = plan.shares ? 1 : rest;
    parallel(job.threads, pack_shared_task, &plan);
    parallel(job.threads, shared_tiles_task, &plan);
  }
}

}  // namespace fastsnf::FASTSNF_VARIANT

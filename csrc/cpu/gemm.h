// The register-blocked matrix kernels.
//
// Activations lie in panels: panel p of a layer with `rows` features is rows x PW contiguous floats, PW points
// side by side in a row. Vector lanes are points, so a layer is  out[r] = sum_k E[r, k] in[k]  with vectors
// in[k], out[r] and scalars E[r, k]: both operands are read in order, no feature is padded, and an activation
// works on whole vectors. The weights are packed in blocks of at most MR rows, [k][row] within a block.
#pragma once

#include "activation.h"

namespace fastsnf::FASTSNF_VARIANT {

// `rows` cut into blocks of at most MR rows, as even as `unit` (2 keeps complex pairs together) allows.
struct Blocks {
  int rows = 0, count = 0, base = 0, extra = 0, unit = 1;

  Blocks() = default;
  Blocks(int rows_, int unit_) : rows(rows_), unit(unit_) {
    const int units = rows / unit, most = MR / unit;
    count = (units + most - 1) / most;
    base = units / count;
    extra = units % count;
  }
  int size(int b) const { return (base + (b < extra)) * unit; }
  int start(int b) const { return (b * base + (b < extra ? b : extra)) * unit; }
};

// What becomes of a block of output rows as soon as it is complete.
struct Epilogue {
  ForwardBlock forward = nullptr;
  BackwardBlock backward = nullptr;
  ActParams params = {};
  float* c = nullptr;        // forward: written, may be null; backward: read
  const float* h = nullptr;  // backward

  FASTSNF_INLINE void operator()(float* out, int64_t offset, int n) const {
    if (forward) forward(params, out + offset, c ? c + offset : nullptr, n);
    if (backward) backward(params, out + offset, h + offset, c + offset, n);
  }
};

// c[r] = bias[r] + sum_k a[k][r] b[k] on R rows of one panel, without a bias where that is null; with `resume`
// the sum is added to c. The sum is cut into parts that start from 0: rounding grows with the part, not the sum.
template <int R>
void panel_kernel(const float* a, const float* b, int k, int part, const float* bias, bool resume, float* c) {
  for (; k > 0; k -= part, resume = true) {
    const int n = k < part ? k : part;
    V acc[R][NV];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const V first = bias && !resume ? set(bias[r]) : V{};
#pragma GCC unroll 2
      for (int v = 0; v < NV; v++) acc[r][v] = first;
    }
#pragma GCC unroll 2
    for (int i = 0; i < n; i++) {
      V x[NV];
#pragma GCC unroll 2
      for (int v = 0; v < NV; v++) x[v] = load(b + v * VL);
#pragma GCC unroll 16
      for (int r = 0; r < R; r++) {
        const V w = set(a[r]);
#pragma GCC unroll 2
        for (int v = 0; v < NV; v++) acc[r][v] = fma(w, x[v], acc[r][v]);
      }
      a += R;
      b += PW;
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
      for (int v = 0; v < NV; v++) {
        float* to = c + r * PW + v * VL;
        store(to, resume ? load(to) + acc[r][v] : acc[r][v]);
      }
    }
  }
}

// acc[r][i] += sum over points m of d[r][m] ht[m][i]: R rows of d, W vectors of features. Sums within a tile
// start from 0 and are added once, which keeps the rounding of long sums small.
template <int R, int W>
void outer_kernel(const float* d, int64_t d_panel, const float* ht, int points, float* acc) {
  V sums[R][W] = {};
  // Read at the very end, when nothing is left to do meanwhile.
  for (int i = 0; i < R * W; i++) __builtin_prefetch(acc + i * VL, 1, 2);
  for (int p = 0; p < points; p += PW, d += d_panel) {
    const int n = points - p < PW ? points - p : PW;
#pragma GCC unroll 2
    for (int m = 0; m < n; m++) {
      V h[W];
      __builtin_prefetch(d + R * PW + m * 16);  // a line of the rows after these
#pragma GCC unroll 2
      for (int v = 0; v < W; v++) h[v] = load(ht + v * VL);
#pragma GCC unroll 16
      for (int r = 0; r < R; r++) {
        const V w = set(d[r * PW + m]);
#pragma GCC unroll 2
        for (int v = 0; v < W; v++) sums[r][v] = fma(w, h[v], sums[r][v]);
      }
      ht += W * VL;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < W; v++) {
      float* a = acc + (r * W + v) * VL;
      store(a, load(a) + sums[r][v]);
    }
  }
}

using PanelKernel = void (*)(const float*, const float*, int, int, const float*, bool, float*);
using OuterKernel = void (*)(const float*, int64_t, const float*, int, float*);

template <int R>
struct Kernels {
  static constexpr void fill(PanelKernel* panel, OuterKernel (*outer)[MR + 1]) {
    panel[R] = panel_kernel<R>;
    outer[1][R] = outer_kernel<R, 1>;
    outer[2][R] = outer_kernel<R, 2>;
    if constexpr (R > 1) Kernels<R - 1>::fill(panel, outer);
  }
};

struct KernelTable {
  PanelKernel panel[MR + 1] = {};
  OuterKernel outer[NV + 1][MR + 1] = {};
  constexpr KernelTable() { Kernels<MR>::fill(panel, outer); }
};
static constexpr KernelTable kernels;  // constant: no code of this instruction set runs when the module loads

constexpr int FEW = 4;  // rows or columns for which a matrix product is better done as dot products

// A panel of this many features stays in the first-level cache; more are multiplied a stretch at a time.
constexpr int MOST_FEATURES = 40 * 1024 / (PW * 4);

constexpr int EPILOGUE_ROWS =
    24;  // enough for its constants to pay, few enough to be still in the first-level cache

// The parts of sums over features: short where rows are few, as in a last layer, or the call's points are, since
// BLAS does such products as vectorised dot products, which round less.
inline int part_of(int rows, int64_t n) { return rows <= FEW || n <= 64 ? 32 : rows <= 64 ? 64 : 128; }

// out = packed * in (+ bias), then the epilogue, for `panels` panels of `k` features.
inline void multiply(const Blocks& blocks, const float* packed, const float* bias, const float* in, int k,
                     int part, int panels, float* out, const Epilogue& epilogue) {
  const int stretches = (k + MOST_FEATURES - 1) / MOST_FEATURES, most = (k + stretches - 1) / stretches;
  for (int p = 0; p < panels; p++, in += static_cast<int64_t>(k) * PW) {
    const int64_t panel = static_cast<int64_t>(p) * blocks.rows * PW;
    int done = 0;  // rows that have been through the epilogue
    for (int k0 = 0; k0 < k; k0 += most) {
      const int n = k - k0 < most ? k - k0 : most;
      for (int b = 0; b < blocks.count; b++) {
        const int r0 = blocks.start(b), r = blocks.size(b);
        const int64_t offset = panel + static_cast<int64_t>(r0) * PW;
        const float* block = packed + static_cast<int64_t>(r0) * k + static_cast<int64_t>(k0) * r;
        kernels.panel[r](block, in + static_cast<int64_t>(k0) * PW, n, part, bias ? bias + r0 : nullptr,
                         k0 > 0, out + offset);
        const bool complete = k0 + n == k, last = b + 1 == blocks.count;
        if (complete && (last || r0 + r - done >= EPILOGUE_ROWS)) {
          epilogue(out, panel + static_cast<int64_t>(done) * PW, (r0 + r - done) * PW);
          done = r0 + r;
        }
      }
    }
  }
}

// Gradients of a layer's matrix are summed in panels of feature columns: [column panel][row][width].
inline int column_width(int k, int j) { return k - j > VL ? 2 : 1; }  // in vectors, for the panel at column j
inline int64_t gradient_size(int rows, int k) {
  return static_cast<int64_t>(rows) * ((k + VL - 1) / VL * VL);
}

// With few rows or columns a gradient is a set of dot products over the points instead: [row][column].
inline bool by_dots(int rows, int k) { return rows <= FEW || k <= FEW; }

// The column panel of h that starts at feature j, transposed to [point][width * VL]; features past k are 0.
inline void transpose_columns(const float* h, int k, int j, int width, int panels, float* ht) {
  for (int p = 0; p < panels; p++) {
    const float* panel = h + static_cast<int64_t>(p) * k * PW;
    for (int v = 0; v < width; v++)
      for (int m = 0; m < PW; m += VL) {
        V rows[VL];
        for (int i = 0; i < VL; i++) {
          const int feature = j + v * VL + i;
          rows[i] = feature < k ? load(panel + static_cast<int64_t>(feature) * PW + m) : V{};
        }
        transpose(rows);
        float* to = ht + (static_cast<int64_t>(p) * PW + m) * width * VL + v * VL;
        for (int i = 0; i < VL; i++) store(to + static_cast<int64_t>(i) * width * VL, rows[i]);
      }
  }
}

// acc += d h^T over the points: d has `rows` rows, h has k; `ht` is scratch of points x 2 VL floats.
inline void add_outer(const float* d, int rows, const float* h, int k, int points, int panels, float* ht,
                      float* acc) {
  const Blocks blocks(rows, 1);
  for (int j = 0; j < k;) {
    const int width = column_width(k, j);
    transpose_columns(h, k, j, width, panels, ht);
    for (int b = 0; b < blocks.count; b++) {
      const int r0 = blocks.start(b), r = blocks.size(b);
      kernels.outer[width][r](d + r0 * PW, static_cast<int64_t>(rows) * PW, ht, points,
                              acc + static_cast<int64_t>(r0) * width * VL);
    }
    acc += static_cast<int64_t>(rows) * width * VL;
    j += width * VL;
  }
}

// few x many dot products over the points, to acc[i * few_stride + j * many_stride].
inline void add_dots(const float* few, int few_rows, const float* many, int many_rows, int panels, float* acc,
                     int64_t few_stride, int64_t many_stride) {
  for (int j = 0; j < many_rows; j++) {
    V sums[FEW] = {};
    for (int p = 0; p < panels; p++)
      for (int m = 0; m < PW; m += VL) {
        const V y = load(many + (static_cast<int64_t>(p) * many_rows + j) * PW + m);
        for (int i = 0; i < few_rows; i++)
          sums[i] = fma(load(few + (static_cast<int64_t>(p) * few_rows + i) * PW + m), y, sums[i]);
      }
    for (int i = 0; i < few_rows; i++) acc[i * few_stride + j * many_stride] += sum(sums[i]);
  }
}

// acc[r] += the sum over the points of row r.
inline void add_row_sums(const float* d, int rows, int panels, float* acc) {
  for (int r = 0; r < rows; r++) {
    V s = {};
    for (int p = 0; p < panels; p++)
      for (int m = 0; m < PW; m += VL) s += load(d + (static_cast<int64_t>(p) * rows + r) * PW + m);
    acc[r] += sum(s);
  }
}

}  // namespace fastsnf::FASTSNF_VARIANT

// The engine for one instruction set: a tile of points goes through the whole network, forward and backward,
// without leaving the core's cache. Compiled once per instruction set, FASTSNF_VARIANT naming it.
#include "gram.h"
#include "plan.h"

namespace fastsnf::FASTSNF_VARIANT {
namespace {

int64_t number_of(const GridPoints& grid, int64_t point) {
  return grid.index ? grid.index[point] : grid.begin + point;
}

// Whether all numbers of the grid's points fit 32 bits.
bool is_small(const GridPoints& grid, int axes) {
  int64_t points = 1;
  for (int c = 0; c < axes; c++) points *= grid.sizes[c];
  return points <= UINT32_MAX;
}

// [points, rows] -> panels; lanes beyond the last point are 0.
void load_panels(const float* from, int rows, int points, int panels, float* to) {
  for (int p = 0; p < panels; p++)
    for (int m = 0; m < PW; m++) {
      const int point = p * PW + m;
      const float* row = from + static_cast<int64_t>(point) * rows;
      float* lane = to + static_cast<int64_t>(p) * rows * PW + m;
      for (int r = 0; r < rows; r++) lane[r * PW] = point < points ? row[r] : 0.0f;
    }
}

// The same for points of a grid, whose coordinates are looked up.
template <class Number>
void load_grid_panels(const GridPoints& grid, int axes, int64_t first, int points, int panels, float* to) {
  for (int c = 0; c < axes; c++) {
    const auto stride = static_cast<Number>(grid.strides[c]), size = static_cast<Number>(grid.sizes[c]);
    const float* table = grid.tables[c];
    for (int p = 0; p < panels; p++) {
      float* row = to + (static_cast<int64_t>(p) * axes + c) * PW;
      const int64_t point = first + p * PW;
      const int here = static_cast<int>(smaller(PW, points - p * PW));
      for (int m = 0; m < here; m++)
        row[m] = table[static_cast<Number>(number_of(grid, point + m)) / stride % size];
      for (int m = here; m < PW; m++) row[m] = 0.0f;
    }
  }
}

// Points in a row follow each other along the axis of stride 1: no division.
void load_run_panels(const GridPoints& grid, int axes, int64_t first, int points, int panels, float* to) {
  for (int c = 0; c < axes; c++) {
    const int64_t start = grid.begin + first, stride = grid.strides[c], size = grid.sizes[c];
    const float* table = grid.tables[c];
    int64_t place = start / stride % size, left = stride - start % stride;
    for (int point = 0; point < panels * PW; point++) {
      to[(static_cast<int64_t>(point / PW) * axes + c) * PW + point % PW] =
          point < points ? table[place] : 0.0f;
      if (--left) continue;
      left = stride;
      if (++place == size) place = 0;
    }
  }
}

void load_inputs(const Job& job, int64_t first, int points, int panels, float* to) {
  const int axes = job.layers[0].fan_in;
  if (!job.grid) return load_panels(job.x + first * axes, axes, points, panels, to);
  if (!job.grid->index) return load_run_panels(*job.grid, axes, first, points, panels, to);
  // 32 bits divide several times as fast as 64
  if (is_small(*job.grid, axes))
    return load_grid_panels<uint32_t>(*job.grid, axes, first, points, panels, to);
  return load_grid_panels<uint64_t>(*job.grid, axes, first, points, panels, to);
}

// Clears the lanes of the last panel beyond the last point, which may hold NaN or infinity where a weight does.
void clear_padding(float* panels, int rows, int points) {
  float* last = panels + static_cast<int64_t>(points / PW) * rows * PW;
  for (int r = 0; r < rows; r++)
    for (int m = points % PW; m < PW; m++) last[r * PW + m] = 0.0f;
}

void store_panels(const float* from, int rows, int points, float* to) {
  for (int point = 0; point < points; point++) {
    const float* lane = from + static_cast<int64_t>(point / PW) * rows * PW + point % PW;
    for (int r = 0; r < rows; r++) to[static_cast<int64_t>(point) * rows + r] = lane[r * PW];
  }
}

// Writes which points are above the threshold; a tile begins with a byte of its own.
void store_bits(const float* from, int64_t first, int points, float threshold, uint8_t* to) {
  for (int point = 0; point < points; point += 8) {
    unsigned bits = 0;
    for (int j = 0; j < smaller(8, points - point); j++) {
      const int at = point + j;
      bits |= static_cast<unsigned>(from[at / PW * PW + at % PW] > threshold) << j;
    }
    to[(first + point) / 8] = static_cast<uint8_t>(bits);
  }
}

float target_of(const Job& job, int64_t point, int rows, int r) {
  if (!job.target_bits) return job.target[point * rows + r];
  const int64_t number = number_of(*job.grid, point);
  return static_cast<float>(job.target_bits[number >> 3] >> (number & 7) & 1);
}

// d = gradient_scale * w * (out - target); returns the sum of w * (out - target)^2. Where w is 0 the target
// may be anything, also NaN.
double residuals(const Plan& plan, const float* out, int rows, int64_t first, int points, int panels,
                 float* d) {
  const Job& job = *plan.job;
  double loss = 0;
  for (int p = 0; p < panels; p++)
    for (int m = 0; m < PW; m++) {
      const int64_t point = first + p * PW + m;
      const bool there = p * PW + m < points;
      const float w = !there ? 0.0f : job.sample_weight ? job.sample_weight[point] : 1.0f;
      const int64_t lane = static_cast<int64_t>(p) * rows * PW + m;
      for (int r = 0; r < rows; r++) {
        const float e = w != 0.0f ? out[lane + r * PW] - target_of(job, point, rows, r) : 0.0f;
        d[lane + r * PW] = plan.gradient_scale * w * e;
        loss += static_cast<double>(w) * e * e;
      }
    }
  return loss;
}

// The same with adjusted residuals; the tile is whole offsets.
double adjusted_residuals(const Plan& plan, ThreadPlan& t, const float* out, int rows, int64_t first,
                          int points, int panels) {
  const Job& job = *plan.job;
  const TileResiduals tile = {out, job.target, job.sample_weight, t.d[0], rows, first, plan.gradient_scale};
  double loss = 0;
  for (int64_t row = first; row < first + points;) {
    const int64_t end = offset_end(*job.adjustment, row, job.n);
    loss += adjust_offset(*job.adjustment, plan.adjust, t.adjust, tile, row, end);
    row = end;
  }
  if (points < panels * PW) clear_padding(t.d[0], rows, points);
  return loss;
}

// Writes the inputs of layer l, h, and its cotangents from those of its folded pre-activations.
void store_trace(const Plan& plan, int l, const float* h, const float* d, int64_t first, int points) {
  const LayerPlan& p = plan.layers[l];
  const Layer& layer = *p.layer;
  const Traced& to = plan.job->traced[l];
  const bool pairs = pairs_rows(layer.act), is_complex = layer.complex_weights;
  const int64_t width = is_complex ? 2 * layer.fan_out : layer.fan_out;
  const V fold = set(p.fold);
  for (int point = 0; point < points; point += PW, h += p.k * PW, d += p.rows * PW) {
    const int here = static_cast<int>(smaller(PW, points - point));
    if (to.inputs)
      panel_to_rows(p.k, here, to.inputs + (first + point) * p.k,
                    [&](int64_t q, int m) { return load(h + q * PW + m); });
    panel_to_rows(width, here, to.cotangents + (first + point) * width, [&](int64_t q, int m) {
      if (!is_complex) return fold * load(d + (pairs ? 2 * q : q) * PW + m);
      if (!pairs) return q & 1 ? V{} : load(d + q / 2 * PW + m);
      const V part = load(d + q * PW + m);
      return q & 1 ? -part : part;
    });
  }
}

void add_gradients(const LayerPlan& p, ThreadPlan& t, int l, const float* h, const float* d, int points,
                   int panels) {
  if (float* acc = t.d_matrix[l]) {
    if (p.k <= FEW)
      add_dots(h, p.k, d, p.rows, panels, acc, 1, p.k);
    else if (p.rows <= FEW)
      add_dots(d, p.rows, h, p.k, panels, acc, p.k, 1);
    else if (p.tiled_w)
      add_outer_tiles(d, p.rows, h, p.k, panels, t.scratch, t.scratch + tiled_floats(p.rows, panels * PW),
                      acc, rounded_up(p.k, VL));
    else
      add_outer(d, p.rows, h, p.k, points, panels, t.scratch, acc);
  }
  if (t.d_bias[l]) add_row_sums(d, p.rows, panels, t.d_bias[l]);
}

const float* forward_tile(const Plan& plan, ThreadPlan& t, int panels) {
  const float* in = t.x;
  float bound = largest_of(t.x, plan.layers[0].k * panels * PW);
  for (int l = 0; l < plan.count; l++) {
    const LayerPlan& p = plan.layers[l];
    const Act act = p.layer->act;
    bound = bound * p.norm + p.largest_bias;
    Epilogue epilogue;
    epilogue.forward = forward_of(act);
    epilogue.params = p.params;
    epilogue.params.in_range = within_range(act, p.params, bound);
    bound = largest_output(act, p.params, bound);
    epilogue.c = t.c[l];
    if (p.tiled)
      multiply_tiles(p.rows, p.packed, p.spread_bias, in, p.k, tiles_of_part(plan.job->n), panels, t.h[l],
                     t.scratch, epilogue);
    else
      multiply(p.forward, p.packed, p.bias, in, p.k, part_of(p.rows, plan.job->n), panels, t.h[l], epilogue);
    in = t.h[l];
  }
  return in;
}

// Takes the cotangent of the output in t.d[0] back to the inputs, adding up gradients; returns d_x's panels.
const float* backward_tile(const Plan& plan, ThreadPlan& t, int64_t first, int points, int panels) {
  const Job& job = *plan.job;
  float *d = t.d[0], *next = t.d[1];
  const int last = plan.count - 1;
  if (BackwardBlock f = backward_of(plan.layers[last].layer->act))
    f(plan.layers[last].params, d, t.h[last], t.c[last], plan.layers[last].rows * PW * panels);
  for (int l = last; l >= 0; l--) {
    const LayerPlan& p = plan.layers[l];
    const float* h = l ? t.h[l - 1] : t.x;
    add_gradients(p, t, l, h, d, points, panels);
    if (job.traced) store_trace(plan, l, h, d, first, points);
    if (l == 0 && !job.d_x) break;
    Epilogue epilogue;
    if (l > 0) {
      epilogue.backward = backward_of(plan.layers[l - 1].layer->act);
      epilogue.params = plan.layers[l - 1].params;
      epilogue.h = t.h[l - 1];
      epilogue.c = t.c[l - 1];
    }
    if (p.tiled_t)
      multiply_tiles(p.k, p.packed_t, nullptr, d, p.rows, tiles_of_part(job.n), panels, next, t.scratch,
                     epilogue);
    else
      multiply(p.transposed, p.packed_t, nullptr, d, p.rows, part_of(p.k, job.n), panels, next, epilogue);
    float* swap = d;
    d = next;
    next = swap;
  }
  return d;
}

void tile(const Plan& plan, ThreadPlan& t, int64_t first, int points) {
  const Job& job = *plan.job;
  const int inputs = job.layers[0].fan_in, outputs = job.layers[plan.count - 1].fan_out;
  const int panels = (points + PW - 1) / PW;
  load_inputs(job, first, points, panels, t.x);
  const float* out = forward_tile(plan, t, panels);
  if (job.out_bits) return store_bits(out, first, points, job.threshold, job.out_bits);
  if (job.pass == Pass::forward) return store_panels(out, outputs, points, job.out + first * outputs);
  for (int l = 0; l < plan.count && points % PW; l++) {
    clear_padding(t.h[l], plan.layers[l].rows, points);
    if (t.c[l]) clear_padding(t.c[l], plan.layers[l].rows, points);
  }
  if (job.pass == Pass::mse)
    t.loss += residuals(plan, out, outputs, first, points, panels, t.d[0]);
  else if (job.pass == Pass::adjusted)
    t.loss += adjusted_residuals(plan, t, out, outputs, first, points, panels);
  else
    load_panels(job.d_out + first * outputs, outputs, points, panels, t.d[0]);
  const float* d_x = backward_tile(plan, t, first, points, panels);
  if (job.d_x) store_panels(d_x, inputs, points, job.d_x + first * inputs);
}

void pack_task(void* context, int thread) { pack(*static_cast<Plan*>(context), thread); }

// Thread t takes the offsets that begin in its share of the rows.
void adjusted_tiles(const Plan& plan, ThreadPlan& t, int64_t thread) {
  const Adjustment& a = *plan.job->adjustment;
  const int64_t n = plan.job->n, threads = plan.job->threads;
  const int64_t last = offset_start(a, n * (thread + 1) / threads, n);
  forget_largest(a, t.adjust);
  for (int64_t first = offset_start(a, n * thread / threads, n); first < last;) {
    const int64_t end = first + plan.tile, next = end < last ? offset_start(a, end, n) : last;
    tile(plan, t, first, static_cast<int>(next - first));
    first = next;
  }
}

// Thread t takes a contiguous run of tiles, so that results depend on the thread count alone.
void tiles_task(void* context, int thread) {
  const Plan& plan = *static_cast<Plan*>(context);
  const FlushDenormals flush;
  [[maybe_unused]] const TileUnit unit;
  ThreadPlan& t = plan.threads[thread];
  for (int l = 0; l < plan.count; l++) {
    const LayerPlan& p = plan.layers[l];
    if (t.d_matrix[l])
      __builtin_memset(t.d_matrix[l], 0, static_cast<size_t>(gradient_size(p.rows, p.k)) * 4);
    if (t.d_bias[l]) __builtin_memset(t.d_bias[l], 0, static_cast<size_t>(p.rows) * 4);
  }
  t.loss = 0;
  if (plan.job->adjustment) return adjusted_tiles(plan, t, thread);
  const int64_t n = plan.job->n, tiles = (n + plan.tile - 1) / plan.tile, threads = plan.job->threads;
  for (int64_t i = tiles * thread / threads; i < tiles * (thread + 1) / threads; i++) {
    const int64_t first = i * plan.tile;
    tile(plan, t, first, static_cast<int>(smaller(plan.tile, n - first)));
  }
}

void reduce_task(void* context, int thread) {
  const Plan& plan = *static_cast<Plan*>(context);
  const int64_t threads = plan.job->threads;
  for (int l = 0; l < plan.count; l++) {
    const int64_t rows = plan.layers[l].rows;
    reduce(plan, l, static_cast<int>(rows * thread / threads),
           static_cast<int>(rows * (thread + 1) / threads));
  }
}

double total_weight(const Job& job) {
  if (!job.sample_weight) return static_cast<double>(job.n);
  double s = 0;
  for (int64_t i = 0; i < job.n; i++) s += job.sample_weight[i];
  return s;
}

void run(Job& job) {
  job.threads = static_cast<int>(larger(1, smaller(job.threads, (job.n + PW - 1) / PW)));
  Cursor count{nullptr};
  lay_out(job, count);
  Workspace workspace;
  Cursor cursor{workspace.reserve(count.used)};
  Plan plan = lay_out(job, cursor);
  if (cursor.used != count.used) __builtin_trap();  // both passes must ask for the same memory
  const double weight =
      job.target || job.target_bits ? total_weight(job) * job.layers[plan.count - 1].fan_out : 0.0;
  plan.gradient_scale = weight > 0 ? static_cast<float>(2.0 / weight) : 0.0f;
  for (int l = 0; l < plan.count; l++) {
    if (plan.layers[l].expanded) expand(plan.layers[l]);
    pack_bias(plan.layers[l]);
    if (plan.layers[l].spread_bias)
      spread_bias(plan.layers[l].bias, plan.layers[l].rows, plan.layers[l].spread_bias);
    measure(plan.layers[l]);
  }
  if (job.adjustment) pack_vectors(*job.adjustment, plan.adjust);
  parallel(job.threads, pack_task, &plan);
  parallel(job.threads, tiles_task, &plan);
  if (job.pass == Pass::forward) return;
  if (plan.wants_weights) parallel(job.threads, reduce_task, &plan);
  for (int l = 0; l < plan.count; l++) {
    if (plan.layers[l].expanded && plan.layers[l].layer->d_w) fold_back(plan.layers[l]);
    reduce_bias(plan, l);
  }
  if (job.adjustment) reduce_largest(plan);
  double loss = 0;
  for (int t = 0; t < job.threads; t++) loss += plan.threads[t].loss;
  job.loss = weight > 0 ? loss / weight : 0.0;
}

// Independent multiply-adds, as many as hide the instruction's latency: what one thread can do at best.
int64_t fma_loop(int64_t iterations) {
  constexpr int chains = 12;
  V a[chains];
#pragma GCC unroll 12
  for (int i = 0; i < chains; i++) a[i] = set(1.0f + static_cast<float>(i));
  V x = set(0.999f), y = set(1e-3f);
  for (int64_t k = 0; k < iterations; k++) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; i++) a[i] = fma(a[i], x, y);
  }
  V total = {};
#pragma GCC unroll 12
  for (int i = 0; i < chains; i++) total += a[i];
  volatile float sink = sum(total);
  (void)sink;
  return iterations * chains * VL * 2;
}

}  // namespace

#define FASTSNF_TEXT(x) FASTSNF_TEXT_(x)
#define FASTSNF_TEXT_(x) #x
extern const Variant self;
const Variant self = {FASTSNF_TEXT(FASTSNF_VARIANT), VL, run, run_gram, fma_loop};

}  // namespace fastsnf::FASTSNF_VARIANT

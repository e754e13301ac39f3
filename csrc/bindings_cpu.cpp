// fastsnf._native: pointers and sizes in, nothing of torch. The caller (fastsnf/engines/native) owns every
// buffer and has checked its dtype, device and layout.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/threads.h"

namespace py = pybind11;
using namespace fastsnf;

namespace {

constexpr int kMostThreads = 1024;
constexpr int64_t kMostSize = 1 << 24;            // points of a block, inputs or outputs of its layers
constexpr int64_t kMostBytes = int64_t{1} << 50;  // of a result

// (fan_in, fan_out, complex_weights, act, omega, scale, w, b, d_w, d_b); pointers as integers, 0 for none.
using LayerTuple = std::tuple<int, int, bool, int, float, float, uintptr_t, uintptr_t, uintptr_t, uintptr_t>;

template <class T>
T* pointer(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

std::vector<Layer> read_layers(const std::vector<LayerTuple>& tuples) {
  require(!tuples.empty(), "expected at least one layer; got none");
  std::vector<Layer> layers;
  int units = 0;
  for (const auto& [fan_in, fan_out, complex_weights, act, omega, scale, w, b, d_w, d_b] : tuples) {
    require(fan_in > 0 && fan_out > 0, "expected positive layer sizes");
    require(layers.empty() || fan_in == units, "expected each layer's fan_in to be the fan_out before it");
    require(act >= 0 && act < kActs, "expected a known activation code");
    require(w != 0, "expected a weight pointer in every layer");
    require(b != 0 || d_b == 0, "expected no bias gradient where there is no bias");
    const bool pairs_in = !layers.empty() && layers.back().act == Act::gabor;
    require(complex_weights == pairs_in, "expected complex weights after a gabor layer and nowhere else");
    require(!complex_weights || act == static_cast<int>(Act::gabor) || act == static_cast<int>(Act::identity),
            "expected a complex layer to be gabor or the identity");
    units = fan_out;
    layers.push_back({fan_in, fan_out, complex_weights, static_cast<Act>(act), omega, scale,
                      pointer<const float>(w), pointer<const float>(b), pointer<float>(d_w),
                      pointer<float>(d_b)});
  }
  require(layers.back().act != Act::gabor, "expected the last layer not to be gabor");
  return layers;
}

Job new_job(Pass pass, const std::vector<Layer>& layers, int64_t n, int threads) {
  require(n >= 0, "expected the number of points to be 0 or more");
  require(threads >= 1 && threads <= kMostThreads, "expected 1 to 1024 threads");
  Job job = {};
  job.pass = pass;
  job.layers = layers.data();
  job.layer_count = static_cast<int>(layers.size());
  job.n = n;
  job.threads = threads;
  return job;
}

void forward(const std::string& variant, const std::vector<LayerTuple>& tuples, int64_t n, uintptr_t x,
             uintptr_t out, int threads) {
  const Variant& v = find_variant(variant);
  const std::vector<Layer> layers = read_layers(tuples);
  Job job = new_job(Pass::forward, layers, n, threads);
  require(n == 0 || (x && out), "expected pointers to the inputs and outputs");
  job.x = pointer<const float>(x);
  job.out = pointer<float>(out);
  const py::gil_scoped_release release;
  v.run(job);
}

// (tables, sizes, strides, index or 0, begin)
using GridTuple =
    std::tuple<std::vector<uintptr_t>, std::vector<int64_t>, std::vector<int64_t>, uintptr_t, int64_t>;

// Points of a grid, owning what they point at.
struct Grid {
  std::vector<const float*> tables;
  std::vector<int64_t> sizes, strides;
  GridPoints points;

  explicit Grid(const GridTuple& tuple, int axes, int64_t n) {
    const auto& [addresses, lengths, steps, index, begin] = tuple;
    const size_t count = static_cast<size_t>(axes);
    require(addresses.size() == count && lengths.size() == count && steps.size() == count,
            "expected a table, a size and a stride of every coordinate");
    int64_t most = 1;
    for (size_t c = 0; c < count; c++) {
      require(addresses[c] && lengths[c] > 0 && steps[c] > 0,
              "expected tables with positive sizes and strides");
      require(lengths[c] <= INT64_MAX / most, "expected a grid of less than 2^63 points");
      most *= lengths[c];
      tables.push_back(pointer<const float>(addresses[c]));
    }
    sizes = lengths;
    strides = steps;
    points = {tables.data(), sizes.data(), strides.data(), pointer<const int64_t>(index), begin};
    require(index || (begin >= 0 && begin <= most - n), "expected a range within the grid");
    uint64_t largest = 0;
    for (int64_t i = 0; index && i < n; i++)
      largest =
          std::max(largest, static_cast<uint64_t>(points.index[i]));  // a negative number is a large one
    require(n == 0 || !index || largest < static_cast<uint64_t>(most),
            "expected numbers of the grid's points");
  }
  Grid(const Grid&) = delete;
  Grid& operator=(const Grid&) = delete;
};

void forward_grid(const std::string& variant, const std::vector<LayerTuple>& tuples, int64_t n,
                  const GridTuple& grid, uintptr_t out, uintptr_t bits, float threshold, int threads) {
  const Variant& v = find_variant(variant);
  const std::vector<Layer> layers = read_layers(tuples);
  Job job = new_job(Pass::forward, layers, n, threads);
  require(n == 0 || (out != 0) != (bits != 0), "expected a pointer to the outputs or to their bits");
  require(bits == 0 || layers.back().fan_out == 1, "expected one output for bits");
  const Grid points(grid, layers[0].fan_in, n);
  job.grid = &points.points;
  job.out = pointer<float>(out);
  job.out_bits = pointer<uint8_t>(bits);
  job.threshold = threshold;
  const py::gil_scoped_release release;
  v.run(job);
}

double mse_grid(const std::string& variant, const std::vector<LayerTuple>& tuples, int64_t n,
                const GridTuple& grid, uintptr_t target, uintptr_t bits, uintptr_t sample_weight,
                int threads) {
  const Variant& v = find_variant(variant);
  const std::vector<Layer> layers = read_layers(tuples);
  Job job = new_job(Pass::mse, layers, n, threads);
  require(n == 0 || (target != 0) != (bits != 0), "expected a pointer to the targets or to their bits");
  require(bits == 0 || layers.back().fan_out == 1, "expected one output for bits");
  const Grid points(grid, layers[0].fan_in, n);
  job.grid = &points.points;
  job.target = pointer<const float>(target);
  job.target_bits = pointer<const uint8_t>(bits);
  job.sample_weight = pointer<const float>(sample_weight);
  const py::gil_scoped_release release;
  v.run(job);
  return job.loss;
}

void backward(const std::string& variant, const std::vector<LayerTuple>& tuples, int64_t n, uintptr_t x,
              uintptr_t d_out, uintptr_t d_x, int threads) {
  const Variant& v = find_variant(variant);
  const std::vector<Layer> layers = read_layers(tuples);
  Job job = new_job(Pass::backward, layers, n, threads);
  require(n == 0 || (x && d_out), "expected pointers to the inputs and the cotangent");
  job.x = pointer<const float>(x);
  job.d_out = pointer<const float>(d_out);
  job.d_x = pointer<float>(d_x);
  const py::gil_scoped_release release;
  v.run(job);
}

double mse(const std::string& variant, const std::vector<LayerTuple>& tuples, int64_t n, uintptr_t x,
           uintptr_t target, uintptr_t sample_weight, int threads) {
  const Variant& v = find_variant(variant);
  const std::vector<Layer> layers = read_layers(tuples);
  Job job = new_job(Pass::mse, layers, n, threads);
  require(n == 0 || (x && target), "expected pointers to the inputs and targets");
  job.x = pointer<const float>(x);
  job.target = pointer<const float>(target);
  job.sample_weight = pointer<const float>(sample_weight);
  const py::gil_scoped_release release;
  v.run(job);
  return job.loss;
}

// Whether slots ascend and lie in [0, most): what makes every group an index.
bool are_slots(const int64_t* slots, int64_t n, int64_t most) {
  int64_t before = -1, wrong = 0;
  for (int64_t i = 0; i < n; i++) {
    wrong |= slots[i] <= before;
    before = slots[i];
  }
  return !wrong && before < most;
}

double adjusted_mse(const std::string& variant, const std::vector<LayerTuple>& tuples, int64_t n, uintptr_t x,
                    uintptr_t target, uintptr_t sample_weight, int64_t groups, int64_t offsets,
                    uintptr_t slots, int64_t k, uintptr_t vectors, uintptr_t coefficients, uintptr_t largest,
                    int threads) {
  const Variant& v = find_variant(variant);
  const std::vector<Layer> layers = read_layers(tuples);
  Job job = new_job(Pass::adjusted, layers, n, threads);
  require(n == 0 || (x && target), "expected pointers to the inputs and targets");
  require(groups > 0 && groups <= kMostSize, "expected 1 to 2^24 groups");
  require(offsets > 0 && offsets <= kMostBytes / groups, "expected a positive number of offsets");
  require(k >= 0 && k <= kMostSize, "expected 0 to 2^24 vectors");
  require(k == 0 || (vectors && coefficients), "expected pointers to the vectors and coefficients");
  require(largest != 0, "expected a pointer to the rows of the largest residuals");
  require(n == 0 || slots || n == groups * offsets,
          "expected slots, or a point of every group at every offset");
  job.x = pointer<const float>(x);
  job.target = pointer<const float>(target);
  job.sample_weight = pointer<const float>(sample_weight);
  const Adjustment adjustment = {groups,
                                 offsets,
                                 pointer<const int64_t>(slots),
                                 k,
                                 pointer<const float>(vectors),
                                 pointer<const float>(coefficients),
                                 pointer<int64_t>(largest)};
  job.adjustment = &adjustment;
  const py::gil_scoped_release release;
  require(!slots || are_slots(adjustment.slots, n, groups * offsets),
          "expected ascending slots below groups times offsets");
  v.run(job);
  return job.loss;
}

void trace(const std::string& variant, const std::vector<LayerTuple>& tuples, int64_t n, uintptr_t x,
           uintptr_t d_out, const std::vector<std::pair<uintptr_t, uintptr_t>>& outputs, int threads) {
  const Variant& v = find_variant(variant);
  const std::vector<Layer> layers = read_layers(tuples);
  Job job = new_job(Pass::trace, layers, n, threads);
  require(n == 0 || (x && d_out), "expected pointers to the inputs and the cotangent");
  require(outputs.size() == layers.size(), "expected a pair of pointers for every layer");
  std::vector<Traced> traced;
  for (const auto& [inputs, cotangents] : outputs) {
    require(n == 0 || cotangents, "expected a pointer to the cotangents of every layer");
    traced.push_back({pointer<float>(inputs), pointer<float>(cotangents)});
  }
  for (const Layer& layer : layers)
    require(!layer.d_w && !layer.d_b, "expected no pointers to gradients in a trace");
  job.x = pointer<const float>(x);
  job.d_out = pointer<const float>(d_out);
  job.traced = traced.data();
  const py::gil_scoped_release release;
  v.run(job);
}

// (fan_in, fan_out, a is complex, d is complex, bias, a, d)
using GramTuple = std::tuple<int64_t, int64_t, bool, bool, bool, uintptr_t, uintptr_t>;

void gram(const std::string& variant, const std::vector<GramTuple>& tuples, int64_t blocks, int64_t n,
          uintptr_t out, int threads) {
  const Variant& v = find_variant(variant);
  require(!tuples.empty(), "expected at least one layer; got none");
  require(blocks > 0 && n > 0, "expected at least one block and one point");
  require(n <= kMostSize && blocks <= kMostBytes / 4 / (n * n), "expected a smaller result");
  require(threads >= 1 && threads <= kMostThreads, "expected 1 to 1024 threads");
  require(out != 0, "expected a pointer to the result");
  std::vector<GramLayer> layers;
  for (const auto& [fan_in, fan_out, a_complex, d_complex, bias, a, d] : tuples) {
    require(fan_in > 0 && fan_out > 0 && fan_in <= kMostSize && fan_out <= kMostSize,
            "expected layer sizes of 1 to 2^24");
    require(a && d, "expected pointers to the inputs and cotangents of every layer");
    layers.push_back(
        {fan_in, fan_out, a_complex, d_complex, bias, pointer<const float>(a), pointer<const float>(d)});
  }
  GramJob job = {layers.data(), static_cast<int>(layers.size()), blocks, n, threads, pointer<float>(out)};
  const py::gil_scoped_release release;
  v.gram(job);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct PeakContext {
  const Variant* variant;
  double seconds;
  std::vector<double> rates;
};

double fma_peak(const std::string& name, int threads, double seconds) {
  require(threads >= 1 && threads <= kMostThreads, "expected 1 to 1024 threads");
  PeakContext context = {&find_variant(name), seconds, std::vector<double>(static_cast<size_t>(threads))};
  const py::gil_scoped_release release;
  parallel(
      threads,
      [](void* c, int t) {
        auto& context = *static_cast<PeakContext*>(c);
        double flops = 0;
        const double start = now();
        double elapsed = 0;
        while (elapsed < context.seconds) {
          flops += static_cast<double>(context.variant->fma_loop(100000));
          elapsed = now() - start;
        }
        context.rates[static_cast<size_t>(t)] = flops / elapsed;
      },
      &context);
  double total = 0;
  for (double rate : context.rates) total += rate;
  return total;
}

struct CopyContext {
  std::vector<char>* from;
  std::vector<char>* to;
  int threads;
};

double copy_bandwidth(int threads, int64_t bytes, int repeats) {
  require(threads >= 1 && threads <= kMostThreads, "expected 1 to 1024 threads");
  require(bytes > 0 && repeats > 0, "expected positive sizes");
  std::vector<char> from(static_cast<size_t>(bytes), 1), to(static_cast<size_t>(bytes), 2);
  CopyContext context = {&from, &to, threads};
  const py::gil_scoped_release release;
  double best = 0;
  for (int i = 0; i < repeats; i++) {
    const double start = now();
    parallel(
        threads,
        [](void* c, int t) {
          auto& context = *static_cast<CopyContext*>(c);
          const size_t size = context.from->size(), n = static_cast<size_t>(context.threads),
                       i = static_cast<size_t>(t);
          const size_t first = size * i / n, last = size * (i + 1) / n;
          std::memcpy(context.to->data() + first, context.from->data() + first, last - first);
        },
        &context);
    const double rate = 2.0 * static_cast<double>(bytes) / (now() - start);
    best = rate > best ? rate : best;
  }
  return best;
}

std::vector<std::tuple<std::string, bool, int>> list_variants() {
  std::vector<std::tuple<std::string, bool, int>> rows;
  for (const VariantEntry& entry : variants())
    rows.emplace_back(entry.variant->name, entry.runs_here, entry.variant->lanes);
  return rows;
}

}  // namespace

PYBIND11_MODULE(_native, m) {
  m.doc() = "The CPU engine of fastsnf. Private: use fastsnf.ops.";
  m.def("variants", &list_variants, "(name, runs on this processor, lanes) of every build, widest first");
  m.def(
      "variant", [](const std::string& name) { return std::string(find_variant(name).name); },
      "The variant that a name, or FASTSNF_CPU for an empty one, stands for");
  m.def("forward", &forward, py::arg("variant"), py::arg("layers"), py::arg("n"), py::arg("x"),
        py::arg("out"), py::arg("threads"));
  m.def("backward", &backward, py::arg("variant"), py::arg("layers"), py::arg("n"), py::arg("x"),
        py::arg("d_out"), py::arg("d_x"), py::arg("threads"));
  m.def("mse", &mse, py::arg("variant"), py::arg("layers"), py::arg("n"), py::arg("x"), py::arg("target"),
        py::arg("sample_weight"), py::arg("threads"));
  m.def("forward_grid", &forward_grid, py::arg("variant"), py::arg("layers"), py::arg("n"), py::arg("grid"),
        py::arg("out"), py::arg("bits"), py::arg("threshold"), py::arg("threads"));
  m.def("mse_grid", &mse_grid, py::arg("variant"), py::arg("layers"), py::arg("n"), py::arg("grid"),
        py::arg("target"), py::arg("bits"), py::arg("sample_weight"), py::arg("threads"));
  m.def("adjusted_mse", &adjusted_mse, py::arg("variant"), py::arg("layers"), py::arg("n"), py::arg("x"),
        py::arg("target"), py::arg("sample_weight"), py::arg("groups"), py::arg("offsets"), py::arg("slots"),
        py::arg("k"), py::arg("vectors"), py::arg("coefficients"), py::arg("largest"), py::arg("threads"));
  m.def("trace", &trace, py::arg("variant"), py::arg("layers"), py::arg("n"), py::arg("x"), py::arg("d_out"),
        py::arg("outputs"), py::arg("threads"));
  m.def("gram", &gram, py::arg("variant"), py::arg("layers"), py::arg("blocks"), py::arg("n"), py::arg("out"),
        py::arg("threads"));
  m.def("own_threads", &own_threads,
        "take no OpenMP threads from now on; before the first call of a forked child");
  m.def("fma_peak", &fma_peak, py::arg("variant"), py::arg("threads"), py::arg("seconds"),
        "FLOP/s of multiply-add loops on `threads` threads at once");
  m.def("copy_bandwidth", &copy_bandwidth, py::arg("threads"), py::arg("bytes"), py::arg("repeats"),
        "Bytes read and written a second by the best of `repeats` copies");
}

// fastsnf._cuda: pointers, sizes and a stream in, nothing of torch. The caller (fastsnf/engines/cuda.py) owns
// every buffer, has checked its dtype and device and made that device the current one, and keeps the buffer until
// the stream is done with it.
#include <cuda_runtime.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/eigh_small.h"
#include "cuda/gram.h"

namespace py = pybind11;
using namespace fastsnf::cuda;

namespace {

constexpr int64_t kMostLayers = 4096, kMostPoints = 65536, kMostWidth = 1 << 24;
constexpr int64_t kMostStride = int64_t{1} << 44;  // in floats; times the most batches it is still an int64

// (address, width, batch_stride, row_stride, is_complex), strides counted in the operand's own numbers.
using OperandTuple = std::tuple<uintptr_t, int64_t, int64_t, int64_t, bool>;
using LayerTuple = std::tuple<OperandTuple, OperandTuple, bool>;  // A, D, has_bias

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument(message);
}

void succeed(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that is not sticky does not come back at the next call
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorName(status) + ": " +
                           cudaGetErrorString(status));
}

// Makes this module's own runtime agree with the caller's, whose current device `device` is.
void use_device(int device) { succeed(cudaSetDevice(device), "choosing the CUDA device"); }

Operand read_operand(const OperandTuple& tuple, const std::string& name) {
  const auto& [address, width, batch_stride, row_stride, is_complex] = tuple;
  const int floats = is_complex ? 2 : 1;
  require(address != 0, "expected a pointer to " + name);
  require(address % (4 * static_cast<uintptr_t>(floats)) == 0, "expected " + name + " aligned to its type");
  require(width >= 1 && width <= kMostWidth, "expected 1 to 16777216 units in " + name);
  require(batch_stride >= 0 && batch_stride <= kMostStride && row_stride >= 0 && row_stride <= kMostStride,
          "expected strides of " + name + " of 0 or more, within an address space");
  Operand operand = {reinterpret_cast<const float*>(address), floats * batch_stride, floats * row_stride,
                     static_cast<int32_t>(floats * width), 0};
  operand.in_quads = address % 16 == 0 && operand.width % 4 == 0 && operand.row_stride % 4 == 0 &&
                     operand.batch_stride % 4 == 0;
  return operand;
}

// Layers as the kernel's terms: a complex layer on complex inputs is two, see gram.h.
std::vector<Term> read_terms(const std::vector<LayerTuple>& layers) {
  require(!layers.empty() && layers.size() <= kMostLayers, "expected 1 to 4096 layers");
  std::vector<Term> terms;
  for (const auto& [inputs, cotangents, has_bias] : layers) {
    const Operand a = read_operand(inputs, "inputs"), d = read_operand(cotangents, "cotangents");
    terms.push_back({a, d, has_bias ? 1.0f : 0.0f, 1.0f, 0});
    if (std::get<4>(inputs) && std::get<4>(cotangents)) terms.push_back({a, d, 0.0f, -1.0f, 1});
  }
  return terms;
}

void run_gram(uintptr_t out, int64_t batch, int64_t n, const std::vector<LayerTuple>& layers, int device,
              uintptr_t stream) {
  require(out != 0 && out % 16 == 0, "expected a pointer to the output, aligned to 16 bytes");
  require(n >= 1 && n <= kMostPoints, "expected 1 to 65536 points; got " + std::to_string(n));
  require(batch >= 1 && batch <= kMostBlocks && most_blocks(batch, n) <= kMostBlocks,
          "expected a batch of 1 or more that a grid of thread blocks holds; got " + std::to_string(batch));
  require(device >= 0, "expected a device of 0 or more");
  const std::vector<Term> terms = read_terms(layers);
  const py::gil_scoped_release release;
  use_device(device);
  succeed(gram(terms, reinterpret_cast<float*>(out), batch, static_cast<int32_t>(n),
               reinterpret_cast<cudaStream_t>(stream)),
          "launching gram");
}

void run_eigh_small(uintptr_t matrix, uintptr_t values, uintptr_t vectors, int64_t batch, int64_t m,
                    int device, uintptr_t stream) {
  require(matrix != 0 && values != 0 && vectors != 0, "expected pointers to matrix, values and vectors");
  require((matrix | values | vectors) % 4 == 0, "expected pointers aligned to float32");
  require(m >= 1 && m <= kMostSide, "expected matrices of 1 to 64 rows; got " + std::to_string(m));
  require(batch >= 1 && batch <= kMostBlocks,
          "expected a batch of 1 or more that a grid of thread blocks holds; got " + std::to_string(batch));
  require(device >= 0, "expected a device of 0 or more");
  const py::gil_scoped_release release;
  use_device(device);
  succeed(eigh_small(reinterpret_cast<const float*>(matrix), reinterpret_cast<float*>(values),
                     reinterpret_cast<float*>(vectors), batch, static_cast<int32_t>(m),
                     reinterpret_cast<cudaStream_t>(stream)),
          "launching eigh_small");
}

}  // namespace

PYBIND11_MODULE(_cuda, m) {
  m.doc() = "CUDA kernels of fastsnf; use it through fastsnf.ops and fastsnf.ntk.";
  m.attr("ARCHITECTURES") = FASTSNF_CUDA_ARCHITECTURES;
  m.attr("TOOLKIT") =
      std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10);
  m.attr("MOST_SIDE") = kMostSide;
  m.def("gram", &run_gram, py::arg("out"), py::arg("batch"), py::arg("n"), py::arg("layers"),
        py::arg("device"), py::arg("stream"),
        "Launch [B, n, n] = sum of layers; a layer is (A, D, has_bias), an operand (address, width, "
        "batch_stride, row_stride, is_complex).");
  m.def("eigh_small", &run_eigh_small, py::arg("matrix"), py::arg("values"), py::arg("vectors"),
        py::arg("batch"), py::arg("m"), py::arg("device"), py::arg("stream"),
        "Launch the eigen-decomposition of [B, m, m], m <= MOST_SIDE.");
}

// The part of the CUDA runtime that csrc/cuda uses, on a CPU: g++ with this folder on its include path compiles
// the kernels as plain C++. A block's threads are fibers; __syncthreads returns to the scheduler, which resumes
// the others before any goes on. Between two barriers the threads run one after another, first to last or, with
// FASTSNF_EMULATED_ORDER=reverse, last to first: a race shows as a difference between both orders.
#pragma once

#include <math.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define CUDART_VERSION 13000
#define __global__
#define __host__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInvalidDevice = 101,
  cudaErrorLaunchFailure = 719
};
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16 };
using cudaStream_t = struct EmulatedStream*;

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {

struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(256 * 1024);
  bool done = false;
};

inline ucontext_t scheduler;
inline std::vector<std::unique_ptr<Fiber>> fibers;
inline unsigned running = 0;
inline const std::function<void()>* body = nullptr;

inline void enter() {
  (*body)();
  fibers[running]->done = true;
}

// Runs one block to its end; false where some threads left while others wait at a barrier.
inline bool run_block(unsigned threads, bool reverse) {
  while (fibers.size() < threads) fibers.push_back(std::make_unique<Fiber>());
  for (unsigned t = 0; t < threads; t++) {
    Fiber& fiber = *fibers[t];
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, enter, 0);
  }
  for (;;) {
    unsigned done = 0;
    for (unsigned i = 0; i < threads; i++) {
      running = reverse ? threads - 1 - i : i;
      threadIdx = dim3(running, 0, 0);
      swapcontext(&scheduler, &fibers[running]->context);
      done += fibers[running]->done;
    }
    if (done == threads) return true;
    if (done) return false;
  }
}

inline const char* setting(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

}  // namespace emulated

inline void __syncthreads() {
  swapcontext(&emulated::fibers[emulated::running]->context, &emulated::scheduler);
}

template <class... Expected, class... Given>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Expected...),
                               Given&&... arguments) {
  if (config->gridDim.x == 0 || config->blockDim.x == 0 || config->blockDim.x > 1024)
    return cudaErrorInvalidConfiguration;
  const std::function<void()> body = [&] { kernel(arguments...); };
  emulated::body = &body;
  const bool reverse = !std::strcmp(emulated::setting("FASTSNF_EMULATED_ORDER", ""), "reverse");
  gridDim = config->gridDim;
  blockDim = config->blockDim;
  for (unsigned block = 0; block < config->gridDim.x; block++) {
    blockIdx = dim3(block, 0, 0);
    if (!emulated::run_block(config->blockDim.x, reverse)) return cudaErrorLaunchFailure;
  }
  return cudaSuccess;
}

inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorName(cudaError_t) { return "emulated error"; }
inline const char* cudaGetErrorString(cudaError_t status) {
  return status == cudaErrorLaunchFailure ? "threads left while others waited at a barrier" : "refused";
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = std::atoi(emulated::setting("FASTSNF_EMULATED_PROCESSORS", "132"));
  return cudaSuccess;
}

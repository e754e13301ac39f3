// Launching a kernel through the runtime's C++ interface, without the <<<>>> syntax: g++ then compiles the same
// sources for the emulator of tests/engines/cuda.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fastsnf::cuda {

// Blocks in one dimension, threads in one dimension, static shared memory only.
template <class... Expected, class... Given>
cudaError_t launch(void (*kernel)(Expected...), int64_t blocks, int threads, cudaStream_t stream,
                   Given&&... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

// The streaming multiprocessors of the current device.
inline cudaError_t processors(int* count) {
  int device = 0;
  if (const cudaError_t status = cudaGetDevice(&device); status != cudaSuccess) return status;
  return cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device);
}

}  // namespace fastsnf::cuda

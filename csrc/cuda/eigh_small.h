// Eigen-decomposition of many small symmetric matrices, [B, m, m] float32, m <= kMostSide.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fastsnf::cuda {

constexpr int kMostSide = 64;

// values [B, m] ascending, vectors [B, m, m] in columns, orthonormal; NaN throughout for a matrix that is not
// finite. Where a matrix is not symmetric, its symmetric part is taken.
cudaError_t eigh_small(const float* matrix, float* values, float* vectors, int64_t batch, int32_t m,
                       cudaStream_t stream);

}  // namespace fastsnf::cuda

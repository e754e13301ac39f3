// Blocks of the empirical NTK: K = sum_l Re[(A_l A_l^H + bias_l) o (D_l D_l^H)], [B, n, n] float32.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

namespace fastsnf::cuda {

// One operand [B, n, width] of floats; a complex one counts every number as two, real part first.
struct Operand {
  const float* data;
  int64_t batch_stride, row_stride;  // in floats
  int32_t width;
  int32_t in_quads;  // width, strides and address let four floats be read at once
};

// K += sign * (A A^T + bias) o (D D^T). A complex layer is two terms: with a . b the product of two rows of
// floats and i b the row times the imaginary unit, Re(A A^H) = a . a', Im(A A^H) = a . (i a'), so that
// Re[(A A^H + bias) o (D D^H)] = (a . a' + bias) (d . d') - (a . i a') (d . i d'). The second is `turned`.
struct Term {
  Operand a, d;
  float bias, sign;
  int32_t turned;
};

constexpr int kMostTerms = 32;  // of a launch; further ones add to what the first launch has stored

struct GramTerms {
  Term terms[kMostTerms];
  int32_t count;
};

struct GramShape {
  float* out;     // [B, n, n]
  int32_t n;      // points in a block
  int32_t tiles;  // tiles along a side of a block
  bool adds;      // to what is in `out`
};

constexpr int64_t kMostBlocks = 2147483647;  // of a grid, along its first dimension

// Tiles of the smaller size that a call has, batch included: what `gram` needs to be at most kMostBlocks.
int64_t most_blocks(int64_t batch, int64_t n);

cudaError_t gram(const std::vector<Term>& terms, float* out, int64_t batch, int32_t n, cudaStream_t stream);

}  // namespace fastsnf::cuda

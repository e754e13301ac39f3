// Chooses the tile of `gram` and launches it, once for every kMostTerms terms.
#include <algorithm>

#include "gram.h"
#include "gram_tile.cuh"
#include "launch.cuh"

namespace fastsnf::cuda {

namespace {

template <class S>
int64_t tiles_of(int64_t n) {
  return (n + S::Tile - 1) / S::Tile;
}

template <class S>
int64_t blocks_of(int64_t batch, int64_t n) {
  return batch * (tiles_of<S>(n) * (tiles_of<S>(n) + 1) / 2);
}

template <class S>
cudaError_t run(const GramTerms& terms, GramShape shape, int64_t batch, cudaStream_t stream) {
  shape.tiles = static_cast<int32_t>(tiles_of<S>(shape.n));
  return launch(gram_kernel<S>, blocks_of<S>(batch, shape.n), S::Threads, stream, terms, shape);
}

}  // namespace

int64_t most_blocks(int64_t batch, int64_t n) { return blocks_of<SmallTile>(batch, n); }

cudaError_t gram(const std::vector<Term>& terms, float* out, int64_t batch, int32_t n, cudaStream_t stream) {
  int multiprocessors = 0;
  if (const cudaError_t status = processors(&multiprocessors); status != cudaSuccess) return status;
  // A large tile has twice the work a byte of shared memory, but two a multiprocessor are needed to hide reads.
  const bool large = blocks_of<LargeTile>(batch, n) >= 2 * static_cast<int64_t>(multiprocessors);
  for (size_t begin = 0; begin < terms.size(); begin += kMostTerms) {
    GramTerms some = {};
    some.count = static_cast<int32_t>(std::min(terms.size() - begin, static_cast<size_t>(kMostTerms)));
    std::copy_n(terms.begin() + static_cast<int64_t>(begin), some.count, some.terms);
    const GramShape shape = {out, n, 0, begin > 0};
    const cudaError_t status =
        large ? run<LargeTile>(some, shape, batch, stream) : run<SmallTile>(some, shape, batch, stream);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

}  // namespace fastsnf::cuda

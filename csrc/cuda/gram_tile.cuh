// The kernel of `gram`: one block of threads computes one tile of the upper triangle of one K, all terms of it
// on the chip, and stores it and its mirror image.
//
// Both products are sums of float32 FMAs over the width, cut in chunks of k. A chunk of both operands' rows is
// read into registers while the one before it is multiplied, then stored transposed, k-major, into the other of
// two buffers of shared memory. The chunks of all products of all terms are one sequence, so that the reads of
// the next product begin under the end of the last.
//
// Long sums are cut in parts of kPart, which keeps their rounding errors near those of a blocked matrix product:
// parts of A A^T are added up in shared memory, and each part of D D^T is multiplied with that sum at once and
// added to the sum over terms, in shared memory too: neither is touched often, and registers are for the FMAs.
#pragma once

#include "gram.h"

namespace fastsnf::cuda {

constexpr int kPart = 64;  // products that are added one after another

template <int Count>
struct alignas(4 * Count) Floats {
  float at[Count];
};

template <int Count>
__device__ __forceinline__ Floats<Count> read(const float* from) {
  return *reinterpret_cast<const Floats<Count>*>(from);
}

template <int Count>
__device__ __forceinline__ void write(float* to, const Floats<Count>& values) {
  *reinterpret_cast<Floats<Count>*>(to) = values;
}

// The geometry: a warp is 4 rows by 8 columns of threads, a thread has `Rows` rows, in fours, by `Columns`
// columns of the tile, in groups of `Group`.
template <int Tile_, int Rows_, int Columns_, int Chunk_, int Resident_>
struct Shape {
  static constexpr int Tile = Tile_, Rows = Rows_, Columns = Columns_, Chunk = Chunk_;
  static constexpr int Resident = Resident_;  // blocks of threads on a multiprocessor
  static constexpr int Group = Columns < 4 ? Columns : 4;
  static constexpr int Threads = (Tile / Rows) * (Tile / Columns);
  static constexpr int Quads = Chunk / 4;  // of a row in a chunk
  static constexpr int RowsAtOnce = Threads / Quads;
  static constexpr int Reads = Tile / RowsAtOnce;  // quads that a thread reads of an operand's chunk
  static constexpr int WarpRows = 4 * Rows, WarpColumns = 8 * Columns;
  // Rows of the four k of quad q lie where `row ^ q * Swizzle` says: the 32 threads of a warp, which hold
  // 32 / Quads rows by Quads quads, then store to 32 banks.
  static constexpr int Swizzle = 32 / Quads;
  // Where row r and column c of a thread lie, from its first ones on: a warp reads neighbouring fours together.
  __host__ __device__ static constexpr int row(int r) { return r % 4 + r / 4 * 16; }
  __host__ __device__ static constexpr int column(int c) { return c % Group + c / Group * 8 * Group; }
  static_assert(Columns % Group == 0 && Rows % 4 == 0 && Tile % WarpRows == 0 && Tile % WarpColumns == 0 &&
                Tile % RowsAtOnce == 0);
  static_assert(Swizzle % 4 == 0 && Tile % 32 == 0);
};

using LargeTile =
    Shape<64, 8, 8, 16, 4>;  // 64 FMAs for 4 reads of shared memory; as many registers as there are
using SmallTile = Shape<32, 4, 2, 32, 3>;  // for few points: four times as many blocks of threads

// Where a chunk begins: product 0 is A A^T, 1 is D D^T.
struct Chunk {
  int term, product, k;

  __device__ const Operand& operand(const GramTerms& terms) const {
    return product ? terms.terms[term].d : terms.terms[term].a;
  }

  __device__ bool is_last(const GramTerms& terms, int length) const {
    return k + length >= operand(terms).width;
  }

  __device__ Chunk next(const GramTerms& terms, int length) const {
    if (!is_last(terms, length)) return {term, product, k + length};
    return product ? Chunk{term + 1, 0, 0} : Chunk{term, 1, 0};
  }
};

// Reads this thread's quads of rows [first, first + Tile) at `k`; what lies beyond n or the width is 0.
template <class S>
__device__ __forceinline__ void fetch(const Operand& from, int64_t batch, int first, int n, int k,
                                      Floats<4> (&quads)[S::Reads]) {
  k += static_cast<int>(threadIdx.x) % S::Quads * 4;
  first += static_cast<int>(threadIdx.x) / S::Quads;
  const float* place = from.data + batch * from.batch_stride + first * from.row_stride + k;
  const int64_t step = S::RowsAtOnce * from.row_stride;
  if (from.in_quads) {
    const int rows = k < from.width ? n - first : 0;
#pragma unroll
    for (int i = 0; i < S::Reads; i++) {
      quads[i] = {0.0f, 0.0f, 0.0f, 0.0f};
      if (i * S::RowsAtOnce < rows) quads[i] = read<4>(place + i * step);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < S::Reads; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const bool there = i * S::RowsAtOnce < n - first && k + j < from.width;
      quads[i].at[j] = there ? place[i * step + j] : 0.0f;
    }
}

// Multiplies complex numbers by the imaginary unit.
template <int Count>
__device__ __forceinline__ void turn(Floats<4> (&quads)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; i++) {
    const Floats<4> was = quads[i];
    quads[i] = {-was.at[1], was.at[0], -was.at[3], was.at[2]};
  }
}

// Stores quads transposed: element (k, row) of a chunk.
template <class S>
__device__ __forceinline__ void stage(float* chunk, const Floats<4> (&quads)[S::Reads]) {
  const int quad = static_cast<int>(threadIdx.x) % S::Quads;
#pragma unroll
  for (int i = 0; i < S::Reads; i++) {
    const int row = static_cast<int>(threadIdx.x) / S::Quads + i * S::RowsAtOnce;
#pragma unroll
    for (int j = 0; j < 4; j++)
      chunk[(4 * quad + j) * S::Tile + (row ^ (quad * S::Swizzle))] = quads[i].at[j];
  }
}

// sum[r][c] += rows[k][row + row(r)] * columns[k][column + column(c)] over a chunk.
template <class S>
__device__ __forceinline__ void multiply(const float* rows, const float* columns, int row, int column,
                                         float (&sum)[S::Rows][S::Columns]) {
#pragma unroll
  for (int k = 0; k < S::Chunk; k++) {
    const int swizzle = k / 4 * S::Swizzle;
    float left[S::Rows], right[S::Columns];
#pragma unroll
    for (int g = 0; g < S::Rows; g += 4) {
      const Floats<4> four = read<4>(rows + k * S::Tile + ((row + S::row(g)) ^ swizzle));
#pragma unroll
      for (int r = 0; r < 4; r++) left[g + r] = four.at[r];
    }
#pragma unroll
    for (int g = 0; g < S::Columns; g += S::Group) {
      const Floats<S::Group> group =
          read<S::Group>(columns + k * S::Tile + ((column + S::column(g)) ^ swizzle));
#pragma unroll
      for (int c = 0; c < S::Group; c++) right[g + c] = group.at[c];
    }
#pragma unroll
    for (int r = 0; r < S::Rows; r++)
#pragma unroll
      for (int c = 0; c < S::Columns; c++) sum[r][c] = fmaf(left[r], right[c], sum[r][c]);
  }
}

// The tile (i, j), i <= j, of number t: column by column of the upper triangle.
__device__ inline void place_of(int t, int& i, int& j) {
  j = static_cast<int>((sqrtf(8.0f * static_cast<float>(t) + 1.0f) - 1.0f) * 0.5f);
  while (j * (j + 1) / 2 > t) j--;
  while ((j + 1) * (j + 2) / 2 <= t) j++;
  i = t - j * (j + 1) / 2;
}

// This thread's entries (r, g) to (r, g + Group) of a tile in shared memory, neighbouring threads side by side.
template <class S>
__device__ __forceinline__ float* entries(float* tile, int r, int g) {
  return tile + (r * S::Columns + g) * S::Threads + static_cast<int>(threadIdx.x) * S::Group;
}

// What a launch begins with: what the one before it has stored, or 0.
template <class S>
__device__ __forceinline__ void begin(const float* out, bool adds, int n, int row, int column, float* total) {
#pragma unroll
  for (int r = 0; r < S::Rows; r++)
#pragma unroll
    for (int c = 0; c < S::Columns; c++) {
      const int i = row + S::row(r), j = column + S::column(c);
      const bool there = adds && i < n && j < n;
      entries<S>(total, r, c / S::Group * S::Group)[c % S::Group] =
          there ? out[static_cast<int64_t>(i) * n + j] : 0.0f;
    }
}

// The end of a part of A A^T: adds it to `first`, which it sets to the bias before where it is the first part.
template <class S>
__device__ __forceinline__ void keep(float bias, bool begins, const float (&part)[S::Rows][S::Columns],
                                     float* first) {
#pragma unroll
  for (int r = 0; r < S::Rows; r++)
#pragma unroll
    for (int g = 0; g < S::Columns; g += S::Group) {
      Floats<S::Group> sum = read<S::Group>(entries<S>(first, r, g));
#pragma unroll
      for (int c = 0; c < S::Group; c++) sum.at[c] = (begins ? bias : sum.at[c]) + part[r][g + c];
      write<S::Group>(entries<S>(first, r, g), sum);
    }
}

// The end of a part of D D^T: adds its product with `first`.
template <class S>
__device__ __forceinline__ void add(float sign, float* first, const float (&part)[S::Rows][S::Columns],
                                    float* total) {
#pragma unroll
  for (int r = 0; r < S::Rows; r++)
#pragma unroll
    for (int g = 0; g < S::Columns; g += S::Group) {
      const Floats<S::Group> left = read<S::Group>(entries<S>(first, r, g));
      Floats<S::Group> sum = read<S::Group>(entries<S>(total, r, g));
#pragma unroll
      for (int c = 0; c < S::Group; c++) sum.at[c] = fmaf(sign * left.at[c], part[r][g + c], sum.at[c]);
      write<S::Group>(entries<S>(total, r, g), sum);
    }
}

// Takes this thread's entries of a tile.
template <class S>
__device__ __forceinline__ void take(float* tile, float (&values)[S::Rows][S::Columns]) {
#pragma unroll
  for (int r = 0; r < S::Rows; r++)
#pragma unroll
    for (int g = 0; g < S::Columns; g += S::Group) {
      const Floats<S::Group> group = read<S::Group>(entries<S>(tile, r, g));
#pragma unroll
      for (int c = 0; c < S::Group; c++) values[r][g + c] = group.at[c];
    }
}

template <class S>
__device__ __forceinline__ void clear(float (&values)[S::Rows][S::Columns]) {
#pragma unroll
  for (int r = 0; r < S::Rows; r++)
#pragma unroll
    for (int c = 0; c < S::Columns; c++) values[r][c] = 0.0f;
}

// Stores i <= j and its mirror image; the rest of a tile on the diagonal belongs to another thread.
template <class S>
__device__ __forceinline__ void finish(float* out, int n, int row, int column,
                                       const float (&total)[S::Rows][S::Columns]) {
#pragma unroll
  for (int r = 0; r < S::Rows; r++)
#pragma unroll
    for (int c = 0; c < S::Columns; c++) {
      const int i = row + S::row(r), j = column + S::column(c);
      if (i > j || j >= n) continue;
      out[static_cast<int64_t>(i) * n + j] = total[r][c];
      out[static_cast<int64_t>(j) * n + i] = total[r][c];
    }
}

// The same for a tile off the diagonal that lies within n, n being a multiple of 4 and `out` aligned for it.
template <class S>
__device__ __forceinline__ void finish_inside(float* out, int n, int row, int column,
                                              const float (&total)[S::Rows][S::Columns]) {
#pragma unroll
  for (int g = 0; g < S::Columns; g += S::Group) {
#pragma unroll
    for (int r = 0; r < S::Rows; r++) {
      Floats<S::Group> along;
#pragma unroll
      for (int c = 0; c < S::Group; c++) along.at[c] = total[r][g + c];
      write<S::Group>(out + static_cast<int64_t>(row + S::row(r)) * n + column + S::column(g), along);
    }
  }
#pragma unroll
  for (int c = 0; c < S::Columns; c++)
#pragma unroll
    for (int g = 0; g < S::Rows; g += 4)
      write<4>(out + static_cast<int64_t>(column + S::column(c)) * n + row + S::row(g),
               {total[g][c], total[g + 1][c], total[g + 2][c], total[g + 3][c]});
}

template <class S>
__global__ void __launch_bounds__(S::Threads, S::Resident)
    gram_kernel(const __grid_constant__ GramTerms terms, const __grid_constant__ GramShape shape) {
  alignas(16) __shared__ float rows[2][S::Chunk * S::Tile], columns[2][S::Chunk * S::Tile];
  alignas(16) __shared__ float first[S::Tile * S::Tile], total[S::Tile * S::Tile];
  const int n = shape.n;
  const int count = shape.tiles * (shape.tiles + 1) / 2;
  const int64_t batch = blockIdx.x / static_cast<unsigned>(count);
  int tile_i, tile_j;
  place_of(static_cast<int>(blockIdx.x % static_cast<unsigned>(count)), tile_i, tile_j);

  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  constexpr int Across = S::Tile / S::WarpColumns;
  const int row = warp / Across * S::WarpRows + lane / 8 * 4;
  const int column = warp % Across * S::WarpColumns + lane % 8 * S::Group;
  float* const out = shape.out + batch * n * n;

  float part[S::Rows][S::Columns];
  clear<S>(part);
  begin<S>(out, shape.adds, n, tile_i * S::Tile + row, tile_j * S::Tile + column, total);

  Floats<4> left[S::Reads], right[S::Reads];
  Chunk chunk = {0, 0, 0};
  fetch<S>(chunk.operand(terms), batch, tile_i * S::Tile, n, 0, left);
  fetch<S>(chunk.operand(terms), batch, tile_j * S::Tile, n, 0, right);
  if (terms.terms[0].turned) turn(right);
  stage<S>(rows[0], left);
  stage<S>(columns[0], right);
  __syncthreads();

  for (int buffer = 0;; buffer ^= 1) {
    const Chunk next = chunk.next(terms, S::Chunk);
    const bool more = next.term < terms.count;
    if (more) {
      const Operand& from = next.operand(terms);
      fetch<S>(from, batch, tile_i * S::Tile, n, next.k, left);
      fetch<S>(from, batch, tile_j * S::Tile, n, next.k, right);
    }
    multiply<S>(rows[buffer], columns[buffer], row, column, part);
    if (chunk.is_last(terms, S::Chunk) || (chunk.k + S::Chunk) % kPart == 0) {
      const Term& term = terms.terms[chunk.term];
      if (chunk.product)
        add<S>(term.sign, first, part, total);
      else
        keep<S>(term.bias, chunk.k < kPart, part, first);
      clear<S>(part);
    }
    if (!more) break;
    if (terms.terms[next.term].turned) turn(right);
    stage<S>(rows[buffer ^ 1], left);
    stage<S>(columns[buffer ^ 1], right);
    __syncthreads();
    chunk = next;
  }

  take<S>(total, part);
  const int i = tile_i * S::Tile, j = tile_j * S::Tile;
  if (i != j && j + S::Tile <= n && n % 4 == 0)
    finish_inside<S>(out, n, i + row, j + column, part);
  else
    finish<S>(out, n, i + row, j + column, part);
}

}  // namespace fastsnf::cuda

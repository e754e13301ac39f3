// Parallel cyclic Jacobi in shared memory, one matrix a block of threads: Golub and Van Loan, Matrix
// Computations, 4th edition, section 8.5.5 (the round-robin order) and 8.5.2 (the rotation). Everything runs in
// an order that the sizes fix, so that equal input gives equal bits.
#include <cmath>

#include "eigh_small.h"
#include "launch.cuh"

namespace fastsnf::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kStride = kMostSide + 1;  // of the rows in shared memory: columns then spread over the banks
constexpr int kMostPairs = kMostSide / 2;

// Each sweep squares what is off the diagonal once it is small; 6 to 9 serve a matrix of 64.
constexpr int kMostSweeps = 20;

// Where to stop: the sum of squares off the diagonal against that of all entries, (2^-25)^2. The eigenvalues are
// then as near as rounding lets them be.
constexpr float kTolerance = 8.881784197001252e-16f;

// What a round does to the pair (p, q) of rows and columns; q is m, nobody, where p has no partner.
struct Rotation {
  int p, q;
  float sine, half_tangent, tangent;  // of the angle, of half of it, of the angle
};

struct Shared {
  float matrix[kMostSide * kStride], vectors[kMostSide * kStride];
  Rotation rotations[kMostPairs];
  float sums[2][kThreads];
};

// The rotation number `pair` of a round among `players`, an even number: the last one stays, the others move one
// chair a round, and each meets each once in players - 1 rounds. It makes the entry (p, q) zero, and is the
// identity where that is zero already or q is nobody.
__device__ inline Rotation rotation_of(const float* matrix, int round, int pair, int players, int m) {
  const int moving = players - 1;
  const int a = pair == 0 ? moving : (round + pair) % moving;
  const int b = (round + moving - pair) % moving;
  const int p = a < b ? a : b, q = a < b ? b : a;
  const float off = q < m ? matrix[p * kStride + q] : 0.0f;
  if (off == 0.0f) return {p, q, 0.0f, 0.0f, 0.0f};
  const float theta = (matrix[q * kStride + q] - matrix[p * kStride + p]) / (2.0f * off);
  // theta * theta may overflow, which makes the tangent 0: it is far below rounding there
  const float tangent = copysignf(1.0f, theta) / (fabsf(theta) + sqrtf(fmaf(theta, theta, 1.0f)));
  const float cosine = 1.0f / sqrtf(fmaf(tangent, tangent, 1.0f)), sine = tangent * cosine;
  return {p, q, sine, sine / (1.0f + cosine), tangent};
}

// (x, y) times (cosine, -sine; sine, cosine), as what it changes: a small angle's cosine, rounded, would stretch
// every vector a little at each of some hundred rotations (Rutishauser 1966, The Jacobi method for real symmetric
// matrices).
__device__ inline void rotate(float& x, float& y, const Rotation& by) {
  const float was = x;
  x = fmaf(-by.sine, fmaf(by.half_tangent, was, y), was);
  y = fmaf(by.sine, fmaf(-by.half_tangent, y, was), y);
}

// Block (pairs a, b) of J^T M J, the four entries (p_a, q_a) x (p_b, q_b), and its mirror image. No other block
// of the round reads or writes them.
__device__ inline void rotate_block(Shared& s, int a, int b, int m) {
  const Rotation of_a = s.rotations[a], of_b = s.rotations[b];
  const bool has_a = of_a.q < m, has_b = of_b.q < m;
  float* const matrix = s.matrix;
  float pp = matrix[of_a.p * kStride + of_b.p], pq = has_b ? matrix[of_a.p * kStride + of_b.q] : 0.0f;
  float qp = has_a ? matrix[of_a.q * kStride + of_b.p] : 0.0f;
  float qq = has_a && has_b ? matrix[of_a.q * kStride + of_b.q] : 0.0f;
  if (a == b) {  // what the rotation is for
    pp = fmaf(-of_a.tangent, pq, pp);
    qq = fmaf(of_a.tangent, pq, qq);
    pq = qp = 0.0f;
  } else {
    rotate(pp, pq, of_b);
    rotate(qp, qq, of_b);
    rotate(pp, qp, of_a);
    rotate(pq, qq, of_a);
  }
  matrix[of_a.p * kStride + of_b.p] = matrix[of_b.p * kStride + of_a.p] = pp;
  if (has_b) matrix[of_a.p * kStride + of_b.q] = matrix[of_b.q * kStride + of_a.p] = pq;
  if (has_a) matrix[of_a.q * kStride + of_b.p] = matrix[of_b.p * kStride + of_a.q] = qp;
  if (has_a && has_b) matrix[of_a.q * kStride + of_b.q] = matrix[of_b.q * kStride + of_a.q] = qq;
}

// One round: all its pairs at once.
__device__ inline void rotate_all(Shared& s, int round, int players, int m) {
  const int pairs = players / 2, thread = static_cast<int>(threadIdx.x);
  if (thread < pairs) s.rotations[thread] = rotation_of(s.matrix, round, thread, players, m);
  __syncthreads();
  for (int block = thread; block < pairs * pairs; block += kThreads)
    if (block / pairs <= block % pairs) rotate_block(s, block / pairs, block % pairs, m);
  for (int place = thread; place < pairs * m; place += kThreads) {
    const Rotation& by = s.rotations[place / m];
    float* row = s.vectors + place % m * kStride;
    if (by.q < m) rotate(row[by.p], row[by.q], by);
  }
  __syncthreads();
}

// Sums each thread's two values over the block, in a fixed order; every thread gets both.
__device__ inline void sum_all(Shared& s, float& first, float& second) {
  const int thread = static_cast<int>(threadIdx.x);
  s.sums[0][thread] = first;
  s.sums[1][thread] = second;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (thread < half) {
      s.sums[0][thread] += s.sums[0][thread + half];
      s.sums[1][thread] += s.sums[1][thread + half];
    }
    __syncthreads();
  }
  first = s.sums[0][0];
  second = s.sums[1][0];
  __syncthreads();
}

__device__ inline bool is_diagonal(Shared& s, int m) {
  float off = 0.0f, all = 0.0f;
  for (int place = static_cast<int>(threadIdx.x); place < m * m; place += kThreads) {
    const float entry = s.matrix[place / m * kStride + place % m];
    all = fmaf(entry, entry, all);
    if (place / m != place % m) off = fmaf(entry, entry, off);
  }
  sum_all(s, off, all);
  return off <= kTolerance * all;
}

// The exponent that brings the largest entry to [0.5, 1), where squares neither overflow nor vanish.
__device__ inline int exponent_of(Shared& s, int m, bool& finite) {
  const int thread = static_cast<int>(threadIdx.x);
  float largest = 0.0f, poison = 0.0f;
  for (int place = thread; place < m * m; place += kThreads) {
    const float entry = s.matrix[place / m * kStride + place % m];
    largest = fmaxf(largest, fabsf(entry));
    poison += entry - entry;  // NaN for what is not finite
  }
  s.sums[0][thread] = largest;
  s.sums[1][thread] = poison;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (thread < half) {
      s.sums[0][thread] = fmaxf(s.sums[0][thread], s.sums[0][thread + half]);
      s.sums[1][thread] += s.sums[1][thread + half];
    }
    __syncthreads();
  }
  largest = s.sums[0][0];
  finite = s.sums[1][0] == 0.0f;
  __syncthreads();
  return finite && largest > 0.0f ? ilogbf(largest) + 1 : 0;
}

// Stores column i where the order of the values puts it, at length one: a few hundred rotations leave it a few
// roundings away.
__device__ inline void store_column(const Shared& s, int i, int m, int exponent, float* values,
                                    float* vectors) {
  const float value = s.matrix[i * kStride + i];
  int rank = 0;
  float square = 0.0f;
  for (int j = 0; j < m; j++) {
    const float other = s.matrix[j * kStride + j], entry = s.vectors[j * kStride + i];
    rank += other < value || (other == value && j < i);
    square = fmaf(entry, entry, square);
  }
  values[rank] = scalbnf(value, exponent);
  const float scale = 1.0f / sqrtf(square);
  for (int j = 0; j < m; j++) vectors[j * m + rank] = s.vectors[j * kStride + i] * scale;
}

__global__ void __launch_bounds__(kThreads)
    eigh_small_kernel(const float* matrices, float* values, float* vectors, int m) {
  __shared__ Shared s;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t block = blockIdx.x;
  const float* matrix = matrices + block * m * m;
  values += block * m;
  vectors += block * m * m;
  for (int place = thread; place < m * m; place += kThreads) {
    const int i = place / m, j = place % m;
    s.matrix[i * kStride + j] = 0.5f * matrix[i * m + j] + 0.5f * matrix[j * m + i];
    s.vectors[i * kStride + j] = i == j ? 1.0f : 0.0f;
  }
  __syncthreads();
  bool finite = true;
  const int exponent = exponent_of(s, m, finite);
  if (!finite) {  // the whole block agrees
    for (int place = thread; place < m * m; place += kThreads) vectors[place] = NAN;
    if (thread < m) values[thread] = NAN;
    return;
  }
  for (int place = thread; place < m * m; place += kThreads) {
    float& entry = s.matrix[place / m * kStride + place % m];
    entry = scalbnf(entry, -exponent);
  }
  __syncthreads();
  const int players = m + m % 2;
  for (int sweep = 0; sweep < kMostSweeps && !is_diagonal(s, m); sweep++)
    for (int round = 0; round < players - 1; round++) rotate_all(s, round, players, m);
  if (thread < m) store_column(s, thread, m, exponent, values, vectors);
}

}  // namespace

cudaError_t eigh_small(const float* matrix, float* values, float* vectors, int64_t batch, int32_t m,
                       cudaStream_t stream) {
  return launch(eigh_small_kernel, batch, kThreads, stream, matrix, values, vectors, m);
}

}  // namespace fastsnf::cuda

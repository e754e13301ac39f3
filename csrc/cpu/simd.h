// The vector type of one instruction set and the few operations that the compiler's vector extensions lack.
//
// Every header that variant.cpp includes lives in a namespace named after the instruction set and uses no
// standard-library template, so that the linker can never keep one instruction set's copy of a function for
// another's.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastsnf::FASTSNF_VARIANT {

#if defined(__AVX512F__)
constexpr int VL = 16;  // lanes
constexpr int MR =
    12;  // rows of a register block: MR x 2 accumulators, 2 vectors and a broadcast in 32 registers
#elif defined(__AVX2__)
constexpr int VL = 8;
constexpr int MR = 6;  // 16 registers
#elif defined(__aarch64__)
constexpr int VL = 4;
constexpr int MR = 12;
#else
constexpr int VL = 4;
constexpr int MR = 6;
#endif

constexpr int NV = 2;        // vectors of points in a panel
constexpr int PW = NV * VL;  // points in a panel

typedef float V __attribute__((vector_size(VL * 4)));
typedef int32_t VI __attribute__((vector_size(VL * 4)));

#define FASTSNF_INLINE inline __attribute__((always_inline))

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t rounded_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

FASTSNF_INLINE V load(const float* p) { return *reinterpret_cast<const V*>(p); }
FASTSNF_INLINE void store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }
FASTSNF_INLINE V load_unaligned(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}
FASTSNF_INLINE VI bits(V v) { return reinterpret_cast<VI>(v); }
FASTSNF_INLINE V floats(VI v) { return reinterpret_cast<V>(v); }

// min(a, b) and max(a, b) return b when either is NaN, so a bound goes first and a NaN passes through.
#if defined(__AVX512F__)
FASTSNF_INLINE V set(float x) { return reinterpret_cast<V>(_mm512_set1_ps(x)); }
FASTSNF_INLINE V min(V a, V b) { return reinterpret_cast<V>(_mm512_min_ps(a, b)); }
FASTSNF_INLINE V max(V a, V b) { return reinterpret_cast<V>(_mm512_max_ps(a, b)); }
FASTSNF_INLINE float sum(V v) { return _mm512_reduce_add_ps(v); }
FASTSNF_INLINE float largest(V v) { return _mm512_reduce_max_ps(v); }
#else
#if defined(__AVX2__)
FASTSNF_INLINE V set(float x) { return reinterpret_cast<V>(_mm256_set1_ps(x)); }
FASTSNF_INLINE V min(V a, V b) { return reinterpret_cast<V>(_mm256_min_ps(a, b)); }
FASTSNF_INLINE V max(V a, V b) { return reinterpret_cast<V>(_mm256_max_ps(a, b)); }
#else
FASTSNF_INLINE V set(float x) { return V{} + x; }
FASTSNF_INLINE V min(V a, V b) { return a < b ? a : b; }
FASTSNF_INLINE V max(V a, V b) { return a > b ? a : b; }
#endif
FASTSNF_INLINE float sum(V v) {
  float s = 0;
  for (int i = 0; i < VL; i++) s += v[i];
  return s;
}
FASTSNF_INLINE float largest(V v) {
  float s = v[0];
  for (int i = 1; i < VL; i++) s = v[i] > s ? v[i] : s;
  return s;
}
#endif

FASTSNF_INLINE V fma(V a, V b, V c) {
  return a * b + c;
}  // contracted where the processor has the instruction
FASTSNF_INLINE V select(VI mask, V a, V b) { return mask ? a : b; }
FASTSNF_INLINE V abs(V v) { return floats(bits(v) & (VI{} + 0x7fffffff)); }

// Transposes the VL x VL block held in v: log2(VL) stages, each swapping the off-diagonal halves of blocks.
#if defined(__clang__)
FASTSNF_INLINE void transpose(V* v) {
  float rows[VL][VL];
  for (int i = 0; i < VL; i++) __builtin_memcpy(rows[i], &v[i], sizeof(V));
  for (int i = 0; i < VL; i++)
    for (int j = 0; j < VL; j++) v[i][j] = rows[j][i];
}
#else
template <int S>
FASTSNF_INLINE void transpose_stage(V* v) {
  VI low = {}, high = {};
  for (int j = 0; j < VL; j++) {
    low[j] = j & S ? VL + j - S : j;
    high[j] = j & S ? VL + j : j + S;
  }
#pragma GCC unroll 16
  for (int i = 0; i < VL; i++) {
    if (i & S) continue;
    const V a = v[i], b = v[i + S];
    v[i] = __builtin_shuffle(a, b, low);
    v[i + S] = __builtin_shuffle(a, b, high);
  }
}
FASTSNF_INLINE void transpose(V* v) {
  transpose_stage<1>(v);
  transpose_stage<2>(v);
  if constexpr (VL > 4) transpose_stage<4>(v);
  if constexpr (VL > 8) transpose_stage<8>(v);
}
#endif

}  // namespace fastsnf::FASTSNF_VARIANT

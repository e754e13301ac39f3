// Sine, cosine and exponential on vectors.
#pragma once

#include <math.h>

#include "simd.h"

namespace fastsnf::FASTSNF_VARIANT {

// Sine and cosine share one reduction: x = q pi + r with |r| <= pi/2, so that both are a polynomial of r with
// the sign (-1)^q. Adding 1.5 * 2^23 rounds x / pi to q and leaves q's parity in the lowest bit. pi is taken
// off in parts: two when a fused multiply-add keeps q * PI_1 exact, four short ones when nothing does.
// Valid for |x| <= SINE_LIMIT; the polynomials are minimax fits of error 5.3e-9 (sine) and 2.8e-10 (cosine).
// Over every float r, with and without fused multiply-add, the errors with rounding are at most 1.3e-7 and
// 9.4e-8 and neither leaves [-1, 1], so nothing is clamped.
constexpr float SINE_LIMIT = 1e5f;

struct Reduced {
  V r;
  VI sign;
};

FASTSNF_INLINE Reduced reduce(V x) {
  const V magic = set(12582912.0f);
  const V t = fma(x, set(0.318309886f), magic);
  const V q = t - magic;
#if defined(__FMA__) || defined(__aarch64__)
  V r = fma(q, set(-3.14159274101257324f), x);
  r = fma(q, set(8.7422776573475858e-08f), r);
#else
  // The first two products and differences are exact: 9 bits of pi times 15 of q.
  const V r = x - q * set(3.140625f) - q * set(9.670257568359375e-04f) -
              (q * set(6.2771141529083251953e-07f) + q * set(1.2154201012e-10f));
#endif
  return {r, bits(t) << 31};
}

FASTSNF_INLINE V sine_of(Reduced a) {
  const V z = a.r * a.r;
  V p = fma(z, set(2.59617558e-06f), set(-1.98048503e-04f));
  p = fma(p, z, set(8.33299273e-03f));
  p = fma(p, z, set(-1.66666561e-01f));
  p = fma(p * z, a.r, a.r);
  return floats(bits(p) ^ a.sign);
}

FASTSNF_INLINE V cosine_of(Reduced a) {
  const V z = a.r * a.r;
  V p = fma(z, set(-2.60401622e-07f), set(2.47598621e-05f));
  p = fma(p, z, set(-1.38883658e-03f));
  p = fma(p, z, set(4.16666380e-02f));
  p = fma(p, z, set(-0.5f));
  p = fma(p, z, set(1.0f));
  return floats(bits(p) ^ a.sign);
}

// The guarded slow path: right for every float, NaN for NaN and infinity.
inline void sincos_slow(V x, V* s, V* c) {
  for (int i = 0; i < VL; i++) {
    (*s)[i] = static_cast<float>(::sin(static_cast<double>(x[i])));
    (*c)[i] = static_cast<float>(::cos(static_cast<double>(x[i])));
  }
}

template <bool SLOW>
FASTSNF_INLINE void sincos(V x, V* s, V* c) {
  if constexpr (SLOW) {
    sincos_slow(x, s, c);
  } else {
    const Reduced a = reduce(x);
    *s = sine_of(a);
    *c = cosine_of(a);
  }
}

// exp(x): 0 below the smallest normal number, infinity above the largest, NaN for NaN; relative error 1.5e-7.
FASTSNF_INLINE V exponential(V x) {
  const V bounded = max(set(-87.33f), min(set(89.0f), x));
  const V magic = set(12582912.0f);
  const V t = fma(bounded, set(1.44269504f), magic);
  const V n = t - magic;
  V r = fma(n, set(-0.693359375f), bounded);
  r = fma(n, set(2.12194440e-4f), r);
  V p = fma(r, set(1.9875691500e-4f), set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  p = fma(p * r, r, r + set(1.0f));
  // 2^n in two factors: n reaches 128, which one exponent field cannot hold.
  const VI power = (bits(t) - bits(magic) - 1 + 127) << 23;
  p = p * floats(power) * set(2.0f);
  return select(x < set(-87.33f), V{}, p);
}

}  // namespace fastsnf::FASTSNF_VARIANT

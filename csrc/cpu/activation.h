// Activations on blocks of pre-activations: forward in place, and the step from d_h to d_u.
//
// A block is n contiguous floats, rows of PW points. Forward turns u into h and, for training, writes what the
// backward needs to c: the derivative f'(u) for real activations, so that d_u = d_h * c; u itself for the
// complex Gabor, whose rows come in pairs (real, imaginary). omega or scale is folded into the packed weights
// where the activation is a function of their product with u alone (`folded`), which makes it free.
#pragma once

#include "elementary.h"
#include "field.h"

namespace fastsnf::FASTSNF_VARIANT {

struct ActParams {
  float omega, scale;  // scale is sinc's amplitude
  bool in_range;       // every sine's argument is known to be within SINE_LIMIT
};

using ForwardBlock = void (*)(ActParams, float* h, float* c, int n);
using BackwardBlock = void (*)(ActParams, float* d, const float* h, const float* c, int n);

inline float folded(Act act, float omega, float scale) {
  if (act == Act::sine || act == Act::sinc) return omega;
  return act == Act::gaussian ? scale : 1.0f;
}

inline bool pairs_rows(Act act) { return act == Act::gabor; }
inline bool saves(Act act) { return act != Act::identity; }

// ---- real activations: value and derivative of one vector ----

template <bool SLOW>
struct SineOp {
  static FASTSNF_INLINE V value(ActParams, V u) {
    if constexpr (!SLOW) return sine_of(reduce(u));
    V s, c;
    sincos_slow(u, &s, &c);
    return s;
  }
  static FASTSNF_INLINE V both(ActParams, V u, V* d) {
    V s;
    sincos<SLOW>(u, &s, d);
    return s;
  }
};

template <bool SLOW>
struct GaussianOp {  // exp(-u^2), -2 u exp(-u^2)
  static FASTSNF_INLINE V value(ActParams, V u) { return exponential(-(u * u)); }
  static FASTSNF_INLINE V both(ActParams p, V u, V* d) {
    const V h = value(p, u);
    *d = set(-2.0f) * u * h;
    return h;
  }
};

template <bool SLOW>
struct SincOp {  // scale times sin(u) / u and (cos(u) - sin(u) / u) / u; their Taylor series where |u| < 1
  static FASTSNF_INLINE V value(ActParams p, V u) {
    V d;
    return both(p, u, &d);
  }
  static FASTSNF_INLINE V both(ActParams p, V u, V* d) {
    V s, c;
    sincos<SLOW>(u, &s, &c);
    const V inverse = set(1.0f) / u;
    const V far = s * inverse;
    const V z = u * u;
    V f = fma(z, set(-2.50521084e-8f), set(2.75573192e-6f));
    f = fma(f, z, set(-1.98412698e-4f));
    f = fma(f, z, set(8.33333333e-3f));
    f = fma(f, z, set(-1.66666667e-1f));
    f = fma(f, z, set(1.0f));
    V g = fma(z, set(-2.50521084e-7f), set(2.20458554e-5f));
    g = fma(g, z, set(-1.19047619e-3f));
    g = fma(g, z, set(3.33333333e-2f));
    g = fma(g, z, set(-3.33333333e-1f)) * u;
    const VI near = abs(u) < set(1.0f);
    *d = set(p.scale) * select(near, g, (c - far) * inverse);
    return set(p.scale) * select(near, f, far);
  }
};

template <bool SLOW>
struct RealGaborOp {  // cos(omega u) exp(-(scale u)^2)
  static FASTSNF_INLINE V value(ActParams p, V u) {
    V d;
    return both(p, u, &d);
  }
  static FASTSNF_INLINE V both(ActParams p, V u, V* d) {
    V s, c;
    sincos<SLOW>(u * set(p.omega), &s, &c);
    const V su = u * set(p.scale);
    const V e = exponential(-(su * su));
    const V h = c * e;
    *d = fma(set(-p.omega) * s, e, set(-2.0f * p.scale) * su * h);
    return h;
  }
};

template <bool SLOW>
struct FinerOp {  // a = |u| + 1 held constant: sin(omega a u), omega a cos(omega a u)
  static FASTSNF_INLINE V value(ActParams p, V u) {
    V d;
    return both(p, u, &d);
  }
  static FASTSNF_INLINE V both(ActParams p, V u, V* d) {
    const V a = set(p.omega) * (abs(u) + set(1.0f));
    V s, c;
    sincos<SLOW>(a * u, &s, &c);
    *d = a * c;
    return s;
  }
};

template <bool SLOW>
struct ReluOp {
  static FASTSNF_INLINE V value(ActParams, V u) { return max(set(0.0f), u); }
  static FASTSNF_INLINE V both(ActParams, V u, V* d) {
    *d = select(u > set(0.0f), set(1.0f), V{});
    return max(set(0.0f), u);
  }
};

template <bool SLOW>
struct TanhOp {
  static FASTSNF_INLINE V value(ActParams, V u) {
    // 1 - 2 / (exp(2 |u|) + 1) loses relative accuracy near 0, where a polynomial (Cephes) takes over.
    const V a = abs(u), z = u * u;
    V p = fma(z, set(-5.70498872745e-3f), set(2.06390887954e-2f));
    p = fma(p, z, set(-5.37397155531e-2f));
    p = fma(p, z, set(1.33314422036e-1f));
    p = fma(p, z, set(-3.33332819422e-1f));
    const V near = fma(p * z, u, u);
    const V far = set(1.0f) - set(2.0f) / (exponential(a + a) + set(1.0f));
    const V signed_far = floats(bits(far) | (bits(u) & (VI{} - 0x7fffffff - 1)));
    return select(a > set(0.625f), signed_far, near);
  }
  static FASTSNF_INLINE V both(ActParams p, V u, V* d) {
    const V h = value(p, u);
    *d = fma(-h, h, set(1.0f));
    return h;
  }
};

template <bool SLOW>
struct SigmoidOp {  // of e = exp(-|u|): 1 / (1 + e) or e / (1 + e), and e / (1 + e)^2; nothing cancels
  static FASTSNF_INLINE V value(ActParams p, V u) {
    V d;
    return both(p, u, &d);
  }
  static FASTSNF_INLINE V both(ActParams, V u, V* d) {
    const V e = exponential(-abs(u)), larger = set(1.0f) / (set(1.0f) + e), smaller = e * larger;
    *d = smaller * larger;
    return select(u < set(0.0f), smaller, larger);
  }
};

template <class Op>
inline void value_loop(ActParams p, float* h, int n) {
  for (int i = 0; i < n; i += VL) store(h + i, Op::value(p, load(h + i)));
}

template <class Op>
inline void both_loop(ActParams p, float* h, float* c, int n) {
  for (int i = 0; i < n; i += VL) {
    V d;
    store(h + i, Op::both(p, load(h + i), &d));
    store(c + i, d);
  }
}

inline float largest_of(const float* u, int n) {
  V m = {};
  for (int i = 0; i < n; i += VL) m = max(abs(load(u + i)), m);
  return largest(m);
}

// Whether sines of (folded) pre-activations up to |u| stay within the fast reduction's range. A NaN among the
// pre-activations needs no slow path: it passes through the fast one.
inline bool within_range(Act act, ActParams p, float u) {
  switch (act) {
    case Act::sine:
    case Act::sinc: return u <= SINE_LIMIT;
    case Act::gabor:
    case Act::gabor_real: return p.omega * u <= SINE_LIMIT;
    case Act::finer: return p.omega * u * (u + 1.0f) <= SINE_LIMIT;
    default: return true;
  }
}

// A bound of |h| where |u| has one.
inline float largest_output(Act act, ActParams p, float u) {
  if (act == Act::identity || act == Act::relu) return u;
  if (act == Act::sinc) return p.scale;
  return act == Act::gabor ? INFINITY : 1.0f;
}

template <template <bool> class Op, Act act>
void forward_block(ActParams p, float* h, float* c, int n) {
  if (!p.in_range && !within_range(act, p, largest_of(h, n))) {
    c ? both_loop<Op<true>>(p, h, c, n) : value_loop<Op<true>>(p, h, n);
  } else {
    c ? both_loop<Op<false>>(p, h, c, n) : value_loop<Op<false>>(p, h, n);
  }
}

inline void multiply_block(ActParams, float* d, const float*, const float* c, int n) {
  for (int i = 0; i < n; i += VL) store(d + i, load(d + i) * load(c + i));
}

// ---- complex Gabor: rows (a, b) of u = a + i b; h = exp(-omega b - scale^2 (a^2 + b^2)) (cos, sin)(omega a) ----

template <bool SLOW>
inline void gabor_rows(ActParams p, float* h, float* c) {
  for (int j = 0; j < PW; j += VL) {
    const V a = load(h + j), b = load(h + PW + j);
    V s, q;
    sincos<SLOW>(a * set(p.omega), &s, &q);
    const V e = exponential(fma(set(-p.scale * p.scale), fma(a, a, b * b), b * set(-p.omega)));
    store(h + j, e * q);
    store(h + PW + j, e * s);
    if (c) {
      store(c + j, a);
      store(c + PW + j, b);
    }
  }
}

inline void gabor_forward(ActParams p, float* h, float* c, int n) {
  const bool slow = !within_range(Act::gabor, p, largest_of(h, n));
  for (int i = 0; i < n; i += 2 * PW) {
    float* saved = c ? c + i : nullptr;
    slow ? gabor_rows<true>(p, h + i, saved) : gabor_rows<false>(p, h + i, saved);
  }
}

// With t = Re(conj(d) h) and s = Im(conj(h) d): d_a = omega s - 2 scale^2 a t, d_b = -(omega + 2 scale^2 b) t.
inline void gabor_backward(ActParams p, float* d, const float* h, const float* c, int n) {
  const V omega = set(p.omega), two_s2 = set(2.0f * p.scale * p.scale);
  for (int i = 0; i < n; i += 2 * PW)
    for (int j = i; j < i + PW; j += VL) {
      const V dr = load(d + j), di = load(d + PW + j), hr = load(h + j), hi = load(h + PW + j);
      const V t = fma(dr, hr, di * hi), s = di * hr - dr * hi;
      const V ts = t * two_s2;
      store(d + j, omega * s - ts * load(c + j));
      store(d + PW + j, -fma(ts, load(c + PW + j), t * omega));
    }
}

inline ForwardBlock forward_of(Act act) {
  switch (act) {
    case Act::identity: return nullptr;
    case Act::sine: return forward_block<SineOp, Act::sine>;
    case Act::gaussian: return forward_block<GaussianOp, Act::gaussian>;
    case Act::sinc: return forward_block<SincOp, Act::sinc>;
    case Act::gabor: return gabor_forward;
    case Act::gabor_real: return forward_block<RealGaborOp, Act::gabor_real>;
    case Act::finer: return forward_block<FinerOp, Act::finer>;
    case Act::relu: return forward_block<ReluOp, Act::relu>;
    case Act::tanh: return forward_block<TanhOp, Act::tanh>;
    case Act::sigmoid: return forward_block<SigmoidOp, Act::sigmoid>;
  }
  return nullptr;
}

inline BackwardBlock backward_of(Act act) {
  if (act == Act::identity) return nullptr;
  return act == Act::gabor ? gabor_backward : multiply_block;
}

}  // namespace fastsnf::FASTSNF_VARIANT

// What crosses between the bindings, the dispatcher and the kernels: plain data only, no torch, no Python.
#pragma once

#include <cstdint>

namespace fastsnf {

// The order is that of ACTIVATION_CODES in fastsnf/engines/native/call.py.
enum class Act : int { identity, sine, gaussian, sinc, gabor, gabor_real, finer, relu, tanh, sigmoid };
constexpr int kActs = 10;

// One linear layer and its activation. Arrays are C-contiguous, complex numbers interleaved (re, im).
struct Layer {
  int fan_in, fan_out;
  bool complex_weights;
  Act act;
  float omega, scale;  // scale is sinc's amplitude
  const float* w;      // [fan_out, fan_in]
  const float* b;      // [fan_out] or null
  float* d_w;          // as w, overwritten; null where no gradient is wanted
  float* d_b;          // as b, overwritten; null likewise
};

enum class Pass : int {
  forward,   // out
  backward,  // d_w, d_b and d_x from d_out, activations recomputed
  mse,       // loss, d_w and d_b from target and sample_weight
  adjusted,  // as mse, with residuals that an adjustment has mixed
  trace,     // the inputs and the cotangents of every layer from d_out
};

// S = I - V diag(a) V^T over groups of points: residuals at one offset mix, r' = S r in every channel. Rows are
// ordered by offset, then by group.
struct Adjustment {
  int64_t groups, offsets;
  const int64_t* slots;       // [N] ascending, offset * groups + group; null where all are there
  int64_t k;                  // may be 0
  const float* vectors;       // V [groups, k]
  const float* coefficients;  // a [k]
  int64_t* largest;           // [groups], written: the row of the largest sum_c |r_c|
};

// What a trace leaves of one layer.
struct Traced {
  float* inputs;      // [N, fan_in], null where not wanted
  float* cotangents;  // [N, fan_out], ds/dRe u - i ds/dIm u
};

// Points of a grid by number: coordinate c of point number i is tables[c][i / strides[c] % sizes[c]].
struct GridPoints {
  const float* const* tables;  // [D], of sizes[c] entries each
  const int64_t* sizes;        // [D]
  const int64_t* strides;      // [D]
  const int64_t* index;        // [N] numbers of the points; null where they are begin, begin + 1, ...
  int64_t begin;
};

// One call of the engine on N points of D coordinates and C outputs.
struct Job {
  Pass pass;
  const Layer* layers;
  int layer_count;
  int64_t n;
  int threads;
  const float* x;          // [N, D]; null where there is a grid
  const GridPoints* grid;  // forward and mse
  float* out;              // [N, C], forward
  uint8_t* out_bits;       // in place of out where C is 1: bit n & 7 of byte n >> 3 is out > threshold
  float threshold;
  const float* d_out;            // [N, C], backward and trace
  float* d_x;                    // [N, D], backward; null when not wanted
  const float* target;           // [N, C], mse and adjusted
  const uint8_t* target_bits;    // in its place on a grid where C is 1: bit i & 7 of byte i >> 3 for number i
  const float* sample_weight;    // [N] or null, mse and adjusted
  const Adjustment* adjustment;  // adjusted
  const Traced* traced;          // of every layer, trace
  double loss;                   // mse and adjusted: sum_n w_n sum_c (out - target)^2 / (C sum_n w_n)
};

// The inputs and cotangents of one linear layer at the points of every block; complex numbers interleaved.
struct GramLayer {
  int64_t fan_in, fan_out;
  bool a_complex, d_complex, bias;
  const float* a;  // [blocks, n, fan_in]
  const float* d;  // [blocks, n, fan_out]
};

// Blocks of the empirical NTK, sum_l Re[(A_l A_l^H + bias_l) o (D_l D_l^H)].
struct GramJob {
  const GramLayer* layers;
  int layer_count;
  int64_t blocks, n;
  int threads;
  float* out;  // [blocks, n, n]
};

// One instruction set's build of the kernels.
struct Variant {
  const char* name;
  int lanes;  // floats in a vector
  void (*run)(Job&);
  void (*gram)(GramJob&);
  int64_t (*fma_loop)(int64_t iterations);  // runs at the full rate of one thread; returns the FLOPs done
};

}  // namespace fastsnf

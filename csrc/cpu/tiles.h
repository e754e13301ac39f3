// Matrix products on the tile unit (AMX), as accurate as float32.
//
// The unit multiplies 16 x 32 by 32 x 16 blocks of bfloat16 and adds to float32. A float32 number is the sum of
// three bfloat16 numbers, x = h + m + l, so a product of two is six of theirs (h h, h m, m h, m m, h l, l h;
// what is left out is below 2^-23 of it, in the mean 2^-25). That costs six block products for one and still
// runs at about twice the rate of fused multiply-adds, and the sums round less. An infinity has no such parts and
// becomes NaN.
//
// Layout of an operand: tiles of 1 KiB, [outer tile][k tile][h, m, l]; "outer" is rows for a left operand,
// stored [16 rows][32 k], and columns for a right one, stored [16 pairs of k][16 columns][2].
#pragma once

#include "gemm.h"

namespace fastsnf::FASTSNF_VARIANT {

constexpr int TILE = 16;                  // rows or columns of a tile
constexpr int TILE_K = 32;                // terms of a sum that a tile holds
constexpr int64_t TRIPLE = 3 * 1024 / 4;  // floats that the tiles h, m, l take

inline int64_t tiled_floats(int64_t outer, int64_t k) {
  return rounded_up(outer, TILE) / TILE * (rounded_up(k, TILE_K) / TILE_K) * TRIPLE;
}

#if defined(FASTSNF_TILES)

// Whether a rows x columns result with sums of k terms fills tiles well enough.
inline bool suits_tiles(int rows, int columns, int k) {
  const int64_t padded = rounded_up(rows, TILE) * rounded_up(columns, TILE) * rounded_up(k, TILE_K);
  return padded <= static_cast<int64_t>(rows) * columns * k * 3 / 2;
}

// Configures this thread's tile registers while it lives: all eight are 16 rows of 64 bytes.
class TileUnit {
 public:
  TileUnit() {
    struct alignas(64) Config {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int i = 0; i < 8; i++) config.bytes[i] = 64, config.rows[i] = 16;
    _tile_loadconfig(&config);
  }
  ~TileUnit() { _tile_release(); }
  TileUnit(const TileUnit&) = delete;
  TileUnit& operator=(const TileUnit&) = delete;
};

typedef uint32_t VU __attribute__((vector_size(VL * 4)));

// The three bfloat16 parts of x, each in the upper half of its word; the lower half of the last is not cleared.
// Cutting bits off leaves 8 for each part, so the sum is exact but for denormal numbers.
struct Parts {
  VI part[3];
};

FASTSNF_INLINE VI upper(VI word) { return word & (VI{} - 0x10000); }

FASTSNF_INLINE Parts split(V x) {
  const VI h = upper(bits(x));
  const V rest = x - floats(h);
  const VI m = upper(bits(rest));
  return {{h, m, bits(rest - floats(m))}};
}

// Words with a's upper halves below b's.
FASTSNF_INLINE V paired(VI a, VI b) {
  return floats(reinterpret_cast<VI>(reinterpret_cast<VU>(a) >> 16) | upper(b));
}

// A weight matrix as a left operand: element (r, i) of rows x k is e[r * row_step + i * k_step] * factor.
// Thread t of `threads` packs every threads-th row tile.
inline void pack_tiles(const float* e, int64_t row_step, int64_t k_step, int rows, int k, float factor, int t,
                       int threads, float* to) {
  const int k_tiles = (k + TILE_K - 1) / TILE_K;
  for (int r0 = t * TILE; r0 < rows; r0 += threads * TILE)
    for (int kt = 0; kt < k_tiles; kt++) {
      float* triple = to + (static_cast<int64_t>(r0 / TILE) * k_tiles + kt) * TRIPLE;
      const int n = static_cast<int>(smaller(TILE_K, k - kt * TILE_K));
      for (int r = 0; r < TILE; r++) {
        alignas(64) float even[VL] = {}, odd[VL] = {};
        const float* from = e + (r0 + r) * row_step + kt * TILE_K * k_step;
        for (int i = 0; i < n && r0 + r < rows; i++) (i & 1 ? odd : even)[i / 2] = from[i * k_step] * factor;
        const Parts a = split(load(even)), b = split(load(odd));
        for (int s = 0; s < 3; s++) store(triple + (s * TILE + r) * VL, paired(a.part[s], b.part[s]));
      }
    }
}

// What a tile's accumulator starts from: row r of the bias, 16 times.
inline void spread_bias(const float* bias, int rows, float* to) {
  for (int r = 0; r < rounded_up(rows, TILE); r++) store(to + r * VL, r < rows ? set(bias[r]) : V{});
}

// A panel of k features as a right operand: columns are its points, two tiles of them.
inline void split_panel(const float* in, int k, float* to) {
  const int k_tiles = (k + TILE_K - 1) / TILE_K;
  for (int half = 0; half < 2; half++)
    for (int kt = 0; kt < k_tiles; kt++, to += TRIPLE)
      for (int j = 0; j < TILE; j++) {
        const int i = kt * TILE_K + 2 * j;
        const float* row = in + static_cast<int64_t>(i) * PW + half * VL;
        const Parts a = split(i < k ? load(row) : V{}), b = split(i + 1 < k ? load(row + PW) : V{});
        for (int s = 0; s < 3; s++) store(to + (s * TILE + j) * VL, paired(a.part[s], b.part[s]));
      }
}

// Panels of `rows` features as a left operand with rows = features and k = points. The order of the points
// within a panel is free as long as both operands have the same: j is paired with j + VL.
inline void split_rows(const float* d, int rows, int panels, float* to) {
  for (int r = 0; r < rounded_up(rows, TILE); r++)
    for (int p = 0; p < panels; p++) {
      float* triple = to + (static_cast<int64_t>(r / TILE) * panels + p) * TRIPLE;
      const float* row = d + (static_cast<int64_t>(p) * rows + r) * PW;
      const Parts a = split(r < rows ? load(row) : V{}), b = split(r < rows ? load(row + VL) : V{});
      for (int s = 0; s < 3; s++) store(triple + (s * TILE + r % TILE) * VL, paired(a.part[s], b.part[s]));
    }
}

// Panels of k features as a right operand with columns = features and k = points, in the same order of points.
inline void split_columns(const float* h, int k, int panels, float* to) {
  for (int i0 = 0; i0 < k; i0 += TILE)
    for (int p = 0; p < panels; p++, to += TRIPLE) {
      V low[TILE], high[TILE];
      for (int i = 0; i < TILE; i++) {
        const float* row = h + (static_cast<int64_t>(p) * k + i0 + i) * PW;
        low[i] = i0 + i < k ? load(row) : V{};
        high[i] = i0 + i < k ? load(row + VL) : V{};
      }
      transpose(low);
      transpose(high);
      for (int j = 0; j < TILE; j++) {
        const Parts a = split(low[j]), b = split(high[j]);
        for (int s = 0; s < 3; s++) store(to + (s * TILE + j) * VL, paired(a.part[s], b.part[s]));
      }
    }
}

// Registers 0-3 accumulate the 2 x 2 tiles of a block; 4, 5 hold left and 6, 7 right operands.
template <bool A2, bool B2>
FASTSNF_INLINE void multiply_loaded() {
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (B2) {
    _tile_dpbf16ps(1, 4, 7);
  }
  if constexpr (A2) {
    _tile_dpbf16ps(2, 5, 6);
  }
  if constexpr (A2 && B2) {
    _tile_dpbf16ps(3, 5, 7);
  }
}

template <bool A2>
FASTSNF_INLINE void load_left(const float* a, int64_t a_step, int part) {
  _tile_loadd(4, a + part * 256, 64);
  if constexpr (A2) {
    _tile_loadd(5, a + a_step + part * 256, 64);
  }
}

template <bool B2>
FASTSNF_INLINE void load_right(const float* b, int64_t b_step, int part) {
  _tile_loadd(6, b + part * 256, 64);
  if constexpr (B2) {
    _tile_loadd(7, b + b_step + part * 256, 64);
  }
}

FASTSNF_INLINE void zero_block() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// The compiler does not know that the tile instructions read and write memory.
FASTSNF_INLINE void memory_barrier() { asm volatile("" ::: "memory"); }

template <bool A2, bool B2>
FASTSNF_INLINE void store_block(float* c, int64_t stride) {
  _tile_stored(0, c, stride * 4);
  if constexpr (B2) {
    _tile_stored(1, c + TILE, stride * 4);
  }
  if constexpr (A2) {
    _tile_stored(2, c + TILE * stride, stride * 4);
  }
  if constexpr (A2 && B2) {
    _tile_stored(3, c + TILE * stride + TILE, stride * 4);
  }
}

// Vector work on a finished block, done in slices of rows while the tile unit is busy with the next one: the unit
// works through a queue, so what stands between two of its instructions in the program costs little time.
struct Background {
  int rows = 0;                 // left to do
  float* to = nullptr;          // the block's next row
  int64_t stride = 0;           // floats between rows of `to`
  int width = 0;                // vectors in a row
  const float* from = nullptr;  // where the block was left, 2 * TILE floats between rows; null when in place
  bool adds = false;            // to what `to` holds
  const Epilogue* epilogue = nullptr;  // then this on `rows` rows of out at `offset`, where not null
  float* out = nullptr;
  int64_t offset = 0;

  // Does the next of `slices` slices; the last one does what is left.
  FASTSNF_INLINE void step(int slices) {
    if (rows == 0) return;
    const int n =
        slices <= 1 ? rows : static_cast<int>(smaller(rows, rounded_up((rows + slices - 1) / slices, 2)));
    if (from) {
      for (int r = 0; r < n; r++, from += 2 * TILE, to += stride)
        for (int v = 0; v < width; v++) {
          const V c = load(from + v * VL);
          store(to + v * VL, adds ? load(to + v * VL) + c : c);
        }
    }
    if (epilogue) {
      (*epilogue)(out, offset, n* PW);
      offset += static_cast<int64_t>(n) * PW;
    }
    rows -= n;
  }
};

// c = bias + a b over k_tiles tiles for up to 32 x 32 results, `stride` floats between rows of c: all 32 (or 16)
// rows and columns are written. `a_step` and `b_step` lead to the second row and column tile.
template <bool A2, bool B2>
void tile_block(const float* a, int64_t a_step, const float* b, int64_t b_step, int k_tiles,
                const float* bias, float* c, int64_t stride, Background& background) {
  memory_barrier();
  zero_block();
  if (bias) {
    _tile_loadd(0, bias, 64);
    _tile_loadd(1, bias, 64);
    if constexpr (A2) {
      _tile_loadd(2, bias + TILE * VL, 64);
      _tile_loadd(3, bias + TILE * VL, 64);
    }
  }
  for (int i = 0; i < k_tiles; i++) {
    const float *x = a + i * TRIPLE, *y = b + i * TRIPLE;
    const int slices = 3 * (k_tiles - i);
    load_left<A2>(x, a_step, 0);
    load_right<B2>(y, b_step, 2);
    multiply_loaded<A2, B2>();  // h l
    load_right<B2>(y, b_step, 1);
    multiply_loaded<A2, B2>();  // h m
    background.step(slices);
    load_left<A2>(x, a_step, 1);
    multiply_loaded<A2, B2>();  // m m
    load_right<B2>(y, b_step, 0);
    multiply_loaded<A2, B2>();  // m h
    background.step(slices - 1);
    load_left<A2>(x, a_step, 2);
    multiply_loaded<A2, B2>();  // l h
    load_left<A2>(x, a_step, 0);
    multiply_loaded<A2, B2>();  // h h
    background.step(slices - 2);
  }
  store_block<A2, B2>(c, stride);
  memory_barrier();
}

using TileBlock = void (*)(const float*, int64_t, const float*, int64_t, int, const float*, float*, int64_t,
                           Background&);

inline TileBlock tile_block_of(int rows, int columns) {
  if (rows > TILE) return columns > TILE ? tile_block<true, true> : tile_block<true, false>;
  return columns > TILE ? tile_block<false, true> : tile_block<false, false>;
}

// The parts of sums over k, in tiles: longer than part_of's, since the unit rounds less than once a product.
inline int tiles_of_part(int64_t n) { return n <= 64 ? 1 : 16; }

// out = tiles * in (+ bias), then the epilogue. Sums are cut in parts of `part` tiles. Two row tiles of weights
// stay in the cache while the panels pass.
inline void multiply_tiles(int rows, const float* tiles, const float* bias, const float* in, int k, int part,
                           int panels, float* out, float* split_in, const Epilogue& epilogue) {
  const int k_tiles = (k + TILE_K - 1) / TILE_K;
  const int64_t step = k_tiles * TRIPLE;
  alignas(64) float spare[2][4 * TILE * TILE];
  Background background;
  for (int p = 0; p < panels; p++)
    split_panel(in + static_cast<int64_t>(p) * k * PW, k, split_in + p * 2 * step);
  for (int i = 0, turn = 0; i < k_tiles; i += part) {
    const int n = static_cast<int>(smaller(part, k_tiles - i));
    const bool first = i == 0, last = i + n == k_tiles;
    for (int r0 = 0; r0 < rows; r0 += 2 * TILE) {
      const int here = static_cast<int>(smaller(2 * TILE, rows - r0));
      const TileBlock block = tile_block_of(here, PW);
      const bool in_place = first && here % TILE == 0;  // a block writes whole tiles
      for (int p = 0; p < panels; p++, turn ^= 1) {
        const int64_t offset = (static_cast<int64_t>(p) * rows + r0) * PW;
        float* c = in_place ? out + offset : spare[turn];
        block(tiles + r0 / TILE * step + i * TRIPLE, step, split_in + p * 2 * step + i * TRIPLE, step, n,
              bias && first ? bias + r0 * VL : nullptr, c, PW, background);
        background = {here, out + offset, PW, NV, in_place ? nullptr : c, !first, last ? &epilogue : nullptr,
                      out,  offset};
      }
    }
  }
  background.step(1);
}

// acc[row][column] += d h^T over the points, `stride` floats between rows of acc.
inline void add_outer_tiles(const float* d, int rows, const float* h, int k, int panels, float* split_d,
                            float* split_h, float* acc, int64_t stride) {
  const int64_t step = panels * TRIPLE;
  alignas(64) float spare[2][4 * TILE * TILE];
  Background background;
  split_rows(d, rows, panels, split_d);
  split_columns(h, k, panels, split_h);
  for (int i0 = 0, turn = 0; i0 < k; i0 += 2 * TILE)
    for (int r0 = 0; r0 < rows; r0 += 2 * TILE, turn ^= 1) {
      const int here = static_cast<int>(smaller(2 * TILE, rows - r0));
      float* to = acc + r0 * stride + i0;  // read when the block is done
      for (int r = 0; r < here; r++) {
        __builtin_prefetch(to + r * stride, 1);
        __builtin_prefetch(to + r * stride + VL, 1);
      }
      tile_block_of(here, k - i0)(split_d + r0 / TILE * step, step, split_h + i0 / TILE * step, step, panels,
                                  nullptr, spare[turn], 2 * TILE, background);
      background = {here, to, stride, k - i0 > TILE ? 2 : 1, spare[turn], true, nullptr, nullptr, 0};
    }
  background.step(1);
}

#else  // no tile unit: nothing suits it, and nothing below is ever called

inline bool suits_tiles(int, int, int) { return false; }
class TileUnit {};
inline void pack_tiles(const float*, int64_t, int64_t, int, int, float, int, int, float*) {}
inline void spread_bias(const float*, int, float*) {}
inline int tiles_of_part(int64_t) { return 1; }
inline void multiply_tiles(int, const float*, const float*, const float*, int, int, int, float*, float*,
                           const Epilogue&) {}
inline void add_outer_tiles(const float*, int, const float*, int, int, float*, float*, float*, int64_t) {}

#endif

}  // namespace fastsnf::FASTSNF_VARIANT

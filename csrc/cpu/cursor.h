// Handing out pieces of a call's workspace.
#pragma once

#include "simd.h"

namespace fastsnf::FASTSNF_VARIANT {

// Hands out aligned pieces of the workspace; with a null base it only counts.
struct Cursor {
  char* base;
  int64_t used = 0;

  template <class T>
  T* take(int64_t n) {
    T* piece = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += rounded_up(n * static_cast<int64_t>(sizeof(T)), 64);
    return piece;
  }
};

}  // namespace fastsnf::FASTSNF_VARIANT

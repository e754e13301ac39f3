// The threads of a call, torch's own where they can be had, and the memory that calls reuse.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastsnf {

// Runs task(context, t) for t in [0, threads), t = 0 on the calling thread, and returns when all are done: on the
// OpenMP threads of this process, which torch brings, or else on a pool that sleeps between calls, whose callers take
// turns. Safe after fork: a child starts a pool of its own.
void parallel(int threads, void (*task)(void* context, int thread), void* context);

// From now on takes no OpenMP threads: for a forked child whose parent may have started them before this library.
void own_threads();

// Memory for one call, kept for the next: taken from a free list, so concurrent calls have one each.
class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  // At least `bytes` of memory aligned to a huge page; its content is arbitrary. Throws std::bad_alloc.
  char* reserve(int64_t bytes);

 private:
  char* memory_;
  int64_t size_;
};

// Flushes denormal numbers to zero on this thread while it lives, and restores the state it found.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace fastsnf

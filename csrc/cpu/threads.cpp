#include "threads.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastsnf {
namespace {

// Two calls of one training step follow each other within this time; a worker that sleeps takes longer to wake.
constexpr std::chrono::microseconds kSpin(50);

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

class Pool {
 public:
  void run(int threads, void (*task)(void*, int), void* context) {
    std::lock_guard<std::mutex> turn(turn_);
    while (static_cast<int>(workers_.size()) < threads - 1) {
      const int index = static_cast<int>(workers_.size()) + 1;
      const uint64_t seen = generation_.load();
      workers_.emplace_back([this, index, seen] { work(index, seen); });
      workers_.back().detach();
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      task_ = task;
      context_ = context;
      threads_ = threads;
      // Every worker answers, also those beyond `threads`, so that none can miss a generation.
      pending_.store(static_cast<int>(workers_.size()));
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    task(context, 0);
    while (pending_.load(std::memory_order_acquire) > 0) pause();
  }

 private:
  void work(int index, uint64_t seen) {
    for (;;) {
      wait_for_next(seen);
      seen++;
      if (index < threads_) task_(context_, index);
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  void wait_for_next(uint64_t seen) {
    const auto until = std::chrono::steady_clock::now() + kSpin;
    while (std::chrono::steady_clock::now() < until) {
      if (generation_.load(std::memory_order_acquire) != seen) return;
      pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&] { return generation_.load() != seen; });
  }

  std::mutex turn_, mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> pending_{0};
  void (*task_)(void*, int) = nullptr;
  void* context_ = nullptr;
  int threads_ = 0;
};

// Never destroyed: its threads sleep until the process ends. A forked child has none of the parent's threads
// and makes a new pool.
Pool& pool() {
  static std::mutex mutex;
  static Pool* current = nullptr;
  static pid_t owner = 0;
  std::lock_guard<std::mutex> lock(mutex);
  if (!current || owner != getpid()) {
    current = new Pool;
    owner = getpid();
  }
  return *current;
}

const pid_t loaded_by = getpid();

// torch's own OpenMP threads, where its library is GNU's or speaks its interface. After torch's part of a step (the
// gather of a batch, the optimizer) they spin for milliseconds, waiting for more: threads of our own would have to
// share the cores with them, which made a step of 1,024 points at width 64 take 1.7 ms in place of 0.9.
class Team {
 public:
  Team() {
    parallel_ = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    number_ = reinterpret_cast<Count>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
    size_ = reinterpret_cast<Count>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
    inside_ = reinterpret_cast<Count>(dlsym(RTLD_DEFAULT, "omp_in_parallel"));
  }

  // The threads do not live on in a forked child, where GNU's library would wait for them for ever.
  bool usable() const {
    return parallel_ && number_ && size_ && inside_ && loaded_by == getpid() && !inside_();
  }

  void decline() { parallel_ = nullptr; }

  void run(int threads, void (*task)(void*, int), void* context) {
    Work work{this, threads, task, context};
    parallel_(
        [](void* data) {
          const auto* work = static_cast<const Work*>(data);
          // A team may be smaller than was asked for: every part of the work is done all the same.
          for (int t = work->team->number_(); t < work->threads; t += work->team->size_())
            work->task(work->context, t);
        },
        &work, static_cast<unsigned>(threads), 0);
  }

 private:
  using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
  using Count = int (*)();
  struct Work {
    Team* team;
    int threads;
    void (*task)(void*, int);
    void* context;
  };

  Parallel parallel_;
  Count number_, size_, inside_;
};

Team& team() {
  static Team current;
  return current;
}

struct Memory {
  char* data;
  int64_t size;
};

std::mutex free_mutex;
std::vector<Memory>& free_list() {
  static auto* list = new std::vector<Memory>;
  return *list;
}

}  // namespace

void parallel(int threads, void (*task)(void*, int), void* context) {
  if (threads <= 1) return task(context, 0);
  if (team().usable()) return team().run(threads, task, context);
  pool().run(threads, task, context);
}

void own_threads() { team().decline(); }

Workspace::Workspace() : memory_(nullptr), size_(0) {
  std::lock_guard<std::mutex> lock(free_mutex);
  if (free_list().empty()) return;
  memory_ = free_list().back().data;
  size_ = free_list().back().size;
  free_list().pop_back();
}

Workspace::~Workspace() {
  if (!memory_) return;
  std::lock_guard<std::mutex> lock(free_mutex);
  free_list().push_back({memory_, size_});
}

char* Workspace::reserve(int64_t bytes) {
  if (bytes <= size_) return memory_;
  constexpr int64_t kHugePage = 2 << 20;
  const int64_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  std::free(memory_);
  memory_ = nullptr;
  size_ = 0;
  auto* data = static_cast<char*>(std::aligned_alloc(kHugePage, static_cast<size_t>(size)));
  if (!data) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  madvise(data, static_cast<size_t>(size), MADV_HUGEPAGE);  // a wish: without it the pages are small
#endif
  memory_ = data;
  size_ = size;
  return memory_;
}

#if defined(__x86_64__)
FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) {
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  _mm_setcsr(static_cast<unsigned>(saved_) | kFlushToZero | kDenormalsAreZero);
}
FlushDenormals::~FlushDenormals() { _mm_setcsr(static_cast<unsigned>(saved_)); }
#elif defined(__aarch64__)
FlushDenormals::FlushDenormals() {
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  constexpr uint64_t kFlushToZero = 1 << 24;
  asm volatile("msr fpcr, %0" ::"r"(saved_ | kFlushToZero));
}
FlushDenormals::~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }
#else
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() = default;
#endif

}  // namespace fastsnf

#include "dispatch.h"

#if FASTSNF_HAS_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <stdexcept>

namespace fastsnf {

#if FASTSNF_HAS_AMX
namespace amx {
extern const Variant self;
}
#endif
#if FASTSNF_HAS_AVX512
namespace avx512 {
extern const Variant self;
}
#endif
#if FASTSNF_HAS_AVX2
namespace avx2 {
extern const Variant self;
}
#endif
namespace baseline {
extern const Variant self;
}

#if FASTSNF_HAS_AVX512
static bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("fma");
}
#endif

#if FASTSNF_HAS_AMX
// The processor's tile unit, and the kernel's leave for this process to use its registers.
static bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;
  if (!has_avx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kBf16) == 0 || (d & kTile) == 0)
    return false;
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

const std::vector<VariantEntry>& variants() {
  static const std::vector<VariantEntry> all = {
#if FASTSNF_HAS_AMX
      {&amx::self, has_amx()},
#endif
#if FASTSNF_HAS_AVX512
      {&avx512::self, has_avx512()},
#endif
#if FASTSNF_HAS_AVX2
      {&avx2::self, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
#endif
      {&baseline::self, true},
  };
  return all;
}

const Variant& find_variant(const std::string& name) {
  std::string wanted = name, source = "the variant";
  if (wanted.empty()) {
    const char* set = std::getenv("FASTSNF_CPU");
    if (set && *set) wanted = set, source = "FASTSNF_CPU";
  }
  std::string here;
  for (const VariantEntry& entry : variants()) {
    if (!entry.runs_here) continue;
    if (wanted.empty() || wanted == entry.variant->name) return *entry.variant;
    here += (here.empty() ? "" : ", ") + std::string(entry.variant->name);
  }
  throw std::invalid_argument("expected " + source + " to be one that runs on this processor (" + here +
                              "); got '" + wanted + "'");
}

}  // namespace fastsnf

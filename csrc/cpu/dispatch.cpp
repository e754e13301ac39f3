#include "dispatch.h"

#include <cstdlib>
#include <stdexcept>

namespace fastsnf {

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

const std::vector<VariantEntry>& variants() {
  static const std::vector<VariantEntry> all = {
#if FASTSNF_HAS_AVX512
      {&avx512::self, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("fma")},
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
  throw std::invalid_argument("expected " + source + " to be one that runs on this processor (" + here + "); got '" +
                              wanted + "'");
}

}  // namespace fastsnf

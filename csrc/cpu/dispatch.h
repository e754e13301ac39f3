// Which builds of the kernels this binary holds and which one runs here.
#pragma once

#include <string>
#include <vector>

#include "field.h"

namespace fastsnf {

struct VariantEntry {
  const Variant* variant;
  bool runs_here;
};

// Every variant of this binary, widest first, and whether this processor has its instructions.
const std::vector<VariantEntry>& variants();

// The variant called `name`; for an empty name the one that the environment variable FASTSNF_CPU names, else
// the widest that runs here. Throws std::invalid_argument for a name that is unknown or does not run here.
const Variant& find_variant(const std::string& name);

}  // namespace fastsnf

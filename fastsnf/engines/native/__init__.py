"""The CPU engine: C++ SIMD kernels of ``csrc/cpu`` behind ``fastsnf._native``, on float32 tensors.

Tensors are checked by `fastsnf.ops` and cross as pointers and sizes. One binary holds a build for every
instruction set; the widest that runs here is taken unless FASTSNF_CPU or `use_variant` names another.
"""

from fastsnf.engines.native.call import ACTIVATION_CODES, MOST_UNITS, reasons
from fastsnf.engines.native.extension import detail, missing, module, use_variant, variants
from fastsnf.engines.native.field import (
    MOST_GROUPS,
    adjusted_mse_value_and_grad,
    backward,
    forward,
    mse_value_and_grad,
)
from fastsnf.engines.native.grid import GridPoints, forward_on_grid, mse_on_grid
from fastsnf.engines.native.ntk import gram, gram_reasons, layer_trace

__all__ = [
    "ACTIVATION_CODES",
    "MOST_GROUPS",
    "MOST_UNITS",
    "GridPoints",
    "adjusted_mse_value_and_grad",
    "backward",
    "detail",
    "forward",
    "forward_on_grid",
    "gram",
    "gram_reasons",
    "layer_trace",
    "missing",
    "module",
    "mse_on_grid",
    "mse_value_and_grad",
    "reasons",
    "use_variant",
    "variants",
]

"""The functional interface: check the call, choose an engine, run it.

`field` and `linear_act` are differentiable to any order, under autograd, `torch.func`, `torch.compile` and
`torch.export`; `mse_value_and_grad` is the trainer's single pass. Shapes are those of `fastsnf.reference`.
"""

from fastsnf.engines.triton import use_phases
from fastsnf.ops.adjusted import adjusted_mse_value_and_grad, adjusts_in_one_pass
from fastsnf.ops.dispatch import (
    AUTO,
    Choice,
    choose,
    choose_plain,
    chosen,
    engine_names,
    engines_report,
    explain,
    use_engine,
)
from fastsnf.ops.field import activate, field, linear_act
from fastsnf.ops.grid import field_on_grid
from fastsnf.ops.grid_points import Bits, GridPoints, field_at, mse_value_and_grad_at
from fastsnf.ops.mse import MseResult, mse_value_and_grad
from fastsnf.ops.ntk import layer_trace, ntk_gram, small_eigh
from fastsnf.ops.precision import use_precision
from fastsnf.ops.registration import has_autocast
from fastsnf.reference.adjusted import AdjustedResult, Adjusting, Adjustment, Layout
from fastsnf.reference.ntk import LayerTrace

__all__ = [
    "AUTO",
    "AdjustedResult",
    "Bits",
    "GridPoints",
    "field_at",
    "mse_value_and_grad_at",
    "Adjusting",
    "Adjustment",
    "Choice",
    "LayerTrace",
    "Layout",
    "MseResult",
    "activate",
    "adjusted_mse_value_and_grad",
    "adjusts_in_one_pass",
    "choose",
    "choose_plain",
    "chosen",
    "engine_names",
    "engines_report",
    "explain",
    "field",
    "field_on_grid",
    "has_autocast",
    "layer_trace",
    "linear_act",
    "mse_value_and_grad",
    "ntk_gram",
    "small_eigh",
    "use_engine",
    "use_phases",
    "use_precision",
]

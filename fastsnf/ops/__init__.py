"""The functional interface: check the call, choose an engine, run it.

`field` and `linear_act` are differentiable to any order, under autograd, `torch.func`, `torch.compile` and
`torch.export`; `mse_value_and_grad` is the trainer's single pass. Shapes are those of `fastsnf.reference`.
"""

from fastsnf.ops.dispatch import chosen, engine_names, engines_report, explain, use_engine
from fastsnf.ops.field import activate, field, linear_act
from fastsnf.ops.mse import MseResult, mse_value_and_grad

__all__ = [
    "MseResult",
    "activate",
    "chosen",
    "engine_names",
    "engines_report",
    "explain",
    "field",
    "linear_act",
    "mse_value_and_grad",
    "use_engine",
]

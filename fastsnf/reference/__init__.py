"""Executable mathematics in plain torch, any floating dtype: what every engine is judged against."""

from fastsnf.reference import activations, adjusted, field, ntk
from fastsnf.reference.field import forward, jvp, linear_act, linear_act_vjp, mse_value_and_grad, vjp

__all__ = [
    "activations",
    "adjusted",
    "field",
    "forward",
    "jvp",
    "linear_act",
    "linear_act_vjp",
    "mse_value_and_grad",
    "ntk",
    "vjp",
]

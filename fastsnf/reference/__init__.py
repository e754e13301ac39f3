"""Executable mathematics in plain torch: what every engine is judged against. No dispatch, any floating dtype."""

from fastsnf.reference import activations, field
from fastsnf.reference.field import forward, jvp, linear_act, linear_act_vjp, mse_value_and_grad, vjp

__all__ = ["activations", "field", "forward", "jvp", "linear_act", "linear_act_vjp", "mse_value_and_grad", "vjp"]

"""The custom operators: what torch sees of an engine, with shapes for tracing and formulas for autograd.

``fastsnf::field_fwd`` and ``field_bwd`` take points [N, D] and one flat list of parameters, the weights
followed by the biases that exist. The spec travels as its key, the engine by name. The backward of
``field_bwd`` is the reference composition, so that derivatives of any order are right.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.engines import native
from fastsnf.spec import FieldSpec

MODULES: dict[str, ModuleType] = {"native": native}
"""The engines that run behind the operators."""

_spec = functools.lru_cache(maxsize=256)(FieldSpec.from_key)


def flatten(weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> tuple[list[Tensor], list[bool]]:
    """Return the parameters as the operators take them, and which layers have a bias."""
    return [*weights, *[b for b in biases if b is not None]], [b is not None for b in biases]


def unflatten(params: Sequence[Tensor], has_bias: Sequence[bool]) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return the weights and biases of a flat list."""
    count = len(has_bias)
    rest = iter(params[count:])
    return list(params[:count]), [next(rest) if there else None for there in has_bias]


def own_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Return a context without autocast on x's device: a field computes in its own dtype on every engine."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


@torch.library.custom_op("fastsnf::field_fwd", mutates_args=())
def field_fwd(x: Tensor, params: Sequence[Tensor], key: str, has_bias: Sequence[bool], engine: str) -> Tensor:
    """Return the output [N, C] of the field at x [N, D]."""
    return MODULES[engine].forward(x, *unflatten(params, has_bias), _spec(key))


@field_fwd.register_fake
def _(x: Tensor, params: Sequence[Tensor], key: str, has_bias: Sequence[bool], engine: str) -> Tensor:
    return x.new_empty(x.shape[0], params[len(has_bias) - 1].shape[0])


@torch.library.custom_op("fastsnf::field_bwd", mutates_args=())
def field_bwd(
    x: Tensor,
    params: Sequence[Tensor],
    d_out: Tensor,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
    need_x: bool,
    need_params: bool,
) -> list[Tensor]:
    """Return the gradient of x followed by those of the parameters; of each only what is needed."""
    d_x, d_weights, d_biases = MODULES[engine].backward(
        x,
        *unflatten(params, has_bias),
        _spec(key),
        d_out,
        need_x=need_x,
        need_params=need_params,
    )
    return [*([] if d_x is None else [d_x]), *d_weights, *[d for d in d_biases if d is not None]]


@field_bwd.register_fake
def _(
    x: Tensor,
    params: Sequence[Tensor],
    d_out: Tensor,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
    need_x: bool,
    need_params: bool,
) -> list[Tensor]:
    return _empty_like(x, params, need_x, need_params)


@torch.library.custom_op("fastsnf::field_mse", mutates_args=())
def field_mse(
    x: Tensor,
    target: Tensor,
    params: Sequence[Tensor],
    sample_weight: Tensor | None,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
) -> list[Tensor]:
    """Return the weighted MSE, 0-d, followed by the gradients of the parameters."""
    loss, d_weights, d_biases = MODULES[engine].mse_value_and_grad(
        x, target, *unflatten(params, has_bias), _spec(key), sample_weight
    )
    return [loss, *d_weights, *[d for d in d_biases if d is not None]]


@field_mse.register_fake
def _(
    x: Tensor,
    target: Tensor,
    params: Sequence[Tensor],
    sample_weight: Tensor | None,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
) -> list[Tensor]:
    return [x.new_empty(()), *_empty_like(x, params, False, True)]


def _empty_like(x: Tensor, params: Sequence[Tensor], need_x: bool, need_params: bool) -> list[Tensor]:
    contiguous = torch.contiguous_format
    wanted = [*([x] if need_x else []), *(params if need_params else [])]
    return [torch.empty_like(tensor, memory_format=contiguous) for tensor in wanted]


def _save_fwd(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, params, ctx.key, ctx.has_bias, ctx.engine = inputs
    ctx.save_for_backward(x, *params)


def _fwd_backward(ctx: Any, d_out: Tensor) -> tuple[Any, ...]:
    x, *params = ctx.saved_tensors
    need_x, need_params = ctx.needs_input_grad[0], any(ctx.needs_input_grad[1])
    grads = field_bwd(x, params, d_out, ctx.key, ctx.has_bias, ctx.engine, need_x, need_params)
    d_x = grads[0] if need_x else None
    d_params = list(grads[int(need_x) :]) if need_params else [None] * len(params)
    return d_x, d_params, None, None, None


def _save_bwd(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, params, d_out, ctx.key, ctx.has_bias, _engine, ctx.need_x, ctx.need_params = inputs
    ctx.save_for_backward(x, *params, d_out)


def _bwd_backward(ctx: Any, t_grads: list[Tensor]) -> tuple[Any, ...]:
    """Differentiate the gradients themselves: compose them in plain torch and let autograd do it."""
    higher = torch.is_grad_enabled()
    with torch.enable_grad(), own_precision(ctx.saved_tensors[0]):
        # Linked to their own history where a still higher order is wanted, cut off it otherwise.
        inputs = [tensor.view_as(tensor) if higher else tensor.detach() for tensor in ctx.saved_tensors]
        for tensor in inputs:
            tensor.requires_grad_()
        x, *params, d_out = inputs
        d_x, d_weights, d_biases = reference.vjp(x, *unflatten(params, ctx.has_bias), _spec(ctx.key), d_out)
        d_params = [*d_weights, *[d for d in d_biases if d is not None]]
        grads = [*([d_x] if ctx.need_x else []), *(d_params if ctx.need_params else [])]
        second = torch.autograd.grad(grads, inputs, t_grads, create_graph=higher, allow_unused=True)
    return second[0], list(second[1:-1]), second[-1], None, None, None, None, None


field_fwd.register_autograd(_fwd_backward, setup_context=_save_fwd)
field_bwd.register_autograd(_bwd_backward, setup_context=_save_bwd)

"""The custom operators: what torch sees of an engine, with shapes for tracing and formulas for autograd.

``fastsnf::field_fwd`` and ``field_bwd`` take points [N, D] and one flat list of parameters, the weights
followed by the biases that exist. The spec travels as its key, the engine and the precision by name.
``field_fwd_keep`` and ``field_bwd_kept`` are the pair of an engine that keeps what its backward pass needs,
as bytes. The backward of a backward is the reference composition, so that derivatives of any order are right.
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
from fastsnf.engines import native, triton
from fastsnf.spec import FieldSpec

MODULES: dict[str, ModuleType] = {"triton": triton, "native": native}
"""The engines that run behind the operators."""

KEEPING = ("triton",)
"""Those that keep pre-activations for the backward pass; the others compute them again."""

spec_of = functools.lru_cache(maxsize=256)(FieldSpec.from_key)
"""The spec of a key."""


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
    return torch.autocast(kind, enabled=False) if has_autocast(kind) else nullcontext()


@torch.compiler.assume_constant_result  # torch 2.11 cannot trace the question
def has_autocast(device_type: str) -> bool:
    """Return whether torch has an autocast mode for devices of a type."""
    return torch.amp.is_autocast_available(device_type)


def evaluate(
    x: Tensor, params: Sequence[Tensor], key: str, has_bias: Sequence[bool], engine: str, precision: str
) -> Tensor:
    """Return the output [N, C] of the field at x [N, D] by the operator that fits what autograd records.

    What does not fit in memory is computed again in the backward pass; the gradients are the same.
    """
    call = x, params, key, has_bias, engine, precision
    recorded = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, *params))
    return evaluate_keeping(*call)[0] if recorded else field_fwd(*call)


def evaluate_keeping(
    x: Tensor, params: Sequence[Tensor], key: str, has_bias: Sequence[bool], engine: str, precision: str
) -> tuple[Tensor, Tensor | None]:
    """Return the output [N, C] and what `field_bwd_kept` takes, None where `field_bwd` computes it again."""
    call = x, params, key, has_bias, engine, precision
    if engine not in KEEPING:
        return field_fwd(*call), None
    if torch.compiler.is_compiling():
        return field_fwd_keep(*call)
    try:
        return field_fwd_keep(*call)
    except torch.OutOfMemoryError:
        pass  # what it had allocated is free once the exception is gone
    return field_fwd(*call), None


@torch.library.custom_op("fastsnf::field_fwd", mutates_args=())
def field_fwd(
    x: Tensor, params: Sequence[Tensor], key: str, has_bias: Sequence[bool], engine: str, precision: str
) -> Tensor:
    """Return the output [N, C] of the field at x [N, D]."""
    return MODULES[engine].forward(x, *unflatten(params, has_bias), spec_of(key), precision=precision)


@field_fwd.register_fake
def _(
    x: Tensor, params: Sequence[Tensor], key: str, has_bias: Sequence[bool], engine: str, precision: str
) -> Tensor:
    return x.new_empty(x.shape[0], params[len(has_bias) - 1].shape[0])


@torch.library.custom_op("fastsnf::field_fwd_keep", mutates_args=())
def field_fwd_keep(
    x: Tensor, params: Sequence[Tensor], key: str, has_bias: Sequence[bool], engine: str, precision: str
) -> tuple[Tensor, Tensor]:
    """Return the output [N, C] of the field at x [N, D], and bytes that `field_bwd_kept` takes."""
    return MODULES[engine].forward_keep(x, *unflatten(params, has_bias), spec_of(key), precision=precision)


@field_fwd_keep.register_fake
def _(
    x: Tensor, params: Sequence[Tensor], key: str, has_bias: Sequence[bool], engine: str, precision: str
) -> tuple[Tensor, Tensor]:
    weights = params[: len(has_bias)]
    shapes = [(int(weight.shape[0]), int(weight.shape[1])) for weight in weights]
    size = MODULES[engine].kept_bytes(x.shape[0], shapes, spec_of(key), precision)
    return x.new_empty(x.shape[0], weights[-1].shape[0]), x.new_empty(size, dtype=torch.uint8)


@torch.library.custom_op("fastsnf::field_bwd", mutates_args=())
def field_bwd(
    x: Tensor,
    params: Sequence[Tensor],
    d_out: Tensor,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
    precision: str,
    need_x: bool,
    need_params: bool,
) -> list[Tensor]:
    """Return the gradient of x followed by those of the parameters; of each only what is needed."""
    d_x, d_weights, d_biases = MODULES[engine].backward(
        x,
        *unflatten(params, has_bias),
        spec_of(key),
        d_out,
        need_x=need_x,
        need_params=need_params,
        precision=precision,
    )
    return flat_gradients(d_x, d_weights, d_biases)


@field_bwd.register_fake
def _(
    x: Tensor,
    params: Sequence[Tensor],
    d_out: Tensor,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
    precision: str,
    need_x: bool,
    need_params: bool,
) -> list[Tensor]:
    return empty_gradients(x, params, need_x, need_params)


@torch.library.custom_op("fastsnf::field_bwd_kept", mutates_args=())
def field_bwd_kept(
    x: Tensor,
    params: Sequence[Tensor],
    d_out: Tensor,
    kept: Tensor,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
    precision: str,
    need_x: bool,
    need_params: bool,
) -> list[Tensor]:
    """Return what `field_bwd` does, from the bytes that `field_fwd_keep` kept; they stay as they are."""
    d_x, d_weights, d_biases = MODULES[engine].backward_kept(
        x,
        *unflatten(params, has_bias),
        kept,
        spec_of(key),
        d_out,
        need_x=need_x,
        need_params=need_params,
        precision=precision,
    )
    return flat_gradients(d_x, d_weights, d_biases)


@field_bwd_kept.register_fake
def _(
    x: Tensor,
    params: Sequence[Tensor],
    d_out: Tensor,
    kept: Tensor,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
    precision: str,
    need_x: bool,
    need_params: bool,
) -> list[Tensor]:
    return empty_gradients(x, params, need_x, need_params)


@torch.library.custom_op("fastsnf::field_mse", mutates_args=())
def field_mse(
    x: Tensor,
    target: Tensor,
    params: Sequence[Tensor],
    sample_weight: Tensor | None,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
    precision: str,
) -> list[Tensor]:
    """Return the weighted MSE, 0-d, followed by the gradients of the parameters."""
    loss, d_weights, d_biases = MODULES[engine].mse_value_and_grad(
        x, target, *unflatten(params, has_bias), spec_of(key), sample_weight, precision=precision
    )
    return flat_gradients(loss, d_weights, d_biases)


@field_mse.register_fake
def _(
    x: Tensor,
    target: Tensor,
    params: Sequence[Tensor],
    sample_weight: Tensor | None,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
    precision: str,
) -> list[Tensor]:
    return [x.new_empty(()), *empty_gradients(x, params, False, True)]


def flat_gradients(
    first: Tensor | None, d_weights: Sequence[Tensor], d_biases: Sequence[Tensor | None]
) -> list[Tensor]:
    """Return `first`, where it is there, and the gradients of the parameters as an operator returns them."""
    return [*([] if first is None else [first]), *d_weights, *[d for d in d_biases if d is not None]]


def empty_gradients(x: Tensor, params: Sequence[Tensor], need_x: bool, need_params: bool) -> list[Tensor]:
    """Return tensors shaped as an operator's gradients, for tracing."""
    contiguous = torch.contiguous_format
    wanted = [*([x] if need_x else []), *(params if need_params else [])]
    return [torch.empty_like(tensor, memory_format=contiguous) for tensor in wanted]


def _save_fwd(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, params, *ctx.call = inputs
    ctx.save_for_backward(x, *params)


def _fwd_backward(ctx: Any, d_out: Tensor) -> tuple[Any, ...]:
    x, *params = ctx.saved_tensors
    needs = _needs(ctx)
    return _by_input(field_bwd(x, params, d_out, *ctx.call, *needs), len(params), *needs)


def _save_keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, params, *ctx.call = inputs
    ctx.set_materialize_grads(False)  # no zeros as large as the kept bytes for the gradient that they lack
    ctx.save_for_backward(x, *params, output[1])


def _keep_backward(ctx: Any, d_out: Tensor | None, _d_kept: None) -> tuple[Any, ...]:
    x, *params, kept = ctx.saved_tensors
    if d_out is None:
        return _by_input([], len(params), False, False)
    needs = _needs(ctx)
    return _by_input(field_bwd_kept(x, params, d_out, kept, *ctx.call, *needs), len(params), *needs)


def _needs(ctx: Any) -> tuple[bool, bool]:
    """Return whether x and whether the parameters require grad."""
    return ctx.needs_input_grad[0], any(ctx.needs_input_grad[1])


def _by_input(grads: list[Tensor], count: int, need_x: bool, need_params: bool) -> tuple[Any, ...]:
    """Return the gradient of each input of a forward operator with `count` parameters."""
    d_params = list(grads[int(need_x) :]) if need_params else [None] * count
    return grads[0] if need_x else None, d_params, None, None, None, None


def _save_bwd(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, params, d_out, *rest = inputs
    ctx.extra = len(rest)
    ctx.key, ctx.has_bias, _engine, _precision, ctx.need_x, ctx.need_params = rest[-6:]
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
        d_x, d_weights, d_biases = reference.vjp(x, *unflatten(params, ctx.has_bias), spec_of(ctx.key), d_out)
        d_params = [*d_weights, *[d for d in d_biases if d is not None]]
        grads = [*([d_x] if ctx.need_x else []), *(d_params if ctx.need_params else [])]
        second = torch.autograd.grad(grads, inputs, t_grads, create_graph=higher, allow_unused=True)
    return second[0], list(second[1:-1]), second[-1], *[None] * ctx.extra


field_fwd.register_autograd(_fwd_backward, setup_context=_save_fwd)
field_fwd_keep.register_autograd(_keep_backward, setup_context=_save_keep)
field_bwd.register_autograd(_bwd_backward, setup_context=_save_bwd)
field_bwd_kept.register_autograd(_bwd_backward, setup_context=_save_bwd)

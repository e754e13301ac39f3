"""The custom operators of the NTK and of inductive gradient adjustment, as torch sees them.

``fastsnf::ntk_gram`` takes batched tensors; ``layer_trace`` and ``field_adjusted_mse`` take points [N, D] and
parameters as `fastsnf.ops.registration` has them. None has derivatives: calls that autograd records take the
reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from fastsnf.engines import cuda, native
from fastsnf.ops.registration import MODULES, empty_gradients, flat_gradients, spec_of, unflatten

GRAM_MODULES: dict[str, ModuleType] = {"cuda": cuda, "native": native}
"""The engines that compute NTK blocks behind the operator."""


@torch.library.custom_op("fastsnf::ntk_gram", mutates_args=())
def ntk_gram(
    inputs: Sequence[Tensor], cotangents: Sequence[Tensor], bias: Sequence[bool], engine: str
) -> Tensor:
    """Return the empirical NTK [B, n, n] of inputs [B, n, fan_in] and cotangents [B, n, fan_out]."""
    if inputs[0].shape[0] == 0 or inputs[0].shape[1] == 0:
        return _empty_gram(inputs)
    return GRAM_MODULES[engine].gram(inputs, cotangents, bias)  # type: ignore[no-any-return]


@ntk_gram.register_fake
def _(inputs: Sequence[Tensor], cotangents: Sequence[Tensor], bias: Sequence[bool], engine: str) -> Tensor:
    return _empty_gram(inputs)


def _empty_gram(inputs: Sequence[Tensor]) -> Tensor:
    batch, points, _ = inputs[0].shape
    return inputs[0].new_empty(batch, points, points, dtype=inputs[0].dtype.to_real())


@torch.library.custom_op("fastsnf::layer_trace", mutates_args=())
def layer_trace(
    x: Tensor, params: Sequence[Tensor], d_out: Tensor, key: str, has_bias: Sequence[bool], engine: str
) -> list[Tensor]:
    """Return the inputs of every layer but the first, which are x, followed by all cotangents."""
    weights, biases = unflatten(params, has_bias)
    inputs, cotangents = MODULES[engine].layer_trace(x, weights, biases, spec_of(key), d_out)
    return [*inputs[1:], *cotangents]


@layer_trace.register_fake
def _(
    x: Tensor, params: Sequence[Tensor], d_out: Tensor, key: str, has_bias: Sequence[bool], engine: str
) -> list[Tensor]:
    weights = params[: len(has_bias)]
    inputs = [x.new_empty(x.shape[0], weight.shape[1], dtype=weight.dtype) for weight in weights[1:]]
    return [*inputs, *(x.new_empty(x.shape[0], weight.shape[0], dtype=weight.dtype) for weight in weights)]


@torch.library.custom_op("fastsnf::field_adjusted_mse", mutates_args=())
def field_adjusted_mse(
    x: Tensor,
    target: Tensor,
    params: Sequence[Tensor],
    vectors: Tensor,
    coefficients: Tensor,
    slots: Tensor | None,
    groups: int,
    offsets: int,
    sample_weight: Tensor | None,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
) -> list[Tensor]:
    """Return the weighted MSE, 0-d, the row [groups] of each group's largest residual, and the gradients.

    The engine looks at the slots once more: a compiled caller has not.
    """
    loss, d_weights, d_biases, largest = MODULES[engine].adjusted_mse_value_and_grad(
        x,
        target,
        *unflatten(params, has_bias),
        spec_of(key),
        groups,
        offsets,
        slots,
        vectors,
        coefficients,
        sample_weight,
    )
    return [loss, largest, *flat_gradients(None, d_weights, d_biases)]


@field_adjusted_mse.register_fake
def _(
    x: Tensor,
    target: Tensor,
    params: Sequence[Tensor],
    vectors: Tensor,
    coefficients: Tensor,
    slots: Tensor | None,
    groups: int,
    offsets: int,
    sample_weight: Tensor | None,
    key: str,
    has_bias: Sequence[bool],
    engine: str,
) -> list[Tensor]:
    largest = x.new_empty(groups, dtype=torch.int64)
    return [x.new_empty(()), largest, *empty_gradients(x, params, False, True)]

"""`ntk_gram` and `layer_trace`: blocks of the empirical NTK, and what they are made of; `small_eigh`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.engines import cuda, native
from fastsnf.errors import InputError
from fastsnf.ops import ntk_registration as operators
from fastsnf.ops.check import REAL_DTYPES, check_field
from fastsnf.ops.check_ntk import REAL_OF, check_cotangent, check_gram
from fastsnf.ops.dispatch import AUTO, PLAIN_OPERATIONS, choose_among, plain_operations_needed, plain_reasons
from fastsnf.ops.exact import full_float32
from fastsnf.ops.registration import flatten, own_precision
from fastsnf.reference.ntk import LayerTrace
from fastsnf.spec import FieldSpec


def ntk_gram(
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    *,
    bias: bool | Sequence[bool] = True,
    engine: str = AUTO,
) -> Tensor:
    """Return the empirical NTK ``K = sum_l Re[(A_l A_l^H + bias_l) * (D_l D_l^H)]`` [B, n, n], symmetric.

    Sums are as accurate as float32 on every engine, never TF32. Where autograd records or torch.func
    transforms, plain operations compute it, which have derivatives.

    Args:
        inputs: A, the inputs of every layer, [B, n, fan_in] each (or [n, fan_in], K then being [n, n]).
        cotangents: D, the derivatives of each point's scalar with respect to the layer's affine output,
            [B, n, fan_out] each; complex ones as ``ds/dRe u - i ds/dIm u``. Both real or both complex.
        bias: whether the layers have biases, for all or one by one.
        engine: ``auto``, ``cuda``, ``native`` or ``reference``.

    Raises:
        InputError: when shapes, dtypes or devices do not fit together.
        EngineError: when a named engine cannot take the call, with every reason.
    """
    has_bias = check_gram(inputs, cotangents, bias)
    chosen = choose_among("NTK blocks", engine, gram_answers(inputs, cotangents))
    if chosen == "reference":
        with own_precision(inputs[0]), full_float32(inputs[0]):
            return reference.ntk.ntk_gram(inputs, cotangents, has_bias)
    if inputs[0].dim() == 3:
        return operators.ntk_gram(inputs, cotangents, has_bias, chosen)
    batched = [[tensor.unsqueeze(0) for tensor in tensors] for tensors in (inputs, cotangents)]
    return operators.ntk_gram(*batched, has_bias, chosen).squeeze(0)


def gram_answers(inputs: Sequence[Tensor], cotangents: Sequence[Tensor]) -> dict[str, list[str]]:
    """Return for each engine of `ntk_gram`, fastest first, why it cannot take a call."""
    device, dtype = inputs[0].device, REAL_OF[inputs[0].dtype]
    shapes = [(int(a.shape[-1]), int(d.shape[-1])) for a, d in zip(inputs, cotangents, strict=True)]
    recorded = torch.is_grad_enabled() and any(t.requires_grad for t in (*inputs, *cotangents))
    plain = ["autograd records, which takes plain operations"] if recorded else []
    plain += [PLAIN_OPERATIONS] if plain_operations_needed() else []
    return {
        "cuda": [*cuda.gram_reasons(device, dtype, shapes), *plain],
        "native": [*native.gram_reasons(device, dtype, shapes), *plain],
        "reference": [],
    }


def layer_trace(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    d_out: Tensor | None = None,
    engine: str = AUTO,
) -> LayerTrace:
    """Return every layer's inputs and cotangents at x [..., D], for ``s = sum_c d_out_c out_c``.

    Nothing is recorded for autograd, and products are float32's own, never TF32.

    Args:
        x, weights, biases, spec: as in `field`.
        d_out: [..., C], or [C] for all points alike; None for ones over sqrt(C), which makes the NTK that of
            the outputs' sum over sqrt(C).
        engine: ``auto``, ``native`` or ``reference``.

    Raises:
        InputError, EngineError: as `ntk_gram`.
    """
    check_field(x, weights, biases, spec)
    channels = weights[-1].shape[0]
    if d_out is None:
        d_out = x.new_full((channels,), channels**-0.5)
    check_cotangent(d_out, x, channels)
    d_out = d_out.expand(*x.shape[:-1], channels)
    why = native.reasons(x.device.type, x.dtype, [tuple(w.shape) for w in weights])
    why += plain_reasons(spec)
    chosen = choose_among("layer traces", engine, {"native": why, "reference": []})
    with torch.no_grad(), own_precision(x), full_float32(x):
        if chosen == "reference":
            return reference.ntk.layer_trace(x, weights, biases, spec, d_out)
        params, has_bias = flatten(weights, biases)
        points = x.reshape(-1, x.shape[-1])
        call = points, params, d_out.reshape(-1, channels), spec.key, has_bias, chosen
        flat = [t.view(*x.shape[:-1], t.shape[-1]) for t in operators.layer_trace(*call)]
        return LayerTrace([x, *flat[: spec.layers - 1]], flat[spec.layers - 1 :])


def small_eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues [..., m], ascending, and eigenvectors [..., m, m] of symmetric matrices.

    Those of up to `engines.cuda.MOST_SIDE` rows in float32 on a GPU are one launch of the CUDA extension,
    where it runs: it waits for nothing, and a matrix that is not finite gives NaN. All others are
    `torch.linalg.eigh`'s, which raises for some of these.

    Raises:
        InputError: for anything but square matrices of float32 or float64.
    """
    if matrix.dim() < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise InputError(f"expected matrices of shape [..., m, m]; got {list(matrix.shape)}")
    if matrix.dtype not in REAL_DTYPES:
        raise InputError(f"expected matrices of float32 or float64; got {matrix.dtype}")
    size = matrix.shape[-1]
    fits = size <= cuda.MOST_SIDE and matrix.numel() > 0
    if not fits or cuda.gram_reasons(matrix.device, matrix.dtype, []):
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors
    values, vectors = cuda.eigh_small(matrix.reshape(-1, size, size))
    return values.view(matrix.shape[:-1]), vectors.view(matrix.shape)

"""The empirical NTK of a field, as a formula on what a forward and a backward pass leave, and by Jacobians.

The gradient of an output s at point n with respect to a layer's weight is the outer product of the layer's
input A_n and of D_n = ds/du, with respect to its bias D_n itself. Their inner products over two points are
(A_n . A_m + 1)(D_n . D_m), summed over the layers: no gradient is ever formed. A complex parameter counts as
two real ones and D is ds/dRe u - i ds/dIm u, the conjugate of torch's gradient, so that the inner product is
the real part of (A_n A_m^* + 1)(D_n D_m^*).

For s = sum_c out_c / sqrt(C) this is the eNTK matrix of the IGA paper's code for several outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from fastsnf.reference import activations
from fastsnf.reference.field import Biases, forward, trace
from fastsnf.spec import FieldSpec


class LayerTrace(NamedTuple):
    """What the NTK is made of, one tensor a layer, real or complex as the layer is.

    `inputs` are A [..., fan_in]; `cotangents` are D [..., fan_out], the derivative of a real scalar of each
    point with respect to the layer's affine output, ``ds/dRe u - i ds/dIm u``.
    """

    inputs: list[Tensor]
    cotangents: list[Tensor]


def ntk_gram(inputs: Sequence[Tensor], cotangents: Sequence[Tensor], bias: Sequence[bool]) -> Tensor:
    """Return ``K = sum_l Re[(A_l A_l^H + bias_l) * (D_l D_l^H)]`` [B, n, n], ``*`` being elementwise.

    `inputs` are [B, n, fan_in], `cotangents` [B, n, fan_out], real or complex, and `bias` says which layers
    have one; there is at least one layer. K is symmetric to the bit.
    """
    terms = (
        ((a @ a.mH + float(has_bias)) * (d @ d.mH)).real
        for a, d, has_bias in zip(inputs, cotangents, bias, strict=True)
    )
    gram = next(terms)
    for term in terms:
        gram = gram + term
    return 0.5 * (gram + gram.mT)  # a matrix product with its own transpose rounds each side in its own way


def layer_trace(
    x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec, d_out: Tensor
) -> LayerTrace:
    """Return the inputs of every layer at x [..., D] and the cotangents for ``s = sum_c d_out_c out_c``."""
    kept = trace(x, weights, biases, spec)
    cotangents: list[Tensor] = []
    d_h = torch.complex(d_out, torch.zeros_like(d_out)) if spec.is_complex else d_out
    for layer in reversed(range(spec.layers)):
        d_u = activations.vjp(spec.activations[layer], kept.pre_activations[layer], d_h)
        cotangents.insert(0, d_u.conj())
        d_h = d_u @ weights[layer].conj()
    return LayerTrace(kept.inputs, cotangents)


def jacobian(x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec) -> Tensor:
    """Return J [n, C, P], the derivatives of the outputs at x [n, D] with respect to every parameter.

    A complex parameter is two real ones. One point after another, by torch.func.
    """
    parts = {f"w{i}": w for i, w in enumerate(weights)} | {
        f"b{i}": b for i, b in enumerate(biases) if b is not None
    }
    real = {name: torch.view_as_real(p) if p.is_complex() else p for name, p in parts.items()}

    def at(params: dict[str, Tensor], point: Tensor) -> Tensor:
        whole = {
            name: torch.view_as_complex(p) if parts[name].is_complex() else p for name, p in params.items()
        }
        return forward(
            point,
            [whole[f"w{i}"] for i in range(len(weights))],
            [whole.get(f"b{i}") for i in range(len(weights))],
            spec,
        )

    rows = vmap(jacrev(at), in_dims=(None, 0))(real, x)
    return torch.cat([row.flatten(start_dim=2) for row in rows.values()], dim=2)


def jacobian_gram(jacobian: Tensor) -> Tensor:
    """Return the eNTK [n, C, n, C] of a Jacobian [n, C, P]: ``K = J J^T``."""
    return torch.einsum("ncp,mdp->ncmd", jacobian, jacobian)

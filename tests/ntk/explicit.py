"""The judge of the NTK: explicit Jacobians of a network written out here, apart from the package."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import jacrev

from fastsnf.nn import Accelerated, Field
from fastsnf.spec import Activation, FieldSpec
from tests import cases

Biases = Sequence[Tensor | None]


def activated(act: Activation, u: Tensor) -> Tensor:
    """Return the activation as its paper writes it."""
    omega, scale = getattr(act, "omega", 1.0), getattr(act, "scale", 1.0)
    formulas: dict[str, Callable[[], Tensor]] = {
        "sine": lambda: torch.sin(omega * u),
        "gaussian": lambda: torch.exp(-((scale * u) ** 2)),
        "sinc": lambda: act.amplitude * torch.sin(omega * u) / (omega * u),
        "gabor": lambda: torch.exp(1j * omega * u - scale**2 * (u * u.conj()).real),
        "gabor-real": lambda: torch.cos(omega * u) * torch.exp(-((scale * u) ** 2)),
        "finer": lambda: torch.sin(omega * (u.abs() + 1.0).detach() * u),
        "relu": lambda: torch.relu(u),
        "tanh": lambda: torch.tanh(u),
        "sigmoid": lambda: torch.sigmoid(u),
        "identity": lambda: u,
    }
    return formulas[act.name]()


def jacobian(
    x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec, trains: Callable[[str], bool]
) -> Tensor:
    """Return J [N, C, P] of the parameters ``w0, b0, w1, ...`` that `trains` names, complex ones as pairs."""
    named = {f"w{i}": w for i, w in enumerate(weights)}
    named |= {f"b{i}": b for i, b in enumerate(biases) if b is not None}
    real = {name: torch.view_as_real(p) if p.is_complex() else p for name, p in named.items() if trains(name)}

    def values(parameters: dict[str, Tensor]) -> Tensor:
        def parameter(name: str) -> Tensor | None:
            if name not in parameters:
                return named.get(name)
            given = parameters[name]
            return torch.view_as_complex(given) if named[name].is_complex() else given

        h = x
        for layer, act in enumerate(spec.activations):
            w, b = parameter(f"w{layer}"), parameter(f"b{layer}")
            u = h.to(w.dtype) @ w.mT
            h = activated(act, u if b is None else u + b)
        return h.real if h.is_complex() else h

    rows = jacrev(values)(real)
    return torch.cat([part.flatten(start_dim=2) for part in rows.values()], dim=2)


def gram(j: Tensor, outputs: str) -> Tensor:
    """Return K of J [N, C, P] as `empirical_ntk` lays it out."""
    if outputs == "sum":
        total = j.sum(dim=1) / math.sqrt(j.shape[1])
        return total @ total.T
    return torch.einsum("ncp,mcp->cnm" if outputs == "each" else "ncp,mdp->ncmd", j, j)


def ntk(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    outputs: str = "sum",
    trains: Callable[[str], bool] = lambda name: True,
) -> Tensor:
    """Return K at x [N, D] by explicit Jacobians."""
    return gram(jacobian(x, weights, biases, spec, trains), outputs)


def field_of(weights: Sequence[Tensor], biases: Biases, spec: FieldSpec) -> Field:
    """Return a field with copies of these parameters."""
    linears = []
    for weight, bias in zip(weights, biases, strict=True):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=weight.dtype)
        linear.weight = torch.nn.Parameter(weight.clone())
        if bias is not None:
            linear.bias = torch.nn.Parameter(bias.clone())
        linears.append(linear)
    return Accelerated(spec, linears)


def problem(
    act: Activation,
    shape: cases.Shape,
    *,
    bias: bool | Sequence[bool] = True,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> tuple[Tensor, list[Tensor], list[Tensor | None], FieldSpec]:
    """Return points, weights, biases and the spec of a random field."""
    gen = cases.generator(seed)
    spec = FieldSpec.mlp(act, shape.L)
    weights, biases = cases.random_field(spec, shape.widths, bias, dtype, gen)
    return cases.random_points(shape.N, shape.D, dtype=dtype, gen=gen), weights, biases, spec

"""Matrices whose spectra are known, and real eNTKs, for the tests of eigenpairs."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.spec import Activation, FieldSpec, Sine
from tests import cases

N = 160
"""Order of most matrices: more than twice the block of 21 pairs."""


def with_spectrum(values: Tensor, gen: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Return a symmetric float64 matrix [n, n] of given eigenvalues [n], and its eigenvectors."""
    q, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=gen, dtype=torch.float64))
    gram = q @ (values.double()[:, None] * q.T)
    return 0.5 * (gram + gram.T), q


def spectra(n: int = N) -> dict[str, Tensor]:
    """Return eigenvalues [n], largest first, that are hard in one way each."""
    i = torch.arange(n, dtype=torch.float64)
    equal = 0.8**i
    equal[3:9] = equal[3]
    across = 0.8**i
    across[18:26] = across[18]  # 21 pairs cut it
    nearly = across * (1.0 + 1e-7 * torch.cos(i))
    return {
        "geometric": 0.8**i,
        "steep": 0.5**i,
        "algebraic": 1.0 / (1.0 + i) ** 2,
        "slow": 1.0 / (1.0 + i) ** 0.5,
        "two levels": torch.where(i < 30, 1.0, 0.3),
        "equal": equal,
        "equal across the cut": across,
        "nearly equal across the cut": nearly.sort(descending=True).values,
        "rank 30": torch.where(i < 30, 0.9**i, 0.0),
        "rank 10": torch.where(i < 10, 0.8**i, 0.0),
        "rank 1": torch.where(i < 1, 1.0, 0.0),
        "zero": torch.zeros(n, dtype=torch.float64),
        "identity": torch.ones(n, dtype=torch.float64),
        "one far out": torch.where(i < 1, 1e5, 0.9**i),
    }


def entk(
    act: Activation, points: int, width: int = 64, seed: int = 0, move: float = 0.0, channels: int = 3
) -> Tensor:
    """Return the float64 eNTK [n, n] of a random field, weights up to `move` from the seed's."""
    gen = cases.generator(seed)
    spec = FieldSpec.mlp(act, 2)
    weights, biases = cases.random_field(spec, [2, width, width, width, channels], gen=gen)
    doubles = [t + move * t.sign() * torch.rand(t.shape, generator=gen) for t in (*weights, *biases)]
    w, b = cases.as_double(doubles[:4]), cases.as_double(doubles[4:])
    side = int(points**0.5) + 1
    axis = torch.linspace(-1.0, 1.0, side, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)[:points]
    kept = reference.ntk.layer_trace(
        x, w, b, spec, torch.full((points, channels), channels**-0.5, dtype=x.dtype)
    )
    stacks = [[t[None] for t in part] for part in (kept.inputs, kept.cotangents)]
    return reference.ntk.ntk_gram(*stacks, [True] * 4)[0]


def siren(points: int = N, **options: float) -> Tensor:
    """Return `entk` of a field of sines."""
    return entk(Sine(30.0), points, **options)


def exact_pairs(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenpairs of `gram` by a full float64 eigh, largest first."""
    values, vectors = torch.linalg.eigh(gram.double())
    return values.flip(-1), vectors.flip(-1)


def projector(vectors: Tensor) -> Tensor:
    """Return V V^T in float64: what equal eigenvalues leave defined."""
    return vectors.double() @ vectors.double().mT

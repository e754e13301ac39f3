"""Lanczos' method: what a symmetric operator that is known by its products alone has for a spectrum."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf.errors import InputError, check_whole

BREAKDOWN = 100.0
"""Rounding units of the largest coefficient so far under which what is left of a vector is rounding."""


class Krylov(NamedTuple):
    """What m steps of Lanczos' method found of a symmetric operator, float64 on the CPU.

    Attributes:
        values: Ritz values [m], largest first: eigenvalues of the operator on the space that the steps span.
        weights: [m], the share of the start vector's energy in the direction of each, their sum 1. With them
            ``sum_i weights_i p(values_i)`` is ``q^T p(K) q / |q|^2`` for polynomials p up to degree 2m - 1.
        residuals: [m], ``|K v_i - values_i v_i|``: how far an eigenvalue of K is from each value at most;
            never below a rounding unit of the largest value.
        steps: m, fewer than asked for where the space is exhausted.
    """

    values: Tensor
    weights: Tensor
    residuals: Tensor
    steps: int


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> list[Krylov]:
    """Return what `steps` steps from each column of `start` find of a symmetric operator.

    Every new vector is made orthogonal to all before it, twice, so that no eigenvalue is found more often
    than it is there. The columns share the products, and are otherwise independent.

    Args:
        product: [n, k] -> K times it, [n, k], symmetric up to rounding.
        start: [n, k], float32 or float64; a column of 0 gives no values.
        steps: m of at least 1; n suffice.

    Source: Lanczos 1950; Golub and Van Loan, "Matrix computations", 10.3; for `Krylov.weights` Golub and
    Meurant 2010, "Matrices, moments and quadrature".

    Raises:
        InputError: for another shape or number of steps, or a product that is not finite.
    """
    if start.dim() != 2 or not start.numel():
        raise InputError(f"expected start vectors [n, k]; got {list(start.shape)}")
    check_whole("the Lanczos steps", steps, 1)
    n, k = start.shape
    norm = torch.linalg.vector_norm(start, dim=0)
    q = start / torch.where(norm > 0, norm, 1.0)
    alive = norm > 0
    basis = [q]
    alphas, betas, counts = [], [], torch.zeros(k, dtype=torch.int64)
    scale = start.new_zeros(k)
    for step in range(min(steps, n)):
        w = product(basis[-1])
        alpha = (basis[-1] * w).sum(dim=0)
        if not bool(w.isfinite().all()):
            raise InputError(f"expected finite products; step {step + 1} of Lanczos' method got others")
        w = _orthogonal(w, basis)
        beta = torch.linalg.vector_norm(w, dim=0)
        scale = torch.maximum(scale, torch.maximum(alpha.abs(), beta))
        alphas.append(alpha)
        betas.append(beta)
        counts += alive.cpu().long()
        alive = alive & (beta > BREAKDOWN * torch.finfo(start.dtype).eps * scale)
        if not bool(alive.any()):
            break
        basis.append(torch.where(alive, w / torch.where(alive, beta, 1.0), 0.0))
    diagonal, off = (torch.stack(part).double().cpu() for part in (alphas, betas))
    unit = torch.finfo(start.dtype).eps
    return [_ritz(diagonal[:m, c], off[:m, c], unit) for c, m in enumerate(counts.tolist())]


def _orthogonal(w: Tensor, basis: list[Tensor]) -> Tensor:
    """Return the columns of w [n, k] without what they share with those of all basis vectors."""
    for _ in range(2):  # "twice is enough": Giraud, Langou, Rozloznik and van den Eshof 2005
        for q in basis:
            w = w - q * (q * w).sum(dim=0)
    return w


def _ritz(diagonal: Tensor, off: Tensor, unit: float) -> Krylov:
    """Return the eigenvalues of the tridiagonal matrix [m, m] and what its eigenvectors say."""
    m = len(diagonal)
    if not m:
        return Krylov(diagonal, diagonal, diagonal, 0)
    matrix = torch.diag(diagonal) + torch.diag(off[:-1], 1) + torch.diag(off[:-1], -1)
    values, vectors = torch.linalg.eigh(matrix)
    residuals = (off[-1] * vectors[-1].abs()).clamp_min(unit * float(values.abs().max()))
    return Krylov(values.flip(0), vectors[0].square().flip(0), residuals.flip(0), m)

"""The leading eigenpairs of a positive semi-definite matrix by a block method that takes a warm start.

Subspace iteration with a Chebyshev filter (Zhou, Saad, Tiago and Chelikowsky 2006, "Self-consistent-field
calculations using Chebyshev-filtered subspace iteration"): a polynomial that is small on [0, b] and grows
fast above it is applied to a block of vectors, the block is made orthonormal, and the matrix, projected onto
it, is solved. Nothing but two numbers at the end of a round crosses to the host.

Three guards make it safe in float32. A column is never filtered by a polynomial whose dynamic range rounding
cannot hold; a little of the previous column stays in each new one, so that a block never loses rank, whatever
the rank of the matrix; and some columns start at random, so that a start that misses a direction finds it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from fastsnf import ops
from fastsnf.ops.exact import full_float32

FIRST_ROUND = (1, 2, 4, 4)
"""Degrees of the filters before the first look at the residual. Of 21 pairs of eNTKs of SIREN fields, moved
by steps of Adam of 1e-4 and 1e-3, it is then mostly below 4e-6 of the largest eigenvalue."""

NEXT_ROUNDS: tuple[tuple[int, ...], ...] = ((8,), (4,), (2, 2), (1, 1, 1, 1))
"""Degrees of the filters between two further looks: the first that the spectrum's range admits, and a flat
spectrum admits much."""

NEARLY = 100.0
"""Times the tolerance: a residual for which a filter of degree 4 has mostly been enough."""

MOST_PRODUCTS = 60
"""Products of the matrix with the block after which it counts as not converged."""

KEPT = 1e-6
"""How much of the previous column stays in a filtered one of norm 1. It bounds the condition number of the
block by about its inverse, whose square Cholesky's method in float64 can take."""

FIRST_RANGE, RANGE = 1e6, 1e12
"""Largest growth of a filter over the spectrum: of the first, whose columns are mixtures, and of the others,
whose columns hold about 1e-7 of each other."""

SMALLEST, SMALL_EIGH = 16, 64
"""Columns of a block at least, and those up to which the projected problem is one launch on a GPU."""


class BlockPairs(NamedTuple):
    """Ritz pairs of the whole block, largest first: `values` [B, m], `vectors` [B, n, m].

    `residual` is the largest ``|K v_i - l_i v_i| / l_0`` of the pairs asked for over the batch, `products`
    how often the matrix was multiplied with the block.
    """

    values: Tensor
    vectors: Tensor
    residual: float
    products: int
    converged: bool


def block_size(count: int) -> int:
    """Return how many columns serve `count` pairs: three times as many up to `SMALL_EIGH`, or two."""
    return max(SMALLEST, min(3 * count, SMALL_EIGH), 2 * count)


def block_pairs(gram: Tensor, count: int, tolerance: float, start: Tensor | None = None) -> BlockPairs:
    """Return the leading eigenpairs of symmetric positive semi-definite matrices [B, n, n].

    Args:
        gram: float32 or float64; indefinite matrices may yield pairs that are not the leading ones.
        count: pairs that must pass the test of the residual; `block_size(count)` must be less than n.
        tolerance: of the residual, relative to the largest eigenvalue.
        start: orthonormal columns [B, n, m] near the leading eigenvectors, largest first, such as the last
            call's `vectors`; those beyond the block are left out, missing ones are random.

    Non-finite entries and a start that is no basis leave a residual that is not finite: not converged.
    """
    with full_float32(gram):  # TF32 would leave residuals of 1e-3
        scale = gram.diagonal(dim1=-2, dim2=-1).amax(dim=-1)[:, None, None]
        scale = torch.where(scale > 0, scale, 1.0)  # squares of 1e20 and of 1e-20 leave float32
        x = _first_block(gram, min(block_size(count), gram.shape[-1]), start)
        kx = gram @ x / scale
        values = torch.full_like(x[:, 0], torch.nan)
        degrees: tuple[int, ...] = FIRST_ROUND
        products, span = 1, FIRST_RANGE
        while True:
            for degree in degrees:
                x = orthonormal(filtered(gram, scale, x, kx, degree, span), x)
                kx = gram @ x / scale
                products, span = products + degree, RANGE
            try:
                values, x, kx = _ritz(x, kx)
            except LinAlgError:  # LAPACK's answer to some matrices that are not finite
                return BlockPairs(values, x, float("nan"), products, False)
            worst = torch.stack([_residual(values, x, kx, count), _spread(values)]).amax(dim=1)
            residual, spread = worst.tolist()  # the one moment at which the host waits
            converged = residual <= tolerance
            if converged or not residual < float("inf") or products >= MOST_PRODUCTS:
                return BlockPairs(values * scale[:, 0], x, residual, products, converged)
            degrees = _next_round(residual > NEARLY * tolerance, spread)


def orthonormal(y: Tensor, x: Tensor) -> Tensor:
    """Return orthonormal columns [B, n, m] that span those of y, `KEPT` towards the orthonormal x.

    Cholesky's QR in float64, twice; of a y of low rank x makes up what is missing. Column j depends on
    columns 0 .. j alone, so that their order stays. NaN where the factorisation fails nonetheless.
    """
    y = y.double()
    y = y / torch.linalg.vector_norm(y, dim=-2, keepdim=True).clamp_min(torch.finfo(y.dtype).tiny)
    y = y + KEPT * x.double()
    for _ in range(2):
        factor, failed = torch.linalg.cholesky_ex(y.mT @ y)  # the _ex form does not wait for the device
        factor = torch.where(failed[:, None, None] == 0, factor, torch.nan)
        y = torch.linalg.solve_triangular(factor.mT, y, upper=True, left=False)
    return y.to(x.dtype)


def scattered(rows: int, columns: int, like: Tensor) -> Tensor:
    """Return numbers in [-1, 1) [rows, columns] that look random and are the same on every device.

    A hash of the place in integers: no generator is touched and nothing is copied to the device.
    """
    index = torch.arange(rows * columns, dtype=torch.int64, device=like.device)
    for multiplier in (0x2C1B3C6D, 0x297A2D39, 0x1B56C4E9):  # odd, below 2^30: products stay below 2^62
        index = (index + 0x3C6EF372) % 2**32
        index = (index ^ (index >> 15)) * multiplier % 2**32
    return (index.to(like.dtype) / 2**31 - 1.0).reshape(rows, columns)


def _first_block(gram: Tensor, size: int, start: Tensor | None) -> Tensor:
    """Return an orthonormal block [B, n, size]: the start's leading columns, then scattered ones."""
    n = gram.shape[-1]
    random = scattered(n, size, gram).expand(len(gram), -1, -1)
    if start is None:
        return orthonormal(random, torch.zeros_like(random))
    kept = min(start.shape[-1], size - size // 16)
    columns = torch.cat([start[..., :kept].to(gram.dtype), random[..., kept:]], dim=-1)
    return orthonormal(columns, random)


def filtered(gram: Tensor, scale: Tensor, x: Tensor, kx: Tensor, degree: int, span: float) -> Tensor:
    """Return ``T_d(A) x`` with ``A = 2 K / b - 1``, each column divided by its own Rayleigh quotient's T_d.

    b is the smallest Rayleigh quotient of the block, or as much more as keeps ``T_d`` of the largest below
    `span`. Without the division the recurrence would leave float32's range.
    """
    quotients = (x * kx).sum(dim=-2, keepdim=True)
    lowest = 2.0 / argument(degree, span) * quotients.amax(-1, keepdim=True)
    bound = torch.maximum(quotients.amin(-1, keepdim=True), lowest)
    bound = torch.where(bound > 0, bound, 1.0)
    t = (2.0 * quotients / bound - 1.0).clamp_min(1.0)
    ratio = 1.0 / t  # T_(k-1) / T_k at t
    before, y = x, ratio * (2.0 / bound * kx - x)
    for _ in range(degree - 1):
        following = 1.0 / (2.0 * t - ratio)
        ay = 2.0 / bound * (gram @ y / scale) - y
        before, y = y, following * (2.0 * ay - ratio * before)
        ratio = following
    return y


def argument(degree: int, span: float) -> float:
    """Return the t at which ``T_d(t)``, about ``2^(d - 1) t^d``, is `span`."""
    return (span / 2 ** (degree - 1)) ** (1.0 / degree)


def _next_round(far: bool, spread: float) -> tuple[int, ...]:
    """Return the degrees of the next round, given whether the residual is far off and the `_spread`."""
    rounds = NEXT_ROUNDS if far else NEXT_ROUNDS[1:]
    fitting = [degrees for degrees in rounds if argument(degrees[0], RANGE) >= 2.0 * spread]
    return fitting[0] if fitting else rounds[-1]


def _spread(values: Tensor) -> Tensor:
    """Return the largest over the smallest Ritz value [B], something large where that is but rounding."""
    return values[:, 0] / values[:, -1].clamp_min(torch.finfo(values.dtype).tiny)


def _ritz(x: Tensor, kx: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the Ritz values [B, m] of the block, largest first, their vectors, and K times those."""
    projected = x.mT @ kx
    values, rotation = ops.small_eigh(0.5 * (projected + projected.mT))
    values, rotation = values.flip(-1), rotation.flip(-1)
    return values, x @ rotation, kx @ rotation


def _residual(values: Tensor, x: Tensor, kx: Tensor, count: int) -> Tensor:
    """Return the largest ``|K v_i - l_i v_i| / l_0`` over i < count, [B]; 0 for a matrix that is 0."""
    difference = kx[..., :count] - values[:, None, :count] * x[..., :count]
    worst = torch.linalg.vector_norm(difference, dim=-2).amax(dim=-1)
    return worst / torch.where(values[:, 0] > 0, values[:, 0], 1.0)

"""The leading eigenpairs of an NTK matrix, and what its spectrum says: conditioning and alignment."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from fastsnf import ops
from fastsnf.errors import InputError, unknown
from fastsnf.ntk.block import SMALL_EIGH, block_pairs, block_size

METHODS = ("auto", "eigh", "block")

EIGH_IS_FASTER = 1024
"""Order of a matrix from which the block method may win on a CPU, where LAPACK takes 7 ms for 384 rows in
float32 and 118 ms for 1,024."""

TOLERANCES = {torch.float32: 4e-6, torch.float64: 1e-12}
"""Of the residual, relative to the largest eigenvalue: some times what rounding leaves of it (2e-7 to 1.2e-6
in float32 on eNTKs), so that a converged block is never taken for one that is not."""


class SpectrumError(RuntimeError):
    """No eigenpairs: the matrix is not finite, or LAPACK's or the GPU's solver gave up."""


class Eigenpairs(NamedTuple):
    """Leading eigenpairs, largest first, and how they were found.

    Attributes:
        values: [..., k].
        vectors: [..., n, k], orthonormal columns.
        basis: [..., n, m] with m > k, the whole block, to pass as the next call's `start`; None after a plain
            `eigh`, which makes no use of one.
        method: ``eigh`` or ``block``.
        products: of the matrix with a block; 0 without one.
        residual: the largest ``|K v_i - l_i v_i| / l_0`` that the block was left with; None without one.
        fallback: whether a block did not converge and a full `eigh` answered in its place.
    """

    values: Tensor
    vectors: Tensor
    basis: Tensor | None = None
    method: str = "eigh"
    products: int = 0
    residual: float | None = None
    fallback: bool = False


class Alignment(NamedTuple):
    """The kernel-task alignment as a curve, one step an eigenvalue, largest first.

    Attributes:
        ratios: ``t_i = lambda_i / lambda_0`` [..., n]; all 0 for a matrix that is 0.
        energies: ``E(t_i)``, the share of the errors' energy in the directions 0 .. i, [..., n].
    """

    ratios: Tensor
    energies: Tensor

    def at(self, thresholds: Sequence[float] | Tensor) -> Tensor:
        """Return E(t) at thresholds t [m] of ``lambda_i / lambda_0``: [..., m]; 0 above 1."""
        t = torch.as_tensor(thresholds, dtype=self.ratios.dtype, device=self.ratios.device)
        inside = (self.ratios.unsqueeze(-2) >= t.unsqueeze(-1)).sum(dim=-1)  # directions at or above t
        padded = torch.cat([torch.zeros_like(self.energies[..., :1]), self.energies], dim=-1)
        return padded.gather(-1, inside)


def leading(
    gram: Tensor,
    count: int,
    *,
    start: Tensor | None = None,
    method: str = "auto",
    tolerance: float | None = None,
) -> Eigenpairs:
    """Return the `count` leading eigenpairs of symmetric positive semi-definite matrices, largest first.

    Args:
        gram: [..., n, n], float32 or float64, positive semi-definite up to rounding, on any device.
        count: pairs wanted, 0 to n.
        start: the last call's `basis` [..., n, m], or any orthonormal columns near the leading eigenvectors,
            largest first. It saves work; it does not change what is found.
        method: ``eigh`` solves in full; ``block`` takes `fastsnf.ntk.block`, unless the block would be half
            the matrix; ``auto`` takes it where it is expected to be faster: on a GPU for n from 65, on a CPU
            for n from 1,024.
        tolerance: of the block's residual ``|K v_i - l_i v_i|``, relative to the largest eigenvalue; None for
            4e-6 in float32 and 1e-12 in float64. Without convergence a full `eigh` answers, as `fallback`
            says.

    The block method waits for the device once a call where the first round suffices. Eigenvectors are those
    of the matrix up to their sign and, among equal eigenvalues, a rotation.

    Raises:
        SpectrumError: for a matrix with NaN or infinite entries, and where the solver fails.
        InputError: for another shape, dtype, method, or count.
    """
    _check(gram, count, start, method)
    n = gram.shape[-1]
    if count == 0 or gram.numel() == 0:
        return Eigenpairs(gram.new_zeros(*gram.shape[:-2], count), gram.new_zeros(*gram.shape[:-1], count))
    with torch.no_grad(), _own_precision(gram):
        gram = gram.detach()
        if method == "eigh" or not _block_pays(gram, count, asked=method == "block"):
            values, vectors = _eigh(gram)
            return Eigenpairs(values[..., :count], vectors[..., :count])
        flat = gram.reshape(-1, n, n)
        if start is not None:
            start = start.detach().to(gram).expand(*gram.shape[:-1], -1).reshape(len(flat), n, -1)
        found = block_pairs(flat, count, TOLERANCES[gram.dtype] if tolerance is None else tolerance, start)
        values, vectors = found.values, found.vectors
        if not found.converged:
            values, vectors = (part[..., : found.values.shape[-1]] for part in _eigh(flat))
    basis = vectors.reshape(*gram.shape[:-1], -1)
    return Eigenpairs(
        values.reshape(*gram.shape[:-2], -1)[..., :count],
        basis[..., :count],
        basis,
        "block" if found.converged else "eigh",
        found.products,
        found.residual,
        not found.converged,
    )


def condition_number(gram: Tensor, *, average: int = 1, rank_tolerance: float | None = None) -> Tensor:
    """Return ``lambda_max / lambda_min`` of symmetric matrices [..., n, n], inf where that is 0: [...].

    Args:
        gram: float32 or float64; solved in float64.
        average: the mean of so many of the largest eigenvalues over that of as many of the smallest; Fig. 5a
            of the source takes 5, for numerical stability.
        rank_tolerance: a denominator of no more than this times the largest eigenvalue counts as 0; None for
            n times the rounding unit of the dtype of `gram`, in which its entries were computed.

    Source: Section 4.3 (Condition number) of Yeom et al. 2025, "Fast training of sinusoidal neural fields via
    scaling initialization".

    Raises:
        SpectrumError: for a matrix that is not finite.
        InputError: for another shape or dtype, or an average that is not in 1 .. n.
    """
    _check(gram)
    values, _ = eigenpairs(gram)
    tolerance = _rounding(gram) if rank_tolerance is None else rank_tolerance
    return condition_of(values, average=average, rank_tolerance=tolerance).to(gram.dtype)


def condition_of(values: Tensor, *, average: int = 1, rank_tolerance: float = 0.0) -> Tensor:
    """Return `condition_number` [...] from eigenvalues [..., n] that are at hand, largest first.

    Raises:
        InputError: for an average that is not in 1 .. n.
    """
    n = values.shape[-1]
    if isinstance(average, bool) or not isinstance(average, int) or not 1 <= average <= n:
        raise InputError(f"expected average from 1 to {n}, the order of the matrix; got {average!r}")
    smallest, largest = values[..., -average:].mean(-1), values[..., :average].mean(-1)
    singular = smallest <= rank_tolerance * values[..., 0]
    return torch.where(singular, torch.inf, largest / torch.where(singular, 1.0, smallest))


def alignment(gram: Tensor, errors: Tensor) -> Alignment:
    """Return the kernel-task alignment: the share of the errors in directions of large eigenvalues.

    ``E(t) = sum over i with lambda_i / lambda_0 >= t of (v_i . e)^2 / |e|^2``: of what trains fast.
    `Alignment.at` reads it off at given t. Equal eigenvalues share the energy of their last, whatever vectors
    the solver chose.

    Args:
        gram: symmetric [..., n, n], float32 or float64; solved in float64.
        errors: ``e = target - output`` at the same points, [n] or [n, C], summed over channels.

    Returns:
        The curve at every eigenvalue; energies are 0 where all errors are.

    Source: Eq. 9 of Yeom et al. 2025, "Fast training of sinusoidal neural fields via scaling initialization";
    Kopitkov and Indelman 2020, "Neural spectrum alignment", call it energy concentration.

    Raises:
        SpectrumError: for a matrix that is not finite.
        InputError: for other shapes or dtypes.
    """
    _check(gram)
    n = gram.shape[-1]
    if not isinstance(errors, Tensor) or errors.dim() not in (1, 2) or len(errors) != n:
        got = list(errors.shape) if isinstance(errors, Tensor) else type(errors).__name__
        raise InputError(f"expected errors [{n}] or [{n}, C], a row a point; got {got}")
    found = alignment_of(*eigenpairs(gram), errors)
    return Alignment(found.ratios.to(gram.dtype), found.energies.to(gram.dtype))


def alignment_of(values: Tensor, vectors: Tensor, errors: Tensor) -> Alignment:
    """Return `alignment` from eigenpairs that are at hand: [..., n], largest first, and [..., n, n]."""
    n = values.shape[-1]
    e = errors.detach().to(values).reshape(n, -1)
    total = e.square().sum()
    share = (vectors.mT @ e).square().sum(dim=-1) / torch.where(total > 0, total, 1.0)
    top = values[..., :1]
    ratios = torch.where(top > 0, values / torch.where(top > 0, top, 1.0), 0.0)
    return merged(Alignment(ratios, share.cumsum(dim=-1)), n * torch.finfo(values.dtype).eps)


def merged(curve: Alignment, tolerance: float) -> Alignment:
    """Return a curve whose neighbours within `tolerance` share their first ratio and last energy.

    E counts every direction at or above t, so also those that rounding alone puts below it.
    """
    ratios, n = curve.ratios, curve.ratios.shape[-1]
    same = (ratios[..., :-1] - ratios[..., 1:]) <= tolerance
    index = torch.arange(n, device=ratios.device)
    edge = (*ratios.shape[:-1], 1)
    starts = torch.cat([index[:1].expand(edge), torch.where(same, 0, index[1:])], dim=-1)
    ends = torch.cat([torch.where(same, n, index[:-1]), index[-1:].expand(edge)], dim=-1)
    first, last = starts.cummax(dim=-1).values, ends.flip(-1).cummin(dim=-1).values.flip(-1)
    return Alignment(ratios.gather(-1, first), curve.energies.gather(-1, last))


def eigenpairs(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Return all eigenvalues [..., n], largest first, and eigenvectors of [..., n, n], solved in float64.

    Raises:
        SpectrumError: for a matrix that is not finite.
    """
    return _eigh(gram.detach().double())


def _rounding(gram: Tensor) -> float:
    """Return what of the largest eigenvalue rounding leaves uncertain in the others."""
    return float(gram.shape[-1] * torch.finfo(gram.dtype).eps)


def _block_pays(gram: Tensor, count: int, asked: bool) -> bool:
    """Return whether the block method can take the matrix and, unless it was asked for, is the faster one."""
    n, size = gram.shape[-1], block_size(count)
    if 2 * size >= n:
        return False
    return asked or (gram.device.type != "cpu" and n > SMALL_EIGH) or n >= EIGH_IS_FASTER


def _eigh(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Return all eigenpairs of [..., n, n], largest first, or raise `SpectrumError`."""
    # What cuSOLVER makes of these is not said, and a full decomposition waits for the device anyway.
    large = gram.device.type != "cpu" and gram.shape[-1] > SMALL_EIGH
    if large and not bool(gram.isfinite().all()):
        raise SpectrumError(f"expected eigenpairs; got none{_why(gram)}")
    try:
        values, vectors = ops.small_eigh(gram)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # LinAlgError is one; cuSOLVER's own statuses are no more than that
        if not isinstance(error, LinAlgError) and "cusolver" not in str(error).lower():
            raise
        raise SpectrumError(f"expected eigenpairs; the solver failed{_why(gram)}: {error}") from error
    if not bool(values.isfinite().all()):
        raise SpectrumError(
            f"expected eigenpairs; the solver returned values that are not finite{_why(gram)}"
        )
    return values.flip(-1), vectors.flip(-1)


def _why(gram: Tensor) -> str:
    """Return what is wrong with the matrix, in words to go on a message."""
    wrong = int((~gram.isfinite()).sum())
    return f" on a matrix of which {wrong} of {gram.numel()} entries are not finite" if wrong else ""


def _own_precision(gram: Tensor) -> contextlib.AbstractContextManager[None]:
    """Return a context without autocast on the matrix's device."""
    kind = gram.device.type
    return torch.autocast(kind, enabled=False) if ops.has_autocast(kind) else contextlib.nullcontext()


def _check(gram: Tensor, count: int = 0, start: Tensor | None = None, method: str = "auto") -> None:
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if not isinstance(gram, Tensor):
        raise InputError(f"expected a matrix as a torch.Tensor; got {type(gram).__name__}")
    if gram.dim() < 2 or gram.shape[-1] != gram.shape[-2]:
        raise InputError(f"expected square matrices [..., n, n]; got {list(gram.shape)}")
    if gram.dtype not in TOLERANCES:
        raise InputError(f"expected a matrix of float32 or float64; got {gram.dtype}: convert it with .to()")
    n = gram.shape[-1]
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= n:
        raise InputError(f"expected 0 to {n} eigenpairs of a matrix of order {n}; got count={count!r}")
    if start is not None and (start.dim() < 2 or start.shape[-2] != n):
        raise InputError(
            f"expected a start [..., {n}, m], columns of the matrix's order; got {list(start.shape)}"
        )

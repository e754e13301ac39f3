"""The leading eigenpairs of an NTK matrix, and what its spectrum says."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Eigenpairs(NamedTuple):
    """Leading eigenpairs, largest first: `values` [..., k], `vectors` [..., n, k]."""

    values: Tensor
    vectors: Tensor


def leading(gram: Tensor, count: int, *, start: Tensor | None = None) -> Eigenpairs:
    """Return the `count` leading eigenpairs of a symmetric matrix [..., n, n], largest first."""
    values, vectors = torch.linalg.eigh(gram)
    return Eigenpairs(values[..., -count:].flip(-1), vectors[..., -count:].flip(-1))


def condition_number(gram: Tensor) -> Tensor:
    """Return the ratio of the largest to the smallest eigenvalue of [..., n, n]."""
    values = torch.linalg.eigvalsh(gram)
    return values[..., -1] / values[..., 0]


def alignment(gram: Tensor, target: Tensor) -> Tensor:
    """Return the kernel-task alignment  y^T K y / (|K|_F |y|^2)  of [..., n, n] with y [n, C]."""
    return torch.einsum("nc,...nm,mc->...", target, gram, target) / (
        torch.linalg.matrix_norm(gram) * target.square().sum()
    )

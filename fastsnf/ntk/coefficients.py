"""How much of each leading eigen-direction an adjustment takes from the residuals.

The matrix is  ``S = sum over start <= i < end of (lambda_target / lambda_i) v_i v_i^T``  and the identity on
all the rest, written as  ``S = I - V diag(a) V^T``. The released code deviates from the paper's Eq. 5 in two
ways, both followed here: the rest has coefficient 1, where the paper prints ``lambda_i``, and the eigenvalue
to reach is any, the start's under plain gradient descent (the directions behind it are amplified) and the
end's under Adam (the directions before it are attenuated).

Source: Eq. 5 of "Inductive gradient adjustment for spectral bias in implicit neural representations" and
image_fitting/fitting.py of the code released with it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ntk.spectrum import Eigenpairs


def coefficients(values: Tensor, start: int, end: int, target: int, *, rounding: float = 0.0) -> Tensor:
    """Return ``a_i = 1 - lambda_target / lambda_i`` for i in [start, end): [..., end - start].

    Args:
        values: eigenvalues [..., k], largest first, with k > target and k >= end.
        start, end: the range that is adjusted, counted from 0, `end` not included.
        target: the eigenvalue that the others become.
        rounding: eigenvalues of at most this times ``lambda_0`` count as 0, being noise.

    From the first ``lambda_i <= 0`` on the coefficients are 0, as the released code stops there: those
    directions keep their residuals. A ``lambda_target <= 0`` attenuates all before it to nothing, a = 1; the
    released code divides the noise itself, which is the same up to the noise but may flip signs. So S is
    positive semi-definite, and no direction is amplified by more than ``1 / rounding``.

    Nothing waits for the device.

    Raises:
        InputError: unless ``0 <= start <= end <= k`` and, where anything is adjusted, ``0 <= target < k``.
    """
    count = values.shape[-1]
    if not 0 <= start <= end <= count:
        raise InputError(f"expected 0 <= start <= end <= {count}, the pairs given; got {start} and {end}")
    if start == end:
        return values[..., start:end]
    if not 0 <= target < count:
        raise InputError(f"expected a target from 0 to {count - 1}, one of the pairs given; got {target}")
    noise = (rounding * values[..., :1]).clamp_min(0.0)
    chosen, wanted = values[..., start:end], values[..., target : target + 1]
    there = (chosen > noise).cumprod(dim=-1).bool()
    wanted = torch.where(wanted > noise, wanted, 0.0)
    return torch.where(there, 1.0 - wanted / torch.where(there, chosen, 1.0), 0.0)


def adjustment_of(pairs: Eigenpairs, start: int, end: int, target: int) -> tuple[Tensor, Tensor]:
    """Return V [..., n, end - start] and a [..., end - start] of ``S = I - V diag(a) V^T``.

    Eigenvalues of at most n times the rounding unit of their dtype, relative to the largest, are taken for 0:
    that is what rounding leaves of the eigenvalues of a singular matrix of order n.
    """
    rounding = pairs.vectors.shape[-2] * torch.finfo(pairs.values.dtype).eps
    a = coefficients(pairs.values, start, end, target, rounding=rounding)
    return pairs.vectors[..., start:end].contiguous(), a.contiguous()

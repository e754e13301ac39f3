"""The relative error of a signal's strongest frequencies (IGA, Eq. 7)."""

from __future__ import annotations

import torch
from torch import Tensor


class SpectralError:
    """``Delta_k = |F[g](k) - F[f](k)| / |F[g](k)|`` at the strongest frequencies k of a target g.

    Args:
        target: g [N] or [N, 1].
        count: how many frequencies: the bins of the discrete Fourier transform where |F[g]| is largest, as
            the released code takes them. Frequencies without a whole number of periods leak into neighbours.

    Attributes:
        bins: those bins, ascending.
    """

    def __init__(self, target: Tensor, count: int) -> None:
        spectrum = _spectrum(target)
        self.bins = sorted(spectrum.abs().topk(count).indices.tolist())
        self._spectrum = spectrum[self.bins]

    def __call__(self, values: Tensor) -> list[float]:
        """Return the errors of f [N] or [N, 1], lowest frequency first."""
        difference = _spectrum(values)[self.bins] - self._spectrum
        errors: list[float] = (difference.abs() / self._spectrum.abs()).tolist()
        return errors


def _spectrum(values: Tensor) -> Tensor:
    return torch.fft.rfft(values.detach().reshape(-1).double().cpu())

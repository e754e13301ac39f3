"""The frequency spectrum of a field and of a signal: along a line by bins, on a grid by radial bands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fastsnf.analysis.panels import Drawn, Line, Lines, Panel
from fastsnf.errors import InputError, check_whole
from fastsnf.signals import Samples
from fastsnf.signals.signal import Signal
from fastsnf.train.evaluate import predict
from fastsnf.train.losses import VALUES

BANDS = 100
"""Radial bands of a spectrum in two dimensions, as Appendix D of the source has them."""
HIGH = 0.5
"""Fraction of the highest frequency from which `Spectrum.row` counts energy as high."""


@dataclass(frozen=True)
class Spectrum(Drawn):
    """Magnitudes of the discrete Fourier transform of a function on a grid over [-1, 1]^D, without its mean.

    Attributes:
        frequencies: [k], ascending: cycles over the whole interval [-1, 1] along a line; of a grid the middle
            of each band as a fraction of the highest frequency, that of the spectrum's corner.
        amplitudes: [k]: ``|F| / N``, averaged over the coefficients of a band and over channels; half the
            amplitude of a sinusoid with a whole number of periods. NaN for a band without coefficients, as
            grids of less than 2 * bands points have some.
        energies: [k], the sum of ``(|F| / N)^2`` over a band and all channels, both signs of a frequency.
        radial: whether these are bands.
    """

    frequencies: Tensor
    amplitudes: Tensor
    energies: Tensor
    radial: bool

    @property
    def centroid(self) -> float:
        """Return the mean frequency, weighted by energy; 0 for a constant."""
        total = float(self.energies.sum())
        return float((self.frequencies * self.energies).sum()) / total if total > 0 else 0.0

    @property
    def high(self) -> float:
        """Return the share of the energy at or above `HIGH` of the highest frequency; 0 for a constant."""
        total = float(self.energies.sum())
        top = self.energies[self.frequencies >= HIGH * self._highest]
        return float(top.sum()) / total if total > 0 else 0.0

    @property
    def _highest(self) -> float:
        return 1.0 if self.radial else float(self.frequencies[-1])

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table, JSON-able."""
        unit = "of the highest frequency" if self.radial else "cycles over [-1, 1]"
        return {
            "bins": len(self.frequencies),
            "radial": self.radial,
            "unit": unit,
            "centroid": self.centroid,
            "highest": self._highest,
            "high_share": self.high,
            "energy": float(self.energies.sum()),
        }

    def panels(self, name: str = "spectrum") -> list[Panel]:
        """Return the amplitudes over frequencies."""
        return spectra_panels({name: self})


def function_spectrum(values: Tensor, *, bands: int = BANDS) -> Spectrum:
    """Return the spectrum of values [*shape, C] on a grid, `shape` of one axis or more.

    Along one axis every bin of the FFT above 0 is kept (Section 4.2 and Fig. 4 of the source). On a grid the
    frequency of an axis of n points runs to its Nyquist frequency n / 2, the radius is relative to that of
    the corner, and `bands` rings of equal width average the magnitudes (Appendix D and Fig. 11).

    A grid has both ends of [-1, 1], so that bin k of n points is ``k (n - 1) / n`` cycles over the interval.

    Source: Yeom et al. 2025, "Fast training of sinusoidal neural fields via scaling initialization".

    Raises:
        InputError: for less than two points, a number of bands below 1, or values that are not finite.
    """
    if values.dim() < 2 or not values.numel() or values[..., 0].numel() < 2:
        raise InputError(f"expected values [*shape, C] at two points or more; got {list(values.shape)}")
    check_whole("bands", bands, 1)
    if not bool(values.isfinite().all()):
        raise InputError("expected finite values; got some that are not")
    shape = values.shape[:-1]
    exact = values.detach().double().cpu()
    exact = exact - exact.mean(dim=tuple(range(len(shape))), keepdim=True)
    points = math.prod(shape)
    if len(shape) == 1:
        return _line(exact, points)
    magnitudes = torch.fft.fftn(exact, dim=tuple(range(len(shape)))).abs() / points
    return _bands(magnitudes.reshape(points, -1), _radii(shape), bands)


def field_spectrum(
    field: nn.Module, shape: tuple[int, ...], *, bands: int = BANDS, outputs: str = VALUES
) -> Spectrum:
    """Return the spectrum of a field's values on a grid of `shape` over [-1, 1]^D.

    Args:
        field: a `fastsnf.nn.Field`, or another module from [n, D] to [n, C].
        shape: of D axes.
        bands: as in `function_spectrum`.
        outputs: what the field returns, ``values`` or ``logits``.

    Raises:
        InputError: for a shape of other than the field's D axes, or as `function_spectrum`.
    """
    features = getattr(field, "in_features", len(shape))
    if len(shape) != features:
        raise InputError(f"expected a shape of {features} axes, as the field has; got {tuple(shape)}")
    channels = _channels(field, features)
    nothing = torch.zeros(()).expand(math.prod(shape), channels)  # a signal is what `predict` takes
    values = predict(field, Samples(shape, channels, nothing), outputs=outputs)  # type: ignore[arg-type]
    assert values is not None, "nothing stops the evaluation"
    return function_spectrum(values.reshape(*shape, channels), bands=bands)


def signal_spectrum(signal: Signal, *, bands: int = BANDS) -> Spectrum:
    """Return the spectrum of a signal's values on its grid; points of weight 0 count as the mean.

    Raises:
        InputError: for a signal without its data, or as `function_spectrum`.
    """
    values = signal.targets(slice(0, signal.size))
    if signal.weights is not None:
        known = (signal.weights > 0)[:, None]
        mean = torch.where(known, values, 0.0).sum(0) / known.sum()
        values = torch.where(known, values, mean)
    return function_spectrum(values.reshape(*signal.shape, signal.out_features), bands=bands)


def spectra_panels(spectra: Mapping[str, Spectrum]) -> list[Panel]:
    """Return one panel with the spectra of several functions by name, those of a line apart from bands."""
    panels: list[Panel] = []
    for radial in (False, True):
        lines = [
            Line(name, s.frequencies.tolist(), s.amplitudes.tolist())
            for name, s in spectra.items()
            if s.radial == radial
        ]
        if lines:
            unit = "frequency / highest frequency" if radial else "cycles over [-1, 1]"
            title = "spectrum by radial bands" if radial else "spectrum"
            panels.append(Lines(title, lines, unit, "|F| / N", log=True))
    return panels


def _channels(field: nn.Module, features: int) -> int:
    known = getattr(field, "out_features", None)
    if isinstance(known, int):
        return known
    parameter = next(field.parameters())
    with torch.no_grad():
        out = field(torch.zeros(2, features, dtype=parameter.dtype.to_real(), device=parameter.device))
    return int(out.shape[-1])


def _line(values: Tensor, points: int) -> Spectrum:
    """Return the spectrum of values [n, C], every frequency above 0."""
    magnitudes = torch.fft.rfft(values, dim=0).abs()[1:] / points
    cycles = torch.arange(1, len(magnitudes) + 1, dtype=torch.float64) * (points - 1) / points
    both = torch.full((len(magnitudes), 1), 2.0, dtype=torch.float64)  # the bins of -k are those of k
    if points % 2 == 0:
        both[-1] = 1.0
    energies = (both * magnitudes.square()).sum(dim=1)
    return Spectrum(cycles, magnitudes.mean(dim=1), energies, radial=False)


def _radii(shape: torch.Size) -> Tensor:
    """Return each coefficient's distance from 0, 1 at the corner of the spectrum: [N]."""
    axes = [2.0 * torch.fft.fftfreq(n, dtype=torch.float64) for n in shape]  # 1 at the Nyquist frequency
    squares = sum(grid.square() for grid in torch.meshgrid(*axes, indexing="ij"))
    return (torch.as_tensor(squares) / len(shape)).sqrt().reshape(-1)


def _bands(magnitudes: Tensor, radii: Tensor, bands: int) -> Spectrum:
    """Return the means over rings of magnitudes [N, C], without the coefficient of frequency 0."""
    inside = radii > 0
    ring = (radii[inside] * bands).long().clamp(max=bands - 1)
    kept = magnitudes[inside]
    counts = torch.zeros(bands, dtype=torch.float64).index_add_(0, ring, torch.ones_like(ring).double())
    sums = torch.zeros(bands, dtype=torch.float64).index_add_(0, ring, kept.mean(dim=1))
    energies = torch.zeros(bands, dtype=torch.float64).index_add_(0, ring, kept.square().sum(dim=1))
    middles = (torch.arange(bands, dtype=torch.float64) + 0.5) / bands
    return Spectrum(middles, sums / counts, energies, radial=True)

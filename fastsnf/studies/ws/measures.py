"""What `ws-init` measures of a field that has made no step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch

from fastsnf.analysis import (
    arcsine_error,
    bessel_series,
    data_at,
    field_spectrum,
    harmonic_bounds,
    layer_statistics,
    ntk_spectrum,
    sampled_points,
    signal_spectrum,
)
from fastsnf.analysis.frequencies import Spectrum
from fastsnf.studies.ws.fits import field_of
from fastsnf.studies.ws.sources import Source

SHARE = 0.95
"""Of a spectrum's energy, below whose frequency it is counted."""
CURVE = tuple(round(0.1 * k, 1) for k in range(1, 61))
"""Alphas of the curve of Eq. 27."""
ORDERS = (1, 3, 5, 7)
"""Orders l at which Lemma 4.2 is checked."""
THRESHOLDS = (0.5, 0.1, 0.01)
"""t of Eq. 9 at which the alignment is kept."""


def activations(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return, hidden layer by hidden layer, how near its activations are to arcsine(-1, 1).

    Points are uniform on [-1, 1]^2. ``second`` are the means of h^2, 1/2 for the arcsine distribution; ``ks``
    Kolmogorov-Smirnov distances of h to it; ``deviation`` those of omega u, and ``normal`` the distances of u
    to a normal distribution of its own mean and deviation.
    """
    gen = torch.Generator().manual_seed(1_000 + facts["seed"])
    x = 2.0 * torch.rand(facts["points"], 2, generator=gen) - 1.0
    layers = layer_statistics(field_of(facts), x).layers
    hidden = list(pairwise(layers))
    return {
        "second": [after.inputs.mean**2 + after.inputs.deviation**2 for _, after in hidden],
        "ks": [after.inputs.to_arcsine.ks for _, after in hidden],
        "deviation": [facts["omega"] * layer.pre_activations.deviation for layer, _ in hidden],
        "normal": [layer.pre_activations.to_normal.ks for layer, _ in hidden],
    }


def expected_second(first: float, layers: int, alpha: float, bias_bound: float) -> list[float]:
    """Return E h^2 of hidden layers in a field of infinite width, from that of the first layer on.

    The phase omega u is a normal number of variance ``2 alpha^2 E h^2`` plus a bias uniform within
    `bias_bound`, B, so that ``E sin^2 = (1 - exp(-4 alpha^2 E h^2) sin(2 B) / (2 B)) / 2``.

    >>> [round(value, 3) for value in expected_second(0.5, 3, 1.0, 0.0)]
    [0.5, 0.432, 0.411]
    """
    shrunk = math.sin(2.0 * bias_bound) / (2.0 * bias_bound) if bias_bound else 1.0
    found = [first]
    for _ in range(layers - 1):
        found.append((1.0 - math.exp(-4.0 * alpha**2 * found[-1]) * shrunk) / 2.0)
    return found


def bias_bound(omega: float, fan_in: int, bias: str) -> float:
    """Return the bound of ``omega b``: PyTorch's b is uniform in +-1/sqrt(fan_in)."""
    return 0.0 if bias == "zero" else omega / math.sqrt(fan_in)


def line_spectrum(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spectrum along [-1, 1] of a field in its initial state (Fig. 4)."""
    field = field_of(facts, in_features=1)
    return _spectrum(field_spectrum(field, (facts["points"],)))


def plane_spectrum(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spectrum in radial bands of a field's picture in its initial state (Fig. 11)."""
    return _spectrum(field_spectrum(field_of(facts), (facts["size"],) * 2, bands=facts["bands"]))


def picture_spectrum(facts: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """Return the spectrum in radial bands of a picture."""
    return _spectrum(signal_spectrum(source.image(facts["size"]), bands=facts["bands"]))


def arcsine_curve() -> dict[str, Any]:
    """Return the curve of Eq. 27, as the paper approximates it and exactly (Fig. 9)."""
    return arcsine_error(CURVE).row()


def lemmas() -> dict[str, Any]:
    """Return the largest error of Lemma 4.1's series, relative to the values, and checks of Lemma 4.2.

    The network of Eq. 6 has 8 features a layer and weights as large as weight scaling by 4 makes them.
    """
    gen = torch.Generator().manual_seed(0)
    w1, w2, w3 = (
        torch.randn(*shape, generator=gen, dtype=torch.float64) for shape in ((8, 1), (8, 8), (1, 8))
    )
    x = torch.linspace(-1.0, 1.0, 101, dtype=torch.float64)[:, None]
    w1, w2 = 30.0 * w1, 4.0 * w2
    values = torch.sin(torch.sin(x @ w1.T) @ w2.T) @ w3.T
    weights = torch.linspace(-math.pi / 2, math.pi / 2, 202, dtype=torch.float64)[1:-1]
    bounds = [harmonic_bounds(weights, order) for order in ORDERS]
    return {
        "series": float((bessel_series(x, w1, w2, w3) - values).abs().max() / values.abs().max()),
        "checked": sum(len(bound.w2) for bound in bounds),
        "hold": sum(int(bound.holds.sum()) for bound in bounds),
    }


def initial_ntk(facts: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """Return the condition number of the eNTK at points of a picture, and its alignment with the errors."""
    field, image = field_of(facts), source.image(facts["size"])
    x, y, _ = data_at(field, image, sampled_points(image, facts["points"], seed=0))
    with torch.no_grad():
        errors = y - field(x)
    found = ntk_spectrum(field, x, errors)
    return {
        "condition": found.condition,
        "alignment": found.energy_at(THRESHOLDS).tolist(),
        "values": found.values.tolist(),
    }


def _spectrum(spectrum: Spectrum) -> dict[str, Any]:
    """Return what tables and pictures need of a spectrum; empty bands are left out."""
    there = spectrum.amplitudes.isfinite()
    frequencies, amplitudes = spectrum.frequencies[there], spectrum.amplitudes[there]
    keep = _thinned(len(frequencies))
    return {
        "centroid": spectrum.centroid,
        "below": quantile(spectrum.frequencies.tolist(), spectrum.energies.tolist(), SHARE),
        "decay": decay(amplitudes.tolist()),
        "frequencies": [float(frequencies[k]) for k in keep],
        "amplitudes": [float(amplitudes[part].mean()) for part in _parts(keep, len(frequencies))],
    }


def quantile(frequencies: Sequence[float], energies: Sequence[float], share: float) -> float:
    """Return the frequency at or below which `share` of the energy lies.

    >>> quantile([1.0, 2.0, 3.0], [0.5, 0.4, 0.1], 0.9)
    2.0
    """
    total, seen = sum(energies), 0.0
    for frequency, energy in zip(frequencies, energies, strict=True):
        seen += energy
        if seen >= share * total * (1.0 - 1e-12):
            return frequency
    return frequencies[-1]


def decay(amplitudes: Sequence[float]) -> float:
    """Return by how many dB the mean amplitude of the upper half of a spectrum is below that of its first
    eighth, as a number of 0 or less where it falls.

    >>> round(decay([1.0] * 8 + [0.5] * 24 + [0.1] * 32))
    -20
    """
    n = len(amplitudes)
    low, high = amplitudes[: max(1, n // 8)], amplitudes[n // 2 :]
    ratio = (sum(high) / len(high)) / (sum(low) / len(low))
    return 20.0 * math.log10(max(ratio, 1e-15))


def _thinned(count: int, most: int = 512) -> list[int]:
    step = -(-count // most)
    return list(range(0, count, step))


def _parts(starts: Sequence[int], count: int) -> list[slice]:
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], count], strict=True)]

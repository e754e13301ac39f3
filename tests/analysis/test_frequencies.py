"""Spectra of sinusoids that are known, and of `numpy.fft`."""

import math

import numpy as np
import pytest
import torch

from fastsnf.analysis import field_spectrum, function_spectrum, signal_spectrum
from fastsnf.analysis.frequencies import spectra_panels
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.signals import Grid, Samples
from tests.cases import generator


def wave(n, *cycles):
    """Return ``1 + sum_i (i + 1) cos(2 pi cycles_i k / n)`` at k = 0 .. n - 1, [n, 1]."""
    k = torch.arange(n, dtype=torch.float64)
    return 1.0 + sum((i + 1) * torch.cos(2 * math.pi * c * k / n) for i, c in enumerate(cycles))[:, None]


@pytest.mark.parametrize("n", [64, 63])
def test_a_line_has_its_sinusoids_and_no_mean(n):
    found = function_spectrum(wave(n, 5, 20))
    expected = torch.zeros(n // 2, dtype=torch.float64)
    expected[[4, 19]] = torch.tensor([0.5, 1.0], dtype=torch.float64)  # half the amplitudes 1 and 2
    assert torch.allclose(found.amplitudes, expected, atol=1e-12)
    assert found.frequencies[4] == pytest.approx(5 * (n - 1) / n)  # cycles between both ends
    assert float(found.energies.sum()) == pytest.approx(0.5 + 2.0)  # Parseval: the variance
    assert found.centroid == pytest.approx((0.5 * 5 + 2.0 * 20) / 2.5 * (n - 1) / n)
    assert found.high == pytest.approx(0.8)


def test_a_line_is_numpys():
    values = torch.randn(101, 3, generator=generator(), dtype=torch.float64)
    magnitudes = np.abs(np.fft.rfft(values.numpy() - values.numpy().mean(0), axis=0))[1:].mean(1) / 101
    assert np.allclose(function_spectrum(values).amplitudes.numpy(), magnitudes)


def test_a_plane_wave_lies_in_the_band_of_its_radius():
    rows, columns = torch.meshgrid(torch.arange(60).double(), torch.arange(80).double(), indexing="ij")
    plane = torch.cos(2 * math.pi * (6 * rows / 60 + 16 * columns / 80))
    found = function_spectrum(plane[..., None], bands=10)
    radius = math.sqrt(((6 / 30) ** 2 + (16 / 40) ** 2) / 2)  # 0.316 of the corner
    assert int(found.energies.argmax()) == int(10 * radius) == 3
    assert float(found.energies[3]) == pytest.approx(0.5)
    assert float(found.energies.sum()) == pytest.approx(0.5)
    assert found.frequencies.tolist() == pytest.approx([0.05 + 0.1 * i for i in range(10)])


def test_bands_are_means_over_rings_of_numpys_transform():
    values = torch.randn(24, 20, 2, generator=generator(), dtype=torch.float64)
    image = values.numpy() - values.numpy().mean((0, 1))
    magnitudes = np.abs(np.fft.fft2(image, axes=(0, 1))).mean(2) / 480
    radii = np.hypot(*np.meshgrid(2 * np.fft.fftfreq(24), 2 * np.fft.fftfreq(20), indexing="ij")) / math.sqrt(
        2
    )
    for band, mean in enumerate(function_spectrum(values, bands=7).amplitudes.tolist()):
        ring = (radii > 0) & (np.minimum((radii * 7).astype(int), 6) == band)
        assert mean == pytest.approx(magnitudes[ring].mean())


def test_more_bands_than_there_is_to_fill_are_nan_and_cost_no_energy():
    values = torch.randn(8, 8, 1, generator=generator(), dtype=torch.float64)
    found = function_spectrum(values, bands=100)
    assert bool(found.amplitudes.isnan().any())
    assert float(found.energies.sum()) == pytest.approx(float(values.var(correction=0)))
    assert math.isfinite(found.centroid)


def test_a_field_is_evaluated_on_the_grid():
    field = SNF(2, 3, 8, 1, generator=generator(1))
    found = field_spectrum(field, (12, 10), bands=5)
    with torch.no_grad():
        values = field(Grid((12, 10)).points()).reshape(12, 10, 3)
    assert torch.allclose(found.amplitudes, function_spectrum(values, bands=5).amplitudes)
    assert len(spectra_panels({"a": found, "b": function_spectrum(wave(20, 3))})) == 2
    with pytest.raises(InputError, match="2 axes"):
        field_spectrum(field, (12,))


def test_unknown_points_of_a_signal_do_not_add_frequencies():
    values = torch.full((16, 1), 3.0)
    values[5] = torch.nan
    known = torch.ones(16)
    known[5] = 0.0
    assert float(signal_spectrum(Samples((16,), 1, values, known)).energies.sum()) == pytest.approx(
        0.0, abs=1e-12
    )


def test_bad_calls_are_refused():
    with pytest.raises(InputError, match="two points"):
        function_spectrum(torch.zeros(1, 1))
    with pytest.raises(InputError, match="bands"):
        function_spectrum(torch.zeros(4, 4, 1), bands=0)
    with pytest.raises(InputError, match="finite"):
        function_spectrum(torch.full((4, 1), torch.nan))

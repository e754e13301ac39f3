"""Distances against their definitions by brute force, and closed forms."""

import math

import pytest
import torch

from fastsnf.analysis import distance_to_arcsine, distance_to_normal
from fastsnf.errors import InputError
from tests.cases import generator


def brute(samples, cdf, low, high, steps=400_001):
    """Return sup and integral of |F_n - F| on a fine grid over [low, high]."""
    x = torch.linspace(low, high, steps, dtype=torch.float64)
    empirical = torch.searchsorted(samples.sort().values, x, right=True) / len(samples)
    gap = (empirical - cdf(x)).abs()
    return float(gap.max()), float(gap.sum() * (high - low) / (steps - 1))


@pytest.mark.parametrize("n", [1, 2, 57])
def test_distances_are_their_definitions(n):
    samples = torch.randn(n, generator=generator(n), dtype=torch.float64)
    ks, w = brute(samples, torch.special.ndtr, -9.0, 9.0)
    found = distance_to_normal(samples, 0.0, 1.0)
    assert found.ks == pytest.approx(ks, abs=1e-4)
    assert found.wasserstein == pytest.approx(w, abs=1e-4)
    ks, w = brute(samples, lambda x: 0.5 + torch.asin(x.clamp(-1, 1)) / math.pi, -9.0, 9.0)
    found = distance_to_arcsine(samples)
    assert found.ks == pytest.approx(ks, abs=3e-3)  # the CDF is steep at the ends
    assert found.wasserstein == pytest.approx(w, abs=1e-4)


def test_one_number_in_closed_form():
    found = distance_to_normal(torch.zeros(1), 0.0, 2.0)
    assert found.ks == pytest.approx(0.5)
    assert found.wasserstein == pytest.approx(2.0 * math.sqrt(2.0 / math.pi))  # E|X|
    assert distance_to_arcsine(torch.zeros(1)).wasserstein == pytest.approx(2.0 / math.pi)


def test_quantiles_are_as_near_as_n_numbers_can_be():
    p = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    assert distance_to_arcsine(-torch.cos(math.pi * p)).ks == pytest.approx(0.5 / 1000)
    normal = distance_to_normal(3.0 + 2.0 * torch.special.ndtri(p), 3.0, 2.0)
    assert normal.ks == pytest.approx(0.5 / 1000)
    assert normal.wasserstein < 0.01


def test_by_default_the_normal_distribution_is_fitted():
    samples = 5.0 + 0.1 * torch.randn(4000, generator=generator(), dtype=torch.float64)
    assert distance_to_normal(samples).ks < 0.02
    given = distance_to_normal(samples, float(samples.mean()), float(samples.std(correction=0)))
    assert distance_to_normal(samples) == pytest.approx(given)
    assert distance_to_normal(torch.full((7,), 2.0)) == (0.5, 0.0)


def test_bad_samples_are_refused():
    for samples in (torch.zeros(0), torch.tensor([torch.nan]), torch.zeros(2, dtype=torch.complex64)):
        with pytest.raises(InputError, match="real, finite"):
            distance_to_arcsine(samples)
        with pytest.raises(InputError, match="real, finite"):
            distance_to_normal(samples, 0.0, 1.0)
    with pytest.raises(InputError, match="above 0"):
        distance_to_normal(torch.ones(2), 0.0, 0.0)

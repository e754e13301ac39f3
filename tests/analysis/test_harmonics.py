"""Bessel functions against their integral, the series of Lemma 4.1 against the network, Lemma 4.2, Eq. 27."""

import json
import math

import pytest
import torch

from fastsnf.analysis import arcsine_error, bessel_j, bessel_lines, bessel_series, harmonic_bounds
from fastsnf.analysis.arcsine import exact_cdf, published_cdf
from fastsnf.errors import InputError
from tests.cases import generator


def weights(d1, d2, D=1, C=1, scale=1.0):
    gen = generator(d1 * 100 + d2)
    shapes = ((d1, D), (d2, d1), (C, d2))
    return [scale * torch.randn(shape, generator=gen, dtype=torch.float64) for shape in shapes]


def network(x, w1, w2, w3):
    return torch.sin(torch.sin(x @ w1.T) @ w2.T) @ w3.T


def test_bessel_functions_are_their_integral():
    """``J_l(x) = 1/pi int_0^pi cos(l t - x sin t) dt``: the midpoint rule is exact here."""
    x = torch.tensor([0.0, 1e-9, 1e-3, 0.5, 2.404825557695773, -7.0, 80.0, 400.0], dtype=torch.float64)
    j = bessel_j(60, x)
    t = (torch.arange(2000, dtype=torch.float64) + 0.5) * math.pi / 2000
    for order in (0, 1, 2, 7, 60):
        integral = torch.cos(order * t - x[:, None] * torch.sin(t)).mean(dim=1)
        assert torch.allclose(j[:, order], integral, rtol=0, atol=3e-14), order


def test_small_bessel_functions_keep_their_digits():
    j = bessel_j(9, torch.tensor(0.01, dtype=torch.float64))
    for order in range(10):
        first = 0.005**order / math.factorial(order)  # two terms of the power series: the next is under 1e-10
        assert float(j[order]) == pytest.approx(first * (1 - 0.005**2 / (order + 1)), rel=1e-9)


@pytest.mark.parametrize(("d1", "d2", "D", "C"), [(1, 1, 1, 1), (3, 4, 2, 3), (40, 20, 1, 1)])
def test_the_series_is_the_network(d1, d2, D, C):
    w1, w2, w3 = weights(d1, d2, D, C)
    x = 2.0 * torch.rand(50, D, generator=generator(1), dtype=torch.float64) - 1.0
    exact = network(x, w1, w2, w3)
    assert torch.allclose(bessel_series(x, w1, w2, w3), exact, rtol=0, atol=1e-11)
    assert not torch.allclose(bessel_series(x, w1, w2, w3, orders=1), exact, rtol=0, atol=1e-6)


def test_width_one_is_equation_7_over_positive_odd_orders():
    w1, w2, w3 = (torch.tensor([[v]], dtype=torch.float64) for v in (3.0, 1.2, 0.7))
    found = bessel_lines(w1, w2, w3)
    j = bessel_j(11, w2[0, 0])
    assert found.frequencies[:3, 0].tolist() == pytest.approx([3.0, 9.0, 15.0])
    assert found.amplitudes[:3, 0].tolist() == pytest.approx([2 * 0.7 * float(j[l]) for l in (1, 3, 5)])


def test_the_lines_sum_to_the_network():
    w1, w2, w3 = weights(3, 2, 2, 2)
    x = 2.0 * torch.rand(30, 2, generator=generator(1), dtype=torch.float64) - 1.0
    found = bessel_lines(w1, w2, w3)
    assert torch.allclose(found(x), network(x, w1, w2, w3), rtol=0, atol=1e-8)
    assert bool((found.amplitudes.norm(dim=1).diff() <= 0).all())
    assert found.panels()
    assert json.dumps(found.row())
    with pytest.raises(InputError, match="bessel_series"):
        bessel_lines(*weights(12, 2))


def test_larger_second_weights_have_stronger_harmonics():
    w1, w2, w3 = (torch.tensor([[v]], dtype=torch.float64) for v in (1.0, 0.5, 1.0))
    assert bessel_lines(w1, 2.0 * w2, w3).row()["centroid"] > bessel_lines(w1, w2, w3).row()["centroid"]


def test_both_bounds_of_lemma_42_hold_on_its_range():
    w = torch.linspace(-1.57, 1.57, 400, dtype=torch.float64)
    for order in range(12):
        found = harmonic_bounds(w, order)
        assert bool(found.holds.all()), order
    ratio = (bessel_j(3, w)[:, 3] / bessel_j(3, w)[:, 1]).tolist()
    assert harmonic_bounds(w, 1).ratio.tolist() == pytest.approx(ratio)
    found = harmonic_bounds(torch.tensor([0.3, 0.6]), 1)
    assert found.lower.tolist() == pytest.approx([0.09 / 24, 0.36 / 24])
    assert found.upper.tolist() == pytest.approx([0.09 / 15, 0.36 / 15])
    assert [line.name for line in found.panels()[0].lines] == ["lower", "ratio", "upper"]
    for bad in ([0.0], [1.6], []):
        with pytest.raises(InputError, match="Lemma"):
            harmonic_bounds(torch.tensor(bad), 1)


def test_bad_shapes_are_refused():
    w1, w2, w3 = weights(2, 3)
    with pytest.raises(InputError, match=r"\[d1, D\], \[d2, d1\], \[C, d2\]"):
        bessel_series(torch.zeros(1, 1), w1, w2.T, w3)
    with pytest.raises(InputError, match=r"x \[N, 1\]"):
        bessel_series(torch.zeros(1, 2), w1, w2, w3)
    with pytest.raises(InputError, match="orders"):
        bessel_j(-1, w1)
    with pytest.raises(InputError, match="arguments"):
        bessel_j(1, torch.tensor([1e9]))


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.5])
def test_the_exact_cdf_is_that_of_samples(alpha):
    gen = generator(0)
    y = torch.sin(alpha * torch.randn(200_000, generator=gen, dtype=torch.float64))
    z = torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)
    found = torch.stack([(y <= math.sin(v)).double().mean() for v in z.tolist()])
    assert torch.allclose(exact_cdf(z, alpha), found, atol=5e-3)  # 5 deviations of 200,000 samples


def test_the_published_cdf_is_equation_22_linearised():
    """Eq. 24 to 26 are the first-order Taylor polynomial, at z = 0, of Eq. 22 with the logistic CDF."""
    beta, alpha, branches = 0.851, 2.0, 2  # 3 alpha = 6: the peak at 5 pi / 2

    def F(x):
        return 0.5 + 0.5 * torch.tanh(beta / alpha * torch.as_tensor(x, dtype=torch.float64))

    def whole(z):
        value = F(z) - F(-math.pi / 2)
        for n in range(1, branches):
            value = value + F(-(4 * n - 3) * math.pi / 2) - F(-(4 * n + 1) * math.pi / 2)
            value = value + F(z + 2 * n * math.pi) + F(z - 2 * n * math.pi)
            value = value - F(-z + (2 * n - 1) * math.pi) - F(-z - (2 * n - 1) * math.pi)
        return value

    z = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = whole(z)
    (slope,) = torch.autograd.grad(value, z)
    at = torch.tensor([-1.0, 0.0, 0.5], dtype=torch.float64)
    assert torch.allclose(published_cdf(at, alpha, beta), value.detach() + slope * at, atol=1e-12)


def test_both_curves_of_equation_27_fall_from_alpha_1_on(tmp_path):
    found = arcsine_error([1.0, 1.5, 2.0, 2.37, 4.0])
    assert bool((found.published[1:] < found.published[0]).all())
    assert bool((found.exact.diff() < 0).all())
    assert float(found.exact[-1]) < 1e-12
    found.draw(tmp_path / "eq27.png")
    with pytest.raises(InputError, match="above 0"):
        arcsine_error([0.0])

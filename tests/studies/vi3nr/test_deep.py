"""Deep nets: the errors by hand, against autograd in float64, and the exact variances of their starts."""

import math

import pytest
import torch

from fastsnf import ops
from fastsnf.studies.vi3nr import deep
from fastsnf.studies.vi3nr.activations import FUNCTIONS, SPECS, with_derivative
from fastsnf.studies.vi3nr.cases import (
    net_of,
    root_of,
    sampled_variance,
    sigma_p_of,
    variance_of,
)
from fastsnf.studies.vi3nr.deep import Net, smape, variance_errors

NETS = [
    Net("tanh", 1.0, 2.54),
    Net("relu", 1.0, 2.0),
    Net("sigmoid", 6.75, 103.0),
    Net("gaussian", 0.0777, 0.01457),
    Net("sine", 0.004, 0.001127),
]


def test_smape_by_hand():
    values = torch.tensor([3.0, 1.0, 0.0, math.inf, math.nan])
    # |3 - 1| / (3 + 1), 0, 1 / 1, and what no number says counts as all of it
    assert smape(values, 1.0).tolist() == [0.5, 0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_errors_are_those_of_autograd_through_a_net_of_float64(distribution):
    """The net as the released code writes it: activation, linear without bias, and sum(z * gradients)."""
    width, layers, batch, seed = 24, 5, 7, 3
    ours = variance_errors(
        NETS, seed=seed, width=width, layers=layers, batch=batch, distribution=distribution
    )
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(batch, width, generator=generator)
    gradients = torch.randn(batch, width, generator=generator).double()
    weights = torch.empty(layers, width, width)
    if distribution == "uniform":
        weights.uniform_(-1.0, 1.0, generator=generator)
        deviation = 1.0 / math.sqrt(3.0)
    else:
        weights.normal_(generator=generator)
        deviation = 1.0
    for place, net in enumerate(NETS):
        scale = math.sqrt(net.variance / width) / deviation
        start = (inputs.double() * net.sigma_p).requires_grad_()
        z = start
        for weight in weights.double():
            z = FUNCTIONS[net.activation](z) @ (scale * weight).T
        (z * gradients).sum().backward()
        for found, (values, target) in zip(
            ours, ((z.detach(), net.sigma_p**2), (start.grad, 1.0)), strict=True
        ):
            v = values.var(dim=-1)
            expected = 100.0 * ((v - target).abs() / (v + target)).mean()
            assert found[place] == pytest.approx(float(expected), rel=2e-4, abs=2e-4)


def test_chunks_of_inputs_change_nothing(monkeypatch):
    options = {"seed": 1, "width": 16, "layers": 3, "batch": 10}
    whole = variance_errors(NETS, **options)
    monkeypatch.setattr(deep, "VECTORS", 3 * len(NETS))
    for found, expected in zip(variance_errors(NETS, **options), whole, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)


def test_vanishing_and_exploding_gradients_are_errors_of_all():
    nets = [Net("sigmoid", 1.0, 1.0), Net("gaussian", 1.0, 28.3)]
    _, backward = variance_errors(nets, seed=0, width=32, layers=80, batch=4)
    assert backward == [100.0, 100.0]


@pytest.mark.parametrize("name", SPECS)
def test_functions_are_the_specs(name):
    u = torch.linspace(-3.0, 3.0, 301, dtype=torch.float64).requires_grad_()
    expected = ops.activate(u, activation=SPECS[name])
    (slope,) = torch.autograd.grad(expected.sum(), u)
    value, derivative = with_derivative(name, u)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(derivative, slope, rtol=1e-9, atol=1e-9)


def test_variances_by_closed_forms():
    r = 0.05
    assert variance_of("gaussian", "vi3nr") == pytest.approx(math.sqrt(r * r + 2.0) / r, rel=1e-9)  # Eq. 53
    assert variance_of("sine", "vi3nr") == pytest.approx(2.0 / (1.0 - math.exp(-1800.0)), rel=1e-9)
    at = sigma_p_of("sine", "vi3nr-root")
    assert variance_of("sine", "vi3nr-root") == pytest.approx(
        2.0 * at**2 / (1.0 - math.exp(-1800.0 * at**2)), rel=1e-9
    )
    assert variance_of("relu", "vi3nr") == pytest.approx(2.0, rel=1e-9)
    assert variance_of("sigmoid", "kumar") == pytest.approx(12.8)
    assert variance_of("tanh", "pytorch") == pytest.approx(25.0 / 9.0)
    for name, expected in (("tanh", 2.54), ("sigmoid", 3.41), ("sinc", 1.31), ("wavelet", 2.68)):
        assert variance_of(name, "vi3nr") == pytest.approx(expected, rel=0.003)


def test_roots_and_where_there_is_none():
    assert root_of("gaussian") == pytest.approx(0.05 * math.sqrt(1.0 + math.sqrt(2.0)), rel=1e-6)
    assert root_of("sigmoid") == pytest.approx(6.7546, rel=1e-4)
    assert root_of("sinc") == pytest.approx(2.2233, rel=1e-4)
    assert root_of("wavelet") == pytest.approx(0.8705, rel=1e-4)
    assert root_of("tanh") is None
    assert root_of("sine") is None
    assert [sigma_p_of(name, "vi3nr-root") for name in ("tanh", "sine", "relu")] == [0.1, 0.004, 1.0]
    assert sigma_p_of("gaussian", "printed-vi3nr-root") == 0.078
    assert sigma_p_of("gaussian", "vi3nr") == 1.0


def test_sampled_variances_scatter_as_samples_do():
    exact = variance_of("gaussian", "vi3nr-root")
    found = torch.tensor(
        [sampled_variance("gaussian", root_of("gaussian"), 2000, seed) for seed in range(40)]
    )
    r = 1.0 / math.sqrt(1.0 + math.sqrt(2.0))
    square, fourth = r / math.sqrt(r * r + 2.0), r / math.sqrt(r * r + 4.0)
    deviation = exact * math.sqrt(fourth - square**2) / square / math.sqrt(2000)
    assert float(found.std()) == pytest.approx(deviation, rel=0.5)
    assert float(found.mean()) == pytest.approx(exact, abs=5.0 * deviation / math.sqrt(40))
    assert sampled_variance("gaussian", 0.1, 2000, 7) == sampled_variance("gaussian", 0.1, 2000, 7)


def test_printed_nets_have_the_papers_figures():
    assert net_of("sigmoid", "printed-kumar", 0) == Net("sigmoid", 1.0, 12.96)
    assert net_of("sigmoid", "printed-vi3nr-root", 0) == Net("sigmoid", 6.8, 104.28)
    assert net_of("tanh", "printed-vi3nr-root", 0) == Net("tanh", 0.1, 1.02)
    assert net_of("sinc", "printed-vi3nr-root", 0).variance == pytest.approx(10.700, rel=1e-3)
    assert net_of("gaussian", "sampled-100", 0) != net_of("gaussian", "sampled-100", 1)

"""Distributions per layer: those of hand-made networks, and Proposition 3.1 at some width."""

import math

import pytest
import torch
from torch import nn

from fastsnf.analysis import layer_statistics
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from tests.cases import generator, random_points


def test_numbers_are_those_of_the_layers():
    field = SNF(2, 1, 5, 1, generator=generator(1), dtype=torch.float64)
    x = random_points(11, 2, dtype=torch.float64, gen=generator(2))
    y = torch.rand(11, 1, generator=generator(3), dtype=torch.float64)
    found = layer_statistics(field, x, y)
    assert [layer.name for layer in found.layers] == ["net.0.linear", "net.1.linear", "net.2"]
    assert [layer.omega for layer in found.layers] == [30.0, 30.0, 1.0]
    first, second, last = field.linears()
    h1 = torch.sin(30 * first(x))
    u2 = second(h1)
    out = last(torch.sin(30 * u2))
    d_out = 2 * (out - y)
    d_u2 = (d_out @ last.weight) * 30 * torch.cos(30 * u2)
    for sample, exact in (
        (found.layers[0].inputs, x),
        (found.layers[1].inputs, h1),
        (found.layers[1].pre_activations, u2),
        (found.layers[1].gradients, d_u2),
        (found.layers[2].gradients, d_out),
    ):
        exact = exact.detach()
        assert sample.count == exact.numel()
        assert sample.mean == pytest.approx(float(exact.mean()), abs=1e-12)
        assert sample.deviation == pytest.approx(float(exact.std(correction=0)))
        width = float(sample.centres[1] - sample.centres[0])
        assert float(sample.density.sum() * width) == pytest.approx(1.0)
    assert field.fused  # no hook is left behind


def test_weight_scaling_keeps_activations_near_arcsine_and_phases_at_alpha():
    """Proposition 3.1 at width 128: KS distances of some percent, a deviation of alpha without biases."""
    field = SNF(1, 1, 128, 2, alpha=2.0, bias_init="zero", generator=generator(0))
    x = random_points(400, 1, gen=generator(1))
    layers = layer_statistics(field, x).layers
    for layer in layers[2:4]:
        assert layer.inputs.to_arcsine.ks < 0.05
        assert layer.inputs.to_normal.ks > 0.08
    assert layers[2].row()["phase_deviation"] == pytest.approx(2.0, rel=0.15)


def test_complex_and_foreign_modules():
    x = random_points(20, 2, gen=generator(1))
    gabor = layer_statistics(SNF(2, 1, 6, 1, activation="gabor", generator=generator(0)), x)
    assert gabor.layers[1].inputs.count == 2 * 20 * 6  # real and imaginary parts
    torch.manual_seed(0)
    foreign = layer_statistics(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)), x)
    assert [layer.name for layer in foreign.layers] == ["0", "2"]
    assert [len(row) for row in foreign.grid()] == [3, 3]
    assert len(foreign.rows()) == 2
    with pytest.raises(InputError, match=r"torch\.nn\.Linear"):
        layer_statistics(nn.Tanh(), x)


def test_gradients_without_targets_are_those_of_the_sum_over_sqrt_c():
    field = SNF(2, 4, 5, 0, generator=generator(1), dtype=torch.float64)
    found = layer_statistics(field, random_points(7, 2, dtype=torch.float64, gen=generator(2)))
    assert found.layers[-1].gradients.mean == pytest.approx(1 / math.sqrt(4))

"""The Hessian's spectrum against `torch.func.hessian` and `eigvalsh` in float64."""

import json

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian

from fastsnf.analysis import hessian_spectrum
from fastsnf.analysis.hessian import HessianProducts
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.train.losses import LOSSES
from tests.cases import generator, random_points


def data(n=20, outputs=2):
    x = random_points(n, 2, dtype=torch.float64, gen=generator(1))
    return x, torch.rand(n, outputs, generator=generator(2), dtype=torch.float64)


def field(activation="sine", width=6):
    return SNF(2, 2, width, 1, activation=activation, generator=generator(3), dtype=torch.float64)


def dense(module, x, y, weights=None, loss="mse"):
    """Return the Hessian of the loss by `torch.func.hessian`, all parameters in a row."""
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    shapes = [p.shape for p in parameters.values()]
    flat = torch.cat([p.flatten() for p in parameters.values()])

    def value(vector):
        parts = vector.split([shape.numel() for shape in shapes])
        named = {n: part.view(shape) for n, part, shape in zip(parameters, parts, shapes, strict=True)}
        return LOSSES[loss](functional_call(module, named, (x,)), y, weights)

    return hessian(value)(flat)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_products_are_those_of_the_dense_hessian(loss):
    x, y = data()
    weights = torch.rand(20, generator=generator(5), dtype=torch.float64)
    weights[3] = 0.0
    y[3] = torch.nan  # a point of weight 0 is not there
    products = HessianProducts(field(), x, y, weights, loss=loss, chunk=7)
    v = torch.randn(products.count, 2, generator=generator(4), dtype=torch.float64)
    exact = dense(field(), x, y, weights, loss)
    assert torch.allclose(products(v), exact @ v, rtol=1e-9, atol=1e-9 * float((exact @ v).abs().max()))
    products._forwards = False  # by gradients of gradients
    assert torch.allclose(products(v), exact @ v, rtol=1e-9, atol=1e-9 * float((exact @ v).abs().max()))
    assert torch.allclose(products.matrix(), exact, rtol=0, atol=1e-10 * float(exact.abs().max()))


@pytest.mark.parametrize("activation", ["sine", "gaussian", "tanh"])
def test_exact_and_lanczos_agree(activation):
    x, y = data()
    exact = hessian_spectrum(field(activation), x, y)
    values = torch.linalg.eigvalsh(dense(field(activation), x, y)).flip(0)
    assert exact.steps is None
    assert exact.parameters == len(exact.values) == 74
    assert torch.allclose(exact.values, values, rtol=0, atol=1e-11 * float(values.abs().max()))
    magnitudes = values.abs().sort(descending=True).values
    assert exact.condition == pytest.approx(float(magnitudes[:3].mean() / magnitudes[-3:].mean()), rel=1e-4)
    all_steps = hessian_spectrum(field(activation), x, y, method="lanczos", steps=74)
    top = float(magnitudes[0])
    assert torch.allclose(all_steps.values[:5], values[:5], rtol=0, atol=1e-9 * top)
    assert torch.allclose(all_steps.largest, exact.largest, rtol=0, atol=1e-9 * top)
    few = hessian_spectrum(field(activation), x, y, method="lanczos", steps=30)
    assert torch.allclose(few.largest[:2].abs(), exact.largest[:2].abs(), rtol=1e-3)
    assert few.label == "smallest Ritz values of 30 Lanczos steps"
    assert few.condition <= exact.condition * (1 + 1e-6)  # it sees no smaller value than there is


def test_complex_parameters_count_twice():
    module = SNF(2, 2, 4, 1, activation="gabor", generator=generator(3), dtype=torch.float64)
    x, y = data()
    found = hessian_spectrum(module, x, y)
    numbers = sum(p.numel() * (2 if p.is_complex() else 1) for p in module.parameters())
    assert found.parameters == numbers == len(found.values)


def test_a_module_that_couples_its_points_takes_them_at_once():
    class Centred(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(2, 4, dtype=torch.float64), nn.Linear(4, 2, dtype=torch.float64)

        def forward(self, x):
            h = self.first(x)
            return self.last(torch.tanh(h - h.mean(dim=0)))

    x, y = data()
    found = HessianProducts(Centred(), x, y).matrix()
    exact = dense(Centred(), x, y)
    assert torch.allclose(found, exact, rtol=0, atol=1e-10 * float(exact.abs().max()))


def test_frozen_parameters_are_left_out():
    module = field()
    module.net[0].requires_grad_(False)
    x, y = data()
    assert hessian_spectrum(module, x, y).parameters == 74 - 18
    module.requires_grad_(False)
    with pytest.raises(InputError, match="all frozen"):
        hessian_spectrum(module, x, y)


def test_bad_calls_are_refused():
    x, y = data()
    with pytest.raises(InputError, match="did you mean 'lanczos'"):
        hessian_spectrum(field(), x, y, method="lanczo")
    with pytest.raises(InputError, match="the loss"):
        hessian_spectrum(field(), x, y, loss="mae")
    with pytest.raises(InputError, match="at least 6 Lanczos steps"):
        hessian_spectrum(field(), x, y, method="lanczos", steps=5)
    with pytest.raises(InputError, match=r"x \[N, D\] and y \[N, C\]"):
        hessian_spectrum(field(), x, y[:3])


def test_rows_and_panels_name_the_steps():
    x, y = data()
    found = hessian_spectrum(field(), x, y, method="lanczos", steps=10)
    row = json.loads(json.dumps(found.row()))
    assert (row["steps"], row["method"], len(row["smallest"])) == (10, "lanczos", 3)
    assert "10 Lanczos steps" in row["smallest_are"]
    assert "10 Lanczos steps" in found.panels()[0].title

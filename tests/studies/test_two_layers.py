"""The toy of Experiment 1: its closed-form NTK, its folded constants, and its gradient descent."""

import math

import pytest
import torch

from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.studies.iga.spectral import SpectralError
from fastsnf.studies.iga.two_layers import FREQUENCIES, Descent, circle, closed_form_ntk, two_layer_field
from tests.cases import generator


def explicit(field, x):
    """The net as the paper writes it, with the 1/sqrt(2) before the ReLU and the 1/sqrt(m) after the sum."""
    first, head = field.linears()
    width = first.out_features
    signs = head.weight.sign()
    u = (x @ first.weight.T + first.bias) / math.sqrt(2.0)
    return u.relu() @ signs.T / math.sqrt(width)


def test_the_field_is_the_papers_net():
    field = two_layer_field(33, generator(1)).double()
    x = circle(17)[0].double()
    torch.testing.assert_close(field(x), explicit(field, x), rtol=1e-7, atol=1e-9)
    assert [p.requires_grad for p in field.parameters()] == [True, True, False]
    assert not field.linears()[0].bias.any()


def test_the_empirical_ntk_is_the_jacobian_of_the_first_layer():
    field = two_layer_field(21, generator(2))
    x = circle(13)[0]
    parameters = [p.detach().double().requires_grad_() for p in field.linears()[0].parameters()]
    head = field.linears()[1].weight.double()
    out = (x.double() @ parameters[0].T + parameters[1]).relu() @ head.T
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(o, parameters, retain_graph=True)])
        for o in out.flatten()
    ]
    jacobian = torch.stack(rows)
    torch.testing.assert_close(empirical_ntk(field, x).double(), jacobian @ jacobian.T, rtol=1e-5, atol=1e-6)


def test_the_empirical_ntk_converges_to_the_closed_form():
    x = circle(24)[0]
    limit = closed_form_ntk(x)
    assert torch.equal(limit, limit.T)
    assert float(torch.linalg.eigvalsh(limit)[0]) > -1e-12
    assert limit.diagonal().sub(0.5).abs().max() < 1e-3  # 2 pi / (4 pi); arccos is steep where x is rounded

    def error(width):
        grams = [empirical_ntk(two_layer_field(width, generator(seed)), x).double() for seed in range(3)]
        return sum(float((gram - limit).norm() / limit.norm()) for gram in grams) / 3

    errors = [error(width) for width in (256, 4096, 65536)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]  # 1 / sqrt(width) is 4 times less at each
    assert errors[2] < 0.01


def test_plain_descent_is_torchs_own():
    x, y = circle(32)
    field, twin = (two_layer_field(16, generator(3)) for _ in range(2))
    losses = []
    Descent("I", 0, 8, lr=0.1).run(field, x, y, 5, lambda step, loss: losses.append(float(loss)))
    optimizer = torch.optim.SGD([p for p in twin.parameters() if p.requires_grad], lr=0.1)
    expected = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(twin(x), y)
        loss.backward()
        optimizer.step()
        expected.append(float(loss.detach()))
    assert losses == pytest.approx(expected, rel=1e-5)
    for ours, theirs in zip(field.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("method", "group"), [("S", 4), ("S~", 4), ("S~e", 4)])
def test_adjusted_descent_is_that_of_a_dense_transformation(method, group):
    """S as the released code forms it: whole matrices, one eigenvector after the other."""
    x, y = circle(32)
    end = 4
    field, twin = (two_layer_field(64, generator(4)) for _ in range(2))
    Descent(method, end, group, lr=0.05).run(field, x, y, 3, lambda step, loss: None)

    twin = twin.double()
    x, y = x.double(), y.double()
    trained = [p for p in twin.parameters() if p.requires_grad]
    for _ in range(3):
        gram = closed_form_ntk(x)
        if method != "S":
            points = x[group // 2 :: group] if method == "S~e" else x
            gram = empirical_ntk(twin, points)
        values, vectors = torch.linalg.eigh(gram)
        values, vectors = values.flip(0), vectors.flip(1)
        s = torch.eye(len(gram), dtype=torch.float64)
        for i in range(end):
            s -= (1 - values[0] / values[i]) * torch.outer(vectors[:, i], vectors[:, i])
        out = twin(x)
        residual = (out - y).detach()
        if method == "S~e":
            residual = torch.einsum("ij,jkl->ikl", s, residual.reshape(-1, group, 1)).reshape(-1, 1)
        else:
            residual = s @ residual
        gradients = torch.autograd.grad((2.0 / len(x)) * (out * residual).sum(), trained)
        with torch.no_grad():
            for parameter, gradient in zip(trained, gradients, strict=True):
                parameter -= 0.05 * gradient
    for ours, theirs in zip(field.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def test_the_adjustment_is_refreshed_when_asked(monkeypatch):
    from fastsnf.studies.iga import two_layers

    calls = []
    true = two_layers.leading
    monkeypatch.setattr(two_layers, "leading", lambda *a, **k: calls.append(1) or true(*a, **k))
    x, y = circle(16)
    for method, expected in (("I", 0), ("S", 1), ("S~", 3), ("S~e", 3)):
        calls.clear()
        Descent(method, 2, 4, lr=0.05, refresh=2).run(
            two_layer_field(8, generator(5)), x, y, 5, lambda step, loss: None
        )
        assert len(calls) == expected


def test_spectral_errors_are_those_of_the_strongest_bins():
    n = 256
    t = torch.arange(n, dtype=torch.float64) / n
    target = torch.sin(2 * math.pi * 3 * t) + 0.5 * torch.sin(2 * math.pi * 20 * t)
    error = SpectralError(target.float().unsqueeze(1), 2)
    assert error.bins == [3, 20]
    assert error(torch.zeros(n)) == pytest.approx([1.0, 1.0])
    assert error(target) == pytest.approx([0.0, 0.0], abs=1e-6)
    assert error(torch.sin(2 * math.pi * 3 * t)) == pytest.approx([0.0, 1.0], abs=1e-6)
    assert error(-target) == pytest.approx([2.0, 2.0], rel=1e-6)


def test_the_target_of_the_toy_is_eq_8():
    x, y = circle(1024)
    theta = torch.linspace(0, 2 * math.pi, 1024, dtype=torch.float64)
    expected = sum(torch.sin(a * math.pi * theta) for a in (0.4, 0.8, 1.6, 3.2))
    torch.testing.assert_close(y[:, 0].double(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(x.norm(dim=1), torch.ones(1024))
    assert len(SpectralError(y, len(FREQUENCIES)).bins) == 4

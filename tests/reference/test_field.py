"""The reference field: its hand-written VJP, JVP and loss against autograd over code written another way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fastsnf import reference
from fastsnf.spec import Activation, FieldSpec, Finer, Gabor, Gaussian, Identity, ReLU, Sine, Tanh
from tests import cases
from tests.tolerances import FLOAT64, assert_close

WIDTHS = [2, 5, 7, 4, 3]
BIAS = pytest.mark.parametrize(
    "bias", [True, False, [True, False, True, False]], ids=["bias", "none", "mixed"]
)
EVERY = pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)


class Case:
    """A random float64 field of four layers, points with two leading dimensions, and a cotangent."""

    def __init__(
        self, act: Activation, bias: bool | list[bool] = True, first: Activation | None = None
    ) -> None:
        self.gen = cases.generator(11)
        self.spec = FieldSpec.mlp(act, 2, first=first)
        self.weights, self.biases = cases.random_field(self.spec, WIDTHS, bias, torch.float64, self.gen)
        self.x = cases.random_points(6, 3, 2, dtype=torch.float64, gen=self.gen)
        self.d_out = torch.randn(6, 3, 3, dtype=torch.float64, generator=self.gen)
        for tensor in self.tensors():
            tensor.requires_grad_()

    def tensors(self) -> list[Tensor]:
        """Return x, the weights, and the biases that exist."""
        return [self.x, *self.weights, *(b for b in self.biases if b is not None)]

    def forward(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Return the field as a function of `tensors()`."""
        weights, rest = parameters[: len(self.weights)], iter(parameters[len(self.weights) :])
        biases = [None if b is None else next(rest) for b in self.biases]
        return reference.forward(x, weights, biases, self.spec)

    def flat(self, d_x: Tensor, d_weights: list[Tensor], d_biases: list[Tensor | None]) -> list[Tensor]:
        """Check None against the biases and return gradients in the order of `tensors()`."""
        assert [d is None for d in d_biases] == [b is None for b in self.biases]
        return [d_x, *d_weights, *(d for d in d_biases if d is not None)]


class SineLayer(nn.Module):
    """A layer of the SIREN notebook."""

    def __init__(self, weight: Tensor, bias: Tensor, omega: float) -> None:
        super().__init__()
        self.linear, self.omega = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype), omega
        self.linear.weight, self.linear.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.omega * self.linear(x))


def test_forward_is_a_siren() -> None:
    case = Case(Sine(30.0), first=Sine(17.0))
    w, b = case.weights, case.biases
    layers = [SineLayer(w[i], b[i], (17.0, 30.0, 30.0)[i]) for i in range(3)]
    out = nn.Sequential(*layers)(case.x) @ w[3].T + b[3]
    assert_close(reference.forward(case.x, w, b, case.spec), out, FLOAT64)


def test_forward_is_a_wire() -> None:
    case = Case(Gabor(7.0, 3.0))
    h = case.x
    for weight, bias in zip(case.weights[:-1], case.biases[:-1], strict=True):
        u = h @ weight.T + bias
        h = torch.exp(1j * 7.0 * u - (3.0 * u).abs().square())
    out = (h @ case.weights[-1].T + case.biases[-1]).real
    assert [w.is_complex() for w in case.weights] == [False, True, True, True]
    assert_close(reference.forward(case.x, case.weights, case.biases, case.spec), out, FLOAT64)


@EVERY
@BIAS
def test_vjp_is_autograds(act: Activation, bias: bool | list[bool]) -> None:
    case = Case(act, bias)
    expected = torch.autograd.grad(case.forward(*case.tensors()), case.tensors(), case.d_out)
    found = case.flat(*reference.vjp(case.x, case.weights, case.biases, case.spec, case.d_out))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert_close(ours, theirs, FLOAT64)


@EVERY
@BIAS
def test_jvp_is_torch_funcs(act: Activation, bias: bool | list[bool]) -> None:
    case = Case(act, bias)
    tangents = [cases.random_cotangent(t, case.gen) for t in case.tensors()]
    out, t_out = torch.func.jvp(case.forward, tuple(case.tensors()), tuple(tangents))
    rest = iter(tangents[1 + len(case.weights) :])
    t_biases = [None if b is None else next(rest) for b in case.biases]
    t_weights = tangents[1 : 1 + len(case.weights)]
    ours = reference.jvp(case.x, case.weights, case.biases, case.spec, tangents[0], t_weights, t_biases)
    assert_close(ours[0], out, FLOAT64, "out")
    assert_close(ours[1], t_out, FLOAT64, "t_out")
    gradients = case.flat(*reference.vjp(case.x, case.weights, case.biases, case.spec, case.d_out))
    right = sum((d.conj() * t).sum().real.item() for d, t in zip(gradients, tangents, strict=True))
    assert (case.d_out * ours[1]).sum().item() == pytest.approx(right, rel=1e-9)  # <d, J t> = <J^T d, t>


def test_jvp_takes_none_for_zero() -> None:
    case, none = Case(Gaussian(2.0)), [None] * 4
    t_x = cases.random_cotangent(case.x, case.gen)
    _, t_out = reference.jvp(case.x, case.weights, case.biases, case.spec, t_x, none, none)
    assert_close(
        t_out, torch.func.jvp(lambda x: case.forward(x, *case.tensors()[1:]), (case.x,), (t_x,))[1], FLOAT64
    )
    _, zero = reference.jvp(case.x, case.weights, case.biases, case.spec, None, none, none)
    assert torch.equal(zero, torch.zeros_like(zero))


@EVERY
def test_double_backward_through_the_vjp(act: Activation) -> None:
    """Autograd over the hand-written VJP is autograd's own double backward."""
    case = Case(act)
    case.d_out.requires_grad_()
    inputs = [*case.tensors(), case.d_out]
    expected = torch.autograd.grad(
        case.forward(*case.tensors()), case.tensors(), case.d_out, create_graph=True
    )
    found = case.flat(*reference.vjp(case.x, case.weights, case.biases, case.spec, case.d_out))
    dd = [cases.random_cotangent(t, case.gen) for t in expected]
    theirs = torch.autograd.grad(
        expected, inputs, dd, materialize_grads=True
    )  # the last bias has no part in them
    ours = torch.autograd.grad(found, inputs, dd, materialize_grads=True)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b, FLOAT64)


@pytest.mark.parametrize("act", [*cases.ACTIVATIONS, Identity()], ids=cases.name)
@pytest.mark.parametrize("has_bias", [True, False])
def test_linear_act_and_its_vjp(act: Activation, has_bias: bool) -> None:
    gen = cases.generator(5)
    x = cases.random_points(9, 4, dtype=torch.float64, gen=gen)
    weight = torch.randn(5, 4, dtype=torch.float64, generator=gen) / cases.steepness(act)
    bias = torch.randn(5, dtype=torch.float64, generator=gen) / cases.steepness(act) if has_bias else None
    inputs = [t.requires_grad_() for t in (x, weight, bias) if t is not None]
    h = reference.linear_act(x, weight, bias, act)
    d_h = cases.random_cotangent(h, gen)
    found = reference.linear_act_vjp(x, weight, bias, act, d_h)
    assert (found[2] is None) is (bias is None)
    expected = torch.autograd.grad(h, inputs, d_h)
    for ours, theirs in zip((d for d in found if d is not None), expected, strict=True):
        assert_close(ours, theirs, FLOAT64)


@pytest.mark.parametrize("leading", [(), (1,), (0,), (4,), (2, 0, 3), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("act", [Sine(30.0), Gabor(7.0, 3.0)], ids=cases.name)
def test_leading_dimensions(act: Activation, leading: tuple[int, ...]) -> None:
    case = Case(act)
    x = cases.random_points(*leading, 2, dtype=torch.float64)
    d_out = torch.randn(*leading, 3, dtype=torch.float64)
    out = reference.forward(x, case.weights, case.biases, case.spec)
    assert out.shape == (*leading, 3)
    d_x, d_weights, d_biases = reference.vjp(x, case.weights, case.biases, case.spec, d_out)
    assert d_x.shape == x.shape
    flat_x, flat_d = x.reshape(-1, 2), d_out.reshape(-1, 3)
    _, flat_weights, flat_biases = reference.vjp(flat_x, case.weights, case.biases, case.spec, flat_d)
    for ours, theirs in zip([*d_weights, *d_biases], [*flat_weights, *flat_biases], strict=True):
        assert_close(ours, theirs, FLOAT64)
    loss, *_ = reference.mse_value_and_grad(x, d_out, case.weights, case.biases, case.spec)
    assert loss.shape == ()
    assert bool(loss.isfinite())


def test_layers_may_differ_and_the_last_may_be_activated() -> None:
    spec = FieldSpec((Sine(30.0), Finer(3.0), ReLU(), Tanh()))
    gen = cases.generator(4)
    weights, biases = cases.random_field(spec, WIDTHS, True, torch.float64, gen)
    x = cases.random_points(8, 2, dtype=torch.float64, gen=gen)
    h = torch.sin(30.0 * (x @ weights[0].T + biases[0]))
    u = h @ weights[1].T + biases[1]
    h = torch.sin(3.0 * (u.abs() + 1.0) * u)
    h = (h @ weights[2].T + biases[2]).clamp_min(0.0)
    out = torch.tanh(h @ weights[3].T + biases[3])
    assert_close(reference.forward(x, weights, biases, spec), out, FLOAT64)


def test_layers_must_match() -> None:
    case = Case(Sine(30.0))
    with pytest.raises(ValueError, match="zip"):
        reference.forward(case.x, case.weights[:-1], case.biases[:-1], case.spec)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("act", [Sine(30.0), Gabor(7.0, 3.0)], ids=cases.name)
def test_dtype_is_kept(act: Activation, dtype: torch.dtype) -> None:
    spec = FieldSpec.mlp(act, 1)
    weights, biases = cases.random_field(spec, [2, 4, 4, 1], True, dtype)
    x, target = cases.random_points(5, 2, dtype=dtype), torch.zeros(5, 1, dtype=dtype)
    loss, d_weights, _ = reference.mse_value_and_grad(x, target, weights, biases, spec)
    assert (loss.dtype, [d.dtype for d in d_weights]) == (dtype, [w.dtype for w in weights])


# The loss.


def naive_loss(out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean squared error of the points whose weight is not 0, one point at a time."""
    total, mass = torch.zeros((), dtype=out.dtype), 0.0
    for o, t, w in zip(
        out.reshape(-1, out.shape[-1]), target.reshape(-1, out.shape[-1]), weight.flatten(), strict=True
    ):
        if w != 0:
            total = total + w * (o - t).square().sum() / out.shape[-1]
            mass += float(w)
    return total / mass if mass else total


@EVERY
@BIAS
@pytest.mark.parametrize("weighting", ["none", "random", "holes"])
def test_mse_is_the_naive_one(act: Activation, bias: bool | list[bool], weighting: str) -> None:
    case = Case(act, bias)
    target = torch.randn(6, 3, 3, dtype=torch.float64, generator=case.gen)
    weight = torch.ones(6, 3, dtype=torch.float64)
    if weighting != "none":
        weight = 3.0 * torch.rand(6, 3, dtype=torch.float64, generator=case.gen)
    if weighting == "holes":
        weight[::2, 1] = 0.0
        target[::2, 1] = float("nan")
        target[0, 1, 0] = float("inf")
    expected = naive_loss(case.forward(*case.tensors()), target, weight)
    gradients = torch.autograd.grad(expected, case.tensors()[1:])
    given = None if weighting == "none" else weight
    loss, *found = reference.mse_value_and_grad(case.x, target, case.weights, case.biases, case.spec, given)
    assert_close(loss, expected, FLOAT64, "loss")
    for ours, theirs in zip(case.flat(case.x, *found)[1:], gradients, strict=True):
        assert_close(ours, theirs, FLOAT64)


@pytest.mark.parametrize("act", [Sine(30.0), Gabor(7.0, 3.0)], ids=cases.name)
@pytest.mark.parametrize("rows", [0, 6])
def test_mse_of_nothing_is_zero(act: Activation, rows: int) -> None:
    case = Case(act)
    target = cases.nan_filled(rows, 3, 3, dtype=torch.float64)
    weight = torch.zeros(rows, 3, dtype=torch.float64)
    loss, *found = reference.mse_value_and_grad(
        case.x[:rows], target, case.weights, case.biases, case.spec, weight
    )
    assert loss.item() == 0.0
    for gradient in case.flat(case.x, *found)[1:]:
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_mse_ignores_the_weights_scale() -> None:
    case = Case(Sine(30.0))
    target, weight = torch.randn(6, 3, 3, dtype=torch.float64), torch.rand(6, 3, dtype=torch.float64)
    one, two = (
        reference.mse_value_and_grad(case.x, target, case.weights, case.biases, case.spec, factor * weight)
        for factor in (1.0, 1e-3)
    )
    assert_close(two[0], one[0], FLOAT64)
    assert_close(two[1][0], one[1][0], FLOAT64)

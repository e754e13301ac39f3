"""`Wire2d` against the original's formula, written out here, and its initial distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from fastsnf.errors import InputError
from fastsnf.nn import Wire2d
from tests import cases
from tests.tolerances import FLOAT64, assert_close


class Original(nn.Module):
    """WIRE's two-dimensional network, layer by layer in complex arithmetic."""

    def __init__(
        self, D: int, C: int, F: int, L: int, first_omega: float, hidden_omega: float, scale: float,
        bias: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        F = int(F / 2)
        layers = []
        for index in range(L + 1):
            dtype = torch.cfloat if index else torch.float
            layer = nn.Module()
            layer.linear = nn.Linear(F if index else D, F, bias, dtype=dtype)
            layer.scale_orth = nn.Linear(F if index else D, F, bias, dtype=dtype)
            layers.append(layer)
        self.net = nn.Sequential(*layers, nn.Linear(F, C, bias, dtype=torch.cfloat))
        self.omegas, self.scale = [first_omega, *[hidden_omega] * L], scale

    def forward(self, x: Tensor) -> Tensor:
        *layers, head = self.net
        for layer, omega in zip(layers, self.omegas, strict=True):
            u, v = layer.linear(x), layer.scale_orth(x)
            window = torch.exp(-self.scale * self.scale * (u.abs().square() + v.abs().square()))
            x = torch.exp(1j * omega * u) * window
        return head(x).real


SETTINGS = {"first_omega": 12.0, "hidden_omega": 5.0, "scale": 4.0}


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "bare"])
@pytest.mark.parametrize("layers", [0, 2])
def test_values_and_gradients_are_the_originals(layers: int, bias: bool) -> None:
    field = Wire2d(2, 3, 13, layers, **SETTINGS, bias=bias, dtype=torch.float64)
    original = Original(2, 3, 13, layers, **SETTINGS, bias=bias)
    original = original._apply(lambda t: t.to(torch.complex128 if t.is_complex() else torch.float64))
    original.load_state_dict(field.state_dict())
    x = cases.random_points(4, 7, 2, dtype=torch.float64)
    out, expected = field(x), original(x)
    assert out.dtype == torch.float64
    assert_close(out, expected, FLOAT64)
    d_out = torch.randn(4, 7, 3, dtype=torch.float64)
    named = dict(original.named_parameters())
    grads = torch.autograd.grad(out, list(field.parameters()), d_out)
    wanted = torch.autograd.grad(expected, [named[name] for name, _ in field.named_parameters()], d_out)
    for gradient, exact in zip(grads, wanted, strict=True):
        assert float(exact.abs().max()) > 0
        assert_close(gradient, exact, 10 * FLOAT64)


def test_hooks_are_honoured_and_change_nothing() -> None:
    field = Wire2d(2, 3, 13, 1, **SETTINGS, dtype=torch.float64)
    x = cases.random_points(9, 2, dtype=torch.float64)
    out, seen = field(x), []
    for layer in list(field.net)[:2]:
        for linear in (layer.linear, layer.scale_orth):
            linear.register_forward_hook(lambda *call: seen.append(call[0]))
    assert_close(field(x), out, FLOAT64)
    assert len(seen) == 4


def test_the_global_seed_gives_the_numbers_of_the_original() -> None:
    torch.manual_seed(3)
    field = Wire2d(2, 3, 16, 2, **SETTINGS)
    torch.manual_seed(3)
    expected = Original(2, 3, 16, 2, **SETTINGS, bias=True).state_dict()
    assert field.state_dict().keys() == expected.keys()
    for name, value in field.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_widths_dtypes_and_parameters() -> None:
    """WIRE's count: about the parameters of a real field of width F."""
    field = Wire2d(2, 3, 256, 2)
    first, *hidden = list(field.net)[:-1]
    assert first.linear.weight.dtype == torch.float32
    assert all(layer.scale_orth.weight.dtype == torch.complex64 for layer in hidden)
    assert hidden[0].linear.weight.shape == (128, 128)
    real = sum(p.numel() * (2 if p.is_complex() else 1) for p in field.parameters())
    assert real == 2 * (2 * 128 + 128) + 2 * 2 * 2 * (128 * 128 + 128) + 2 * (128 * 3 + 3)
    assert abs(real / 133_123 - 1) < 0.02


def test_initial_distributions_over_seeds() -> None:
    """Real and imaginary parts each U(+-1/sqrt(fan_in)); 5 deviations of the sample variance allowed."""
    parts: dict[str, list[Tensor]] = {}
    for seed in range(20):
        for name, value in Wire2d(2, 3, 48, 1, generator=cases.generator(seed)).state_dict().items():
            pieces = torch.view_as_real(value).unbind(-1) if value.is_complex() else (value,)
            for kind, piece in zip(("re", "im"), pieces, strict=False):
                parts.setdefault(f"{name} {kind}", []).append(piece.double().flatten())
    assert len(parts) == 4 + 2 * 4 + 2 * 2
    for name, pieces in parts.items():
        values, bound = torch.cat(pieces), 1.0 / math.sqrt(2 if name.startswith("net.0") else 24)
        assert float(values.abs().max()) <= bound * (1 + 1e-6)
        assert float(values.var()) == pytest.approx(bound**2 / 3, rel=5 * math.sqrt(0.8 / len(values))), name


def test_an_imaginary_pre_activation_may_exceed_one() -> None:
    """|exp(i omega u)| = exp(-omega Im u): the layer's largest value is exp(omega^2 / (4 scale^2))."""
    field = Wire2d(1, 1, 2, 1, first_omega=20.0, hidden_omega=20.0, scale=10.0)
    layer = field.net[1]
    with torch.no_grad():
        for linear in (layer.linear, layer.scale_orth):
            linear.weight.zero_()
            linear.bias.zero_()
        layer.linear.bias.fill_(complex(0.0, -0.1))
        value = layer(torch.zeros(1, 1, dtype=torch.complex64))
    assert float(value.real) == pytest.approx(math.e, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_features": 1}, "hidden_features of 2 or more"),
        ({"scale": 0.0}, "scale to be a number above 0"),
        ({"first_omega": math.inf}, "first_omega"),
        ({"hidden_omega": True}, "hidden_omega"),
        ({"in_features": 0}, "in_features"),
        ({"dtype": torch.complex64}, "float32 or torch.float64"),
    ],
)
def test_impossible_requests_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Wire2d(**{"in_features": 2, "out_features": 3, "hidden_features": 8, **options})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.complex64])
def test_points_of_another_dtype_are_named(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match=f"weights' dtype torch.float32; got {dtype}: convert"):
        Wire2d(2, 1, 8, 1)(torch.zeros(3, 2, dtype=dtype))

"""A field behaves as any `nn.Module`: copies, conversions, hooks, parametrizations, autocast, odd inputs."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, weight_norm
from torch.nn.utils.parametrize import remove_parametrizations

from fastsnf.errors import InputError
from fastsnf.nn import SNF, Siren
from fastsnf.spec import Activation, Sine
from tests import cases
from tests.tolerances import FLOAT32, assert_close


@pytest.fixture(params=["sine", "gabor"])
def field(request: pytest.FixtureRequest) -> SNF:
    """Return a small real and a small complex field."""
    return SNF(2, 3, 12, 2, activation=request.param)


def by_hand(field: SNF, x: Tensor) -> Tensor:
    """Return the field's values computed layer by layer in plain torch."""
    h = x
    for linear, act in zip(field.linears(), field.spec.activations, strict=True):
        u = nn.functional.linear(h, linear.weight, linear.bias)
        omega, scale = getattr(act, "omega", 0.0), getattr(act, "scale", 0.0)
        if act.name == "sine":
            h = torch.sin(omega * u)
        elif act.name == "gabor":
            h = torch.exp(1j * omega * u - (scale * u).abs().square())
        else:
            h = u
    return h.real if h.is_complex() else h


def gradients(field: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the gradients of a fixed function of the field's values, one a parameter."""
    field.zero_grad()
    out = field(x)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    (out * weights).sum().backward()  # hooks on modules do not fire in torch.autograd.grad
    return [parameter.grad for parameter in field.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_the_layer_by_layer_path_and_the_fused_one_agree(act: Activation) -> None:
    field = SNF(2, 3, 12, 2, activation=act)
    x = cases.random_points(40, 2)
    out, grads = field(x), gradients(field, x)
    handle = field.net[1].register_forward_hook(lambda *_: None)
    assert not field.fused
    assert_close(field(x), out, FLOAT32)
    for a, b in zip(gradients(field, x), grads, strict=True):
        assert_close(a, b, 10 * FLOAT32)
    handle.remove()
    assert field.fused


def test_values_are_those_of_plain_torch(field: SNF) -> None:
    x = cases.random_points(40, 2)
    assert_close(field(x), by_hand(field, x), FLOAT32)


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda field: pickle.loads(pickle.dumps(field))])
def test_copies_compute_the_same_and_share_nothing(field: SNF, copier: Callable[[SNF], SNF]) -> None:
    x = cases.random_points(5, 2)
    twin = copier(field)
    before = field(x)
    assert twin.fused
    assert twin.spec == field.spec
    assert twin.config() == field.config()
    assert torch.equal(twin(x), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(field(x), before)


def test_state_dicts_round_trip_and_wrong_ones_raise(field: SNF) -> None:
    x = cases.random_points(5, 2)
    other = SNF(2, 3, 12, 2, activation=field.spec.activations[0].name)
    assert not torch.equal(other(x), field(x))
    other.load_state_dict(field.state_dict())
    assert torch.equal(other(x), field(x))
    with pytest.raises(RuntimeError, match=r"net\.3\.weight"):
        other.load_state_dict({k: v for k, v in field.state_dict().items() if k != "net.3.weight"})
    assigned = SNF(2, 3, 12, 2, activation=field.spec.activations[0].name, device="meta")
    assigned.load_state_dict(field.state_dict(), assign=True)
    assert torch.equal(assigned(x), field(x))


@pytest.mark.parametrize(
    "convert", [lambda f: f.double(), lambda f: f.to(torch.float64), lambda f: nn.Sequential(f).double()[0]]
)
def test_conversion_keeps_imaginary_parts_and_identities(field: SNF, convert: Callable[[Any], SNF]) -> None:
    x = cases.random_points(9, 2)
    out, parameters = field(x), list(field.parameters())
    double = convert(field)
    assert double is field
    assert all(a is b for a, b in zip(parameters, double.parameters(), strict=True))
    assert double(x.double()).dtype == torch.float64
    assert_close(double(x.double()).float(), out, FLOAT32)
    assert torch.equal(double.float()(x), out)


def test_to_another_device_and_to_empty(field: SNF) -> None:
    meta = copy.deepcopy(field).to("meta")
    assert all(parameter.is_meta for parameter in meta.parameters())
    empty = meta.to_empty(device="cpu")
    assert [p.dtype for p in empty.parameters()] == [p.dtype for p in field.parameters()]
    empty.load_state_dict(field.state_dict())
    x = cases.random_points(5, 2)
    assert torch.equal(empty(x), field(x))


@pytest.mark.parametrize("shape", [(2,), (7, 2), (3, 4, 2), (0, 2), (2, 0, 5, 2)], ids=str)
def test_any_leading_dimensions(field: SNF, shape: tuple[int, ...]) -> None:
    x = cases.random_points(*shape)
    out = field(x)
    assert out.shape == (*shape[:-1], 3)
    assert out.dtype == torch.float32
    assert_close(out, by_hand(field, x), 10 * FLOAT32)
    grads = gradients(field, x)
    assert len(grads) == 8
    assert all(grad.isfinite().all() for grad in grads)
    if 0 in shape:
        assert all((grad == 0).all() for grad in grads)


@pytest.mark.parametrize("layout", [cases.strided, cases.transposed, cases.offset])
def test_any_layout_in_memory(field: SNF, layout: Callable[[Tensor], Tensor]) -> None:
    x = cases.random_points(4, 6, 2)
    assert_close(field(layout(x)), field(x), FLOAT32)
    expanded = x[:1].expand(4, 6, 2)
    assert_close(field(expanded), field(expanded.contiguous()), FLOAT32)


def test_inputs_that_require_grad(field: SNF) -> None:
    x = cases.random_points(6, 2).requires_grad_()
    (d_x,) = torch.autograd.grad(field(x).sum(), x)
    y = x.detach().requires_grad_()
    (expected,) = torch.autograd.grad(by_hand(field, y).sum(), y)
    assert_close(d_x, expected, 10 * FLOAT32)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(4, 3), r"\[\.\.\., 2\]; got \[4, 3\]"),
        (torch.tensor(1.0), r"\[\.\.\., 2\]; got \[\]"),
        (torch.zeros(4, 2, dtype=torch.float64), "float32"),
        (torch.zeros(4, 2, dtype=torch.int64), "float32"),
        (torch.zeros(4, 2, device="meta"), "device|on "),
        ([[0.0, 1.0]], "torch.Tensor; got list"),
    ],
    ids=["width", "0-d", "float64", "int64", "device", "list"],
)
def test_wrong_inputs_say_what_was_expected(x: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SNF(2, 3, 8, 1)(x)


HOOKS: dict[str, Callable[[nn.Module, Callable[..., None]], Any]] = {
    "forward": lambda m, fn: m.register_forward_hook(fn),
    "forward-pre": lambda m, fn: m.register_forward_pre_hook(fn),
    "backward": lambda m, fn: m.register_full_backward_hook(fn),
    "backward-pre": lambda m, fn: m.register_full_backward_pre_hook(fn),
}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("path", ["", "net", "net.0", "net.1.linear", "net.3"])
def test_every_hook_fires_once_a_call(field: SNF, path: str, hook: str) -> None:
    calls: list[str] = []
    x = cases.random_points(4, 2)
    before = gradients(field, x)
    handle = HOOKS[hook](field.get_submodule(path), lambda *_: calls.append(path))
    after = gradients(field, x.requires_grad_())
    assert calls == [path]
    assert field.fused == (path == "")
    for a, b in zip(after, before, strict=True):
        assert_close(a, b, 10 * FLOAT32)
    handle.remove()
    gradients(field, x)
    assert calls == [path]


def test_a_hook_may_change_a_layers_output() -> None:
    field = SNF(2, 3, 8, 1)
    x = cases.random_points(4, 2)
    field.net[1].linear.register_forward_hook(lambda m, args, out: torch.zeros_like(out))
    biases = field.layer_tensors()[1]
    assert biases[-1] is not None
    assert_close(field(x), biases[-1].expand(4, 3), FLOAT32)  # sin(0) = 0 leaves the last bias
    field.register_forward_hook(lambda m, args, out: out + 1)
    assert_close(field(x), biases[-1].expand(4, 3) + 1, FLOAT32)


@pytest.mark.parametrize("layer", ["net.1.linear", "net.3"])
@pytest.mark.parametrize("reparametrize", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrizations_run_layer_by_layer(layer: str, reparametrize: Callable[[nn.Module], None]) -> None:
    field = SNF(2, 3, 8, 2)
    x = cases.random_points(4, 2)
    reparametrize(field.get_submodule(layer))
    field.eval()  # spectral_norm iterates while training
    assert not field.fused
    assert_close(field(x), by_hand(field, x), FLOAT32)
    field(x).sum().backward()
    assert all(parameter.grad is not None for parameter in field.parameters())
    assert all(
        parameter.grad.abs().sum() > 0 for parameter in field.parameters() if parameter.grad is not None
    )
    remove_parametrizations(field.get_submodule(layer), "weight")
    assert field.fused
    assert_close(field(x), by_hand(field, x), FLOAT32)


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_weight_norm_of_the_old_kind_and_pruning() -> None:
    field = SNF(2, 3, 8, 2)
    x = cases.random_points(4, 2)
    out = field(x)
    weight_norm(field.net[1].linear)
    assert not field.fused
    assert_close(field(x), out, FLOAT32)
    with torch.no_grad():
        field.net[1].linear.weight_g.zero_()
    assert not torch.allclose(field(x), out)
    pruned = SNF(2, 3, 8, 2)
    prune.random_unstructured(pruned.net[1].linear, "weight", amount=0.5)
    assert_close(pruned(x), by_hand(pruned, x), FLOAT32)


class LowRank(nn.Module):
    """A linear layer with a trainable low-rank addition, as adapters replace layers."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.base = linear
        self.down = nn.Linear(linear.in_features, 2, bias=False)
        self.up = nn.Linear(2, linear.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


def test_a_replaced_sub_module_is_called() -> None:
    field = SNF(2, 3, 8, 1)
    x = cases.random_points(4, 2)
    field.net[1].linear = LowRank(field.net[1].linear)
    assert not field.fused
    h = field.net[0](x)
    expected = field.net[2](torch.sin(30.0 * field.net[1].linear(h)))
    assert_close(field(x), expected, FLOAT32)
    changed = SNF(2, 3, 8, 1)
    out = changed(x)
    changed.net[1].activation = Sine(5.0)
    assert not changed.fused
    assert not torch.allclose(changed(x), out)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_leaves_the_field_in_its_own_precision(field: SNF, dtype: torch.dtype) -> None:
    x = cases.random_points(64, 2)
    out, grads = field(x), gradients(field, x)
    with torch.autocast("cpu", dtype=dtype):
        inside = field(x)
        assert inside.dtype == torch.float32
        assert torch.equal(inside, out)
        assert torch.equal(field(x.to(dtype)), field(x.to(dtype).float()))
        for a, b in zip(gradients(field, x), grads, strict=True):
            assert_close(a, b, FLOAT32)
        field.net[0].register_forward_hook(lambda *_: None)
        assert_close(field(x), out, FLOAT32)
        head = nn.Linear(3, 1)
        assert head(field(x)).dtype == dtype  # the rest of a model goes on in autocast's dtype


def test_training_moves_every_parameter_and_lowers_the_loss(field: SNF) -> None:
    x, y = cases.random_points(64, 2), torch.rand(64, 3)
    before = [parameter.detach().clone() for parameter in field.parameters()]
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (field(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]
    assert all(not torch.equal(a, b) for a, b in zip(before, field.parameters(), strict=True))


def test_frozen_parameters_get_no_gradient() -> None:
    field = SNF(2, 3, 8, 1)
    field.net[0].requires_grad_(False)
    field(cases.random_points(4, 2)).sum().backward()
    assert [parameter.grad is None for parameter in field.parameters()] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    frozen = SNF(2, 3, 8, 1).requires_grad_(False)
    assert not frozen(cases.random_points(4, 2)).requires_grad


def test_no_grad_and_inference_mode() -> None:
    field = Siren(2, 8, 1, 3)
    x = cases.random_points(4, 2)
    out = field(x)
    with torch.no_grad():
        assert torch.equal(field(x), out)
        assert not field(x).requires_grad
    with torch.inference_mode():
        assert torch.equal(field(x), out)

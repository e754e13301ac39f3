"""Modules that the formula does not cover: explicit Jacobians, or a refusal with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from fastsnf.errors import InputError
from fastsnf.nn import SNF, Field
from fastsnf.nn.plain import only_layers
from fastsnf.ntk import jacobian
from fastsnf.ntk.empirical import empirical_ntk
from tests import cases
from tests.nn import networks
from tests.ntk import explicit
from tests.tolerances import FLOAT64, assert_close, largest

OUTPUTS = ("sum", "each", "full")


def points(n: int = 9, d: int = 2) -> Tensor:
    return cases.random_points(n, d, dtype=torch.float64, gen=cases.generator(n))


def field(**options: Any) -> SNF:
    """Return a small field in float64."""
    return SNF(2, 3, 6, 1, dtype=torch.float64, generator=cases.generator(1), **options)


def by_autograd(module: nn.Module, x: Tensor, outputs: str) -> Tensor:
    """Return K by one backward pass after another."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    rows = []
    for point in x:
        out = module(point.unsqueeze(0))
        out = (out[0] if isinstance(out, tuple) else out).squeeze(0)
        for value in out:
            gradients = torch.autograd.grad(
                value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            real = [torch.view_as_real(g) if g.is_complex() else g for g in gradients]
            rows.append(torch.cat([g.flatten() for g in real]))
    return explicit.gram(torch.stack(rows).unflatten(0, (len(x), -1)), outputs)


def assert_explicit(module: nn.Module, x: Tensor | None = None, tolerance: float = FLOAT64) -> None:
    """Assert that the module goes through Jacobians and that these are right."""
    assert not only_layers(module)
    x = points() if x is None else x
    for outputs in OUTPUTS:
        gram = empirical_ntk(module, x, outputs=outputs)
        assert_close(gram, by_autograd(module, x, outputs), tolerance)
        square = gram if outputs == "each" else gram.reshape(1, len(x) * 3 ** (outputs == "full"), -1)
        assert torch.equal(square, square.mT)
        assert not gram.requires_grad


@pytest.mark.parametrize("activation", ["sine", "gabor", "finer"])
def test_a_parametrized_field(activation: str) -> None:
    module = field(activation=activation)
    if activation != "gabor":  # weight_norm has no complex weights
        parametrizations.weight_norm(module.net[1].linear)
    parametrizations.weight_norm(module.net[0].linear)
    assert_explicit(module)


def test_weight_norm_by_its_formula() -> None:
    module = field()
    for layer in module.linears():
        parametrizations.weight_norm(layer)
    x = points()
    names = [name for name, _ in module.named_parameters()]
    values = {name: p.detach() for name, p in module.named_parameters()}

    def outputs(given: dict[str, Tensor]) -> Tensor:
        h = x
        for layer, act in enumerate(module.spec.activations):
            prefix = f"net.{layer}.linear." if layer < 2 else "net.2."
            g, v = (given[f"{prefix}parametrizations.weight.original{i}"] for i in (0, 1))
            h = explicit.activated(act, h @ (g * v / v.norm(dim=1, keepdim=True)).T + given[prefix + "bias"])
        return h

    rows = torch.func.jacrev(outputs)(values)
    j = torch.cat([rows[name].flatten(2) for name in names], dim=2)
    assert_close(empirical_ntk(module, x), explicit.gram(j, "sum"), FLOAT64)


def test_hooks_are_part_of_the_module() -> None:
    plain = field()
    twice = field()
    twice.net[2].register_forward_hook(lambda module, args, out: 2.0 * out)
    assert_explicit(twice)
    x = points()
    assert_close(empirical_ntk(twice, x), 4.0 * empirical_ntk(plain, x), FLOAT64)
    watched = field()
    watched.net[0].register_forward_hook(lambda *_: None)
    assert_explicit(watched)
    assert_close(empirical_ntk(watched, x), empirical_ntk(plain, x), FLOAT64)


def test_shared_parameters_count_once() -> None:
    module = SNF(2, 3, 6, 2, dtype=torch.float64, generator=cases.generator(2))
    module.net[2].linear.weight = module.net[1].linear.weight
    assert_explicit(module)


def test_a_forward_of_ones_own() -> None:
    class Squared(SNF):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).square()

    assert_explicit(Squared(2, 3, 6, 1, dtype=torch.float64))
    patched = field()
    inner = patched.forward
    patched.forward = lambda x: inner(x).square()  # type: ignore[method-assign]
    assert_explicit(patched)


@pytest.mark.parametrize("layer", [networks.SineLayer, networks.GaussLayer, networks.FinerLayer])
def test_networks_as_people_paste_them(layer: type[nn.Module]) -> None:
    assert_explicit(networks.INR(layer).to(torch.float64))


def test_complex_parameters_are_two_real_ones() -> None:
    module = networks.INR(networks.ComplexGaborLayer)
    x = cases.random_points(7, 2, gen=cases.generator(3))
    assert_close(empirical_ntk(module, x), by_autograd(module, x, "sum"), 1e-4)
    module.net[0].scale_0.requires_grad_()
    assert_close(empirical_ntk(module, x), by_autograd(module, x, "sum"), 1e-4)


def test_frozen_parameters_have_no_part() -> None:
    module = networks.INR(networks.SineLayer).to(torch.float64)
    module.net[0].requires_grad_(False)
    module.net[2].linear.bias.requires_grad_(False)
    assert_explicit(module)


def test_a_module_that_torch_func_does_not_take() -> None:
    """The SIREN notebook's network calls requires_grad_ on its input and answers with a pair."""
    module = networks.NotebookSiren(2, 8, 1, 3, outermost_linear=True).to(torch.float64)
    network = jacobian.Network(module)
    network.rows(points(2), torch.eye(3, dtype=torch.float64))
    assert not network._transforms
    assert_explicit(module)


def test_an_autograd_function_without_rules_for_torch_func() -> None:
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, d_out: Tensor) -> Tensor:
            return 3 * ctx.saved_tensors[0] ** 2 * d_out

    module = nn.Sequential(nn.Linear(2, 5), networks.Function(Cube.apply), nn.Linear(5, 3))
    assert_explicit(module.to(torch.float64))


def test_a_parameter_that_does_not_enter() -> None:
    module = networks.INR(networks.ReLULayer).to(torch.float64)
    module.spare = nn.Parameter(torch.ones(4, dtype=torch.float64))
    assert_explicit(module)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name == "spare")
    assert largest(empirical_ntk(module, points())) == 0.0


@pytest.mark.parametrize("budget", [1, 3000])
@pytest.mark.parametrize("transforms", [True, False])
def test_blocks_of_points_add_up(budget: int, transforms: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Sequential(field())
    x = points(5)
    expected = {outputs: empirical_ntk(module, x, outputs=outputs) for outputs in OUTPUTS}
    monkeypatch.setattr(jacobian, "JACOBIAN_BYTES", budget)
    for outputs in OUTPUTS:
        combinations = jacobian.combinations_of(outputs, 3, x)
        network = jacobian.Network(module)
        network._transforms = transforms
        assert jacobian.points_at_once(network, combinations) < 5
        gram = jacobian.jacobian_gram(network, x, combinations, pairs=outputs == "full")
        gram = gram.squeeze(0) if outputs == "sum" else gram
        assert_close(gram, expected[outputs], FLOAT64)


def test_batches_are_single_matrices() -> None:
    module = nn.Sequential(field())
    x = points(12).reshape(3, 4, 2)
    for outputs, shape in zip(OUTPUTS, [(3, 4, 4), (3, 3, 4, 4), (3, 4, 3, 4, 3)], strict=True):
        together = empirical_ntk(module, x, outputs=outputs)
        assert together.shape == shape
        assert_close(together, empirical_ntk(module[0], x, outputs=outputs), FLOAT64)


NORMS = {"1d": nn.BatchNorm1d, "sync": nn.SyncBatchNorm, "lazy": lambda _: nn.LazyBatchNorm1d()}


@pytest.mark.parametrize("norm", NORMS)
def test_batch_normalisation_is_refused(norm: str) -> None:
    module = nn.Sequential(nn.Linear(2, 6), NORMS[norm](6), nn.ReLU(), nn.Linear(6, 1))
    with pytest.raises(InputError, match="normalises by the batch and so couples its points"):
        empirical_ntk(module, torch.rand(4, 2))


def test_batch_normalisation_without_running_statistics_is_refused_in_any_mode() -> None:
    module = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 1))
    with pytest.raises(InputError, match="got a BatchNorm1d in '1', which normalises by the batch"):
        empirical_ntk(module.eval(), torch.rand(4, 2))


def test_running_statistics_do_not_couple() -> None:
    module = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).to(torch.float64)
    module(points(30))
    assert_explicit(module.eval())


def test_a_field_with_batch_normalisation_in_it_is_refused() -> None:
    module = field()
    module.net.insert(1, nn.BatchNorm1d(6, dtype=torch.float64))
    assert isinstance(module, Field)
    with pytest.raises(InputError, match="couples its points"):
        empirical_ntk(module, points())


class Centred(nn.Module):
    """Subtracts the mean over the points."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=0)


@pytest.mark.parametrize("coupling", [Centred(), nn.Dropout(0.5)], ids=["mean", "dropout"])
def test_other_outputs_that_change_with_the_call_are_refused(coupling: nn.Module) -> None:
    module = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), coupling, nn.Linear(64, 1))
    with pytest.raises(InputError, match="change with the points beside it or at random"):
        empirical_ntk(module, torch.rand(4, 2))


def test_dropout_in_evaluation_does_nothing() -> None:
    assert_explicit(
        nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3)).to(torch.float64).eval()
    )


def test_normalisation_of_a_point_is_taken() -> None:
    assert_explicit(
        nn.Sequential(nn.Linear(2, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3)).to(torch.float64)
    )


def test_what_a_forward_pass_writes_is_dropped() -> None:
    module = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)).to(torch.float64)
    parametrizations.spectral_norm(module[2])  # one power iteration in every pass
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    first, second = (empirical_ntk(module, points()) for _ in "ab")
    assert torch.equal(first, second)
    assert before
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, before[name])


class Shaped(nn.Module):
    """Returns what it is told to."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(2, 3), function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.linear(x))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda out: out.sum(), r"real outputs \[n, C\] at points \[n, D\]; got \[\]"),
        (lambda out: out[0], r"got \[3\]"),
        (lambda out: out.reshape(1, -1), r"from points \[n, D\] to outputs \[n, C\]; got \[1, 9\]"),
        (lambda out: torch.complex(out, out), r"real outputs"),
        (lambda out: {"out": out}, "got dict"),
        (lambda out: out @ out, r"Shaped raised RuntimeError for \[3, 2\]: .*|couple|change"),
        (lambda out: out.nonsense, "AttributeError|nonsense"),
    ],
)
def test_other_outputs_than_values_are_refused(function: Any, message: str) -> None:
    error = AttributeError if "nonsense" in message else InputError
    with pytest.raises(error, match=message):
        empirical_ntk(Shaped(function), torch.rand(4, 2))


def test_a_module_that_fails_says_so() -> None:
    with pytest.raises(InputError, match=r"Sequential raised RuntimeError for \[3, 3\]: .*shapes cannot be"):
        empirical_ntk(nn.Sequential(nn.Linear(2, 1)), torch.rand(4, 3))
    with pytest.raises(InputError, match="lazy module: call it once"):
        empirical_ntk(nn.Sequential(nn.LazyLinear(3)), torch.rand(4, 3))


def test_outputs_that_are_not_finite_are_no_reason_to_refuse() -> None:
    module = Shaped(lambda out: out / 0.0)
    assert not bool(empirical_ntk(module, torch.rand(4, 2)).isfinite().any())

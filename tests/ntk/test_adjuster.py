"""The adjuster: plain steps bit for bit, loops of one's own, failures that are counted, settings refused."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest
import torch
from torch import nn

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.ntk.adjuster import Adjuster
from fastsnf.ntk.config import IGA, SAMPLES
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.groups import Groups, make_groups
from fastsnf.ntk.sampling import SamplePoints
from fastsnf.ntk.spectrum import Eigenpairs, SpectrumError, leading
from tests.ntk import adjusted_by_loops
from tests.ntk.adjusted_steps import GROUPS, assert_near, grads_of, hooked, make_field, problem


@pytest.mark.parametrize("make", [make_field, hooked, lambda: make_field("gabor")])
@pytest.mark.parametrize("weighted", [False, True])
def test_nothing_to_adjust_is_the_plain_step_bit_for_bit(
    make: Callable[[], Field], weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("nothing else is computed")

    monkeypatch.setattr("fastsnf.ntk.adjuster.empirical_ntk", never)
    monkeypatch.setattr(SamplePoints, "rows", never)
    groups, field = GROUPS["ragged"], make()
    x, y = problem(groups)
    w = torch.rand(groups.size) if weighted else None
    adjuster = Adjuster(IGA(start=3, end=3), groups)
    x, y, w = adjuster.arrange(x, y, w)
    loss = adjuster.value_and_grad(field, x, y, w)
    if field.fused:
        weights, biases = field.layer_tensors()
        plain = ops.mse_value_and_grad(x, y, weights, biases, spec=field.spec, sample_weight=w)
        expected = [t for pair in zip(plain.d_weights, plain.d_biases, strict=True) for t in pair]
        assert torch.equal(loss, plain.loss)
    else:
        square = (field(x) - y).square()
        mse = square.mean() if w is None else (square.mean(dim=1) * w).sum() / w.sum()
        expected = list(torch.autograd.grad(mse, list(field.parameters())))
        assert torch.equal(loss, mse)
    found = grads_of(field)
    assert len(found) == len(expected)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
    assert adjuster.report()["short"] == 0


OPTIMIZERS: dict[str, Callable[[list], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_loop_of_ones_own(name: str) -> None:
    """The loss of five lines and `value_and_grad` lead to the same field."""
    groups = GROUPS["ragged"]
    losses = []
    for own in (True, False):
        field = make_field()
        x, y = problem(groups)
        optimizer = OPTIMIZERS[name](list(field.parameters()))
        adjuster = Adjuster(IGA(end=3), groups, optimizer=name)
        x, y = adjuster.arrange(x, y)
        steps = []
        for _ in range(6):
            optimizer.zero_grad()
            if own:
                loss = adjuster.loss(field, x, y)
                loss.backward()
            else:
                loss = adjuster.value_and_grad(field, x, y)
            optimizer.step()
            steps.append(float(loss.detach()))
        losses.append(steps)
        assert steps[-1] < steps[0]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_loss_scales_and_is_the_plain_one() -> None:
    groups, field = GROUPS["ragged"], make_field()
    x, y = problem(groups)
    x, y = Adjuster(IGA(end=3), groups).arrange(x, y)
    loss = Adjuster(IGA(end=3), groups).loss(field, x, y)
    assert torch.equal(loss.detach(), (field(x) - y).square().mean().detach())
    once = torch.autograd.grad(loss, list(field.parameters()), retain_graph=True)
    twice = torch.autograd.grad(2.0 * loss, list(field.parameters()))
    assert all(torch.equal(2.0 * a, b) for a, b in zip(once, twice, strict=True))


def test_residuals_of_a_pipeline_of_ones_own() -> None:
    groups, field = GROUPS["ragged"], make_field()
    x, _ = problem(groups)
    adjuster = Adjuster(IGA(end=3, sample="center"), groups)
    members = adjuster.members()
    (batch,) = adjuster.arrange(x)
    rows = SamplePoints("center", seed=0, count=groups.count).rows(members, 0)
    residual = torch.randn(len(x), 3)
    gram = empirical_ntk(field, batch[rows])
    found = adjuster.transform(residual, gram)
    s = adjusted_by_loops.matrix(gram.double(), adjuster.iga, 3)
    spread = torch.zeros(groups.offsets * groups.count, 3, dtype=torch.float64)
    spread[members.layout.slots] = residual.double()
    wanted = torch.einsum("ji,kic->kjc", s, spread.reshape(groups.offsets, groups.count, 3))
    assert_near([found], [wanted.reshape(-1, 3)[members.layout.slots]])
    with pytest.raises(InputError, match=r"the eNTK of 9 groups, \[9, 9\]; got \[3, 3\]"):
        adjuster.transform(residual, gram[:3, :3])
    assert Adjuster(IGA(end=0), groups).transform(residual, gram).equal(residual)


def test_full_decompositions_at_last_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fell_back(*args: object, **kwargs: object) -> Eigenpairs:
        return leading(*args, **kwargs)._replace(fallback=True)  # type: ignore[arg-type]

    monkeypatch.setattr("fastsnf.ntk.adjuster.leading", fell_back)
    adjuster = Adjuster(IGA(end=2), GROUPS["ragged"])
    batch = adjuster.arrange(*problem(GROUPS["ragged"]))
    for _ in range(3):
        adjuster.value_and_grad(make_field(), *batch)
    assert (adjuster.fallbacks, adjuster.failures) == (3, 0)


def test_the_example_of_the_docstring() -> None:
    text = Adjuster.__doc__.partition("::\n\n")[2].partition("\n\n")[0]  # type: ignore[union-attr]
    assert len(text.splitlines()) == 6
    field = make_field()
    x, y = problem(Groups.patches((160, 160), 32))
    names = {
        "Adjuster": Adjuster, "IGA": IGA, "make_groups": make_groups, "H": 160, "W": 160, "field": field,
        "x": x, "y": y, "optimizer": torch.optim.Adam(field.parameters()),
    }  # fmt: skip
    exec(textwrap.dedent(text).replace("range(1000)", "range(2)"), names)
    assert names["adjuster"].report()["failures"] == 0  # type: ignore[attr-defined]
    assert names["adjuster"].step == 2  # type: ignore[attr-defined]


def test_a_failed_decomposition_is_a_plain_step(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, field = GROUPS["ragged"], make_field()
    adjuster = Adjuster(IGA(end=2, refresh=2), groups)
    x, y = adjuster.arrange(*problem(groups))
    weights, biases = field.layer_tensors()
    plain = ops.mse_value_and_grad(x, y, weights, biases, spec=field.spec)

    def fails(*args: object, **kwargs: object) -> None:
        raise SpectrumError("expected eigenpairs; the solver failed")

    with monkeypatch.context() as patched:
        patched.setattr("fastsnf.ntk.adjuster.leading", fails)
        loss = adjuster.value_and_grad(field, x, y)
        assert torch.equal(loss, plain.loss)
        assert all(map(torch.equal, [w.grad for w in weights], plain.d_weights))
        torch.testing.assert_close(adjuster.loss(field, x, y).detach(), plain.loss)
        assert adjuster.failures == adjuster.report()["failures"] == 2
    adjuster.value_and_grad(field, x, y)
    assert adjuster.failures == 2
    assert not torch.equal(weights[1].grad, plain.d_weights[1])


@pytest.mark.parametrize("make", [make_field, hooked])
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_loss_that_is_nan_is_returned(make: Callable[[], Field], sample: str) -> None:
    groups, field = GROUPS["ragged"], make()
    adjuster = Adjuster(IGA(end=2, sample=sample), groups)
    x, y = adjuster.arrange(*problem(groups))
    y[3, 1] = torch.nan
    assert adjuster.value_and_grad(field, x, y).isnan()
    with torch.no_grad():
        field.linears()[1].weight.fill_(torch.nan)
    failures = adjuster.failures
    for _ in range(2):
        assert adjuster.value_and_grad(field, x, y).isnan()
    assert adjuster.failures == failures + 2
    assert not any(
        tensor.is_floating_point() and tensor.isnan().any() for tensor in adjuster.state_dict().values()
    )


def test_too_few_groups() -> None:
    groups, field = GROUPS["ragged"], make_field()
    adjuster = Adjuster(IGA(end=4), groups, batch=5)
    x, y = problem(groups)
    last = adjuster.members(torch.tensor([0, 5, 7]))
    x, y = x[last.points], y[last.points]
    loss = adjuster.value_and_grad(field, x, y, members=last)
    weights, biases = field.layer_tensors()
    plain = ops.mse_value_and_grad(x, y, weights, biases, spec=field.spec)
    assert torch.equal(loss, plain.loss)
    assert all(map(torch.equal, [w.grad for w in weights], plain.d_weights))
    assert (adjuster.report()["short"], adjuster.failures, adjuster.step) == (1, 0, 1)


@pytest.mark.parametrize(
    ("settings", "more", "message"),
    [
        ({"end": 10}, {}, "expected end of at most 9, as there are 9 groups a step; got 10"),
        ({"end": 9}, {}, "expected target of at most 8, as there are 9 groups a step; got 9"),
        ({"end": 2, "target": 9}, {}, "expected target of at most 8"),
        ({"end": 5}, {"batch": 5}, "expected target of at most 4, as there are 5 groups"),
        ({"end": 2, "refresh": 2}, {"batch": 5}, "expected refresh=1 with 5 of 9 groups a step; got 2"),
    ],
)
def test_settings_that_the_groups_do_not_allow(settings: dict, more: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Adjuster(IGA(**settings), GROUPS["ragged"], **more)
    Adjuster(IGA(end=9), GROUPS["ragged"], optimizer="sgd")
    Adjuster(IGA(start=50, end=50), GROUPS["ragged"])


def test_other_points_than_the_members() -> None:
    groups, field = GROUPS["ragged"], make_field()
    x, y = problem(groups)
    adjuster = Adjuster(IGA(end=2, refresh=2), groups)
    with pytest.raises(InputError, match="for the 90 points of 9 groups, arranged; got \\[80, 2\\]"):
        adjuster.value_and_grad(field, x[:80], y[:80])
    some = adjuster.members(torch.tensor([0, 1]))
    with pytest.raises(InputError, match="expected all groups in every step with refresh=2; got 2 of 9"):
        adjuster.value_and_grad(field, x[some.points], y[some.points], members=some)
    other = Adjuster(IGA(end=2), GROUPS["patches"])
    other.value_and_grad(field, *other.arrange(*problem(GROUPS["patches"])))
    with pytest.raises(InputError, match="expected the kept points of 9 groups; got \\[6\\]"):
        adjuster.load_state_dict(other.state_dict())
    with pytest.raises(InputError, match="expected the state of an Adjuster; got none of step"):
        adjuster.load_state_dict({})


@pytest.mark.parametrize("end", [0, 2])
@pytest.mark.parametrize("make", [make_field, hooked])
def test_nothing_broadcasts(make: Callable[[], Field], end: int) -> None:
    groups, field = GROUPS["ragged"], make()
    adjuster = Adjuster(IGA(end=end), groups)
    x, y = problem(groups)
    for other in (x[:80], torch.cat([x, x]), torch.ones(())):
        with pytest.raises(InputError, match=r"\[90, ...\], a row for each point of 9 patches of 4 x 4; got"):
            adjuster.arrange(x, other)
    x, y = adjuster.arrange(x, y)
    for call in (adjuster.loss, adjuster.value_and_grad):
        for values in (y[:, :1], y[:, 0], y[:80], y.T):
            with pytest.raises(InputError, match=r"of shape \[90, 3\]; got \["):
                call(field, x, values)
        for weights in (torch.ones(90, 1), torch.ones(1), torch.ones(())):
            with pytest.raises(InputError, match=r"weights of shape \[90\]; got \["):
                call(field, x, y, weights)


@pytest.mark.parametrize("sample", SAMPLES)
def test_batch_normalisation_is_refused_with_the_reason(sample: str) -> None:
    groups = GROUPS["ragged"]
    adjuster = Adjuster(IGA(end=2, sample=sample), groups)
    layers = nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
    points = adjuster.arrange(*problem(groups))
    for call in (adjuster.loss, adjuster.value_and_grad):
        with pytest.raises(InputError, match="a BatchNorm1d in '1', which normalises by the batch"):
            call(nn.Sequential(*layers), *points)
    assert float(adjuster.value_and_grad(nn.Sequential(*layers).eval(), *points)) > 0.0


@pytest.mark.parametrize("sample", ["center", "argmax_shared_sum"])
def test_a_kernel_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, sample: str) -> None:
    monkeypatch.setattr("fastsnf.ntk.size.available_bytes", lambda device: 300)
    monkeypatch.setattr("fastsnf.ntk.size.SMALL", 0)
    groups = GROUPS["ragged"]
    adjuster = Adjuster(IGA(end=2, sample=sample), groups)
    with pytest.raises(InputError, match="that fits in memory; got: the NTK of 9 points"):
        adjuster.value_and_grad(make_field(), *adjuster.arrange(*problem(groups)))


def test_the_report_is_the_summary() -> None:
    adjuster = Adjuster(IGA(end=4, sample="center"), GROUPS["ragged"], optimizer="sgd")
    assert adjuster.report() == {
        "groups": 9, "group": "9 patches of 4 x 4", "start": 0, "end": 4, "target": 0, "form": "sgd",
        "sample": "center", "refresh": 1, "failures": 0, "fallbacks": 0, "short": 0,
    }  # fmt: skip

"""Adjusted steps against float64 with S as a matrix and loops over points; plain ones bit for bit."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.nn import SNF, Field, Siren
from fastsnf.ntk.adjuster import Adjuster
from fastsnf.ntk.config import IGA, SAMPLES
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.groups import Groups, make_groups
from fastsnf.ntk.sampling import SamplePoints
from fastsnf.ntk.spectrum import Eigenpairs, SpectrumError, leading
from tests.ntk import adjusted_by_loops
from tests.tolerances import FLOAT64

UPDATE = 1e-5
"""Of a gradient's largest entry: a float32 step against float64, S from a decomposition of each one's K."""

SHAPE = (9, 10)
GROUPS: dict[str, Groups] = {
    "patches": Groups.patches((8, 12), 4),
    "ragged": Groups.patches(SHAPE, 4),
    "runs": Groups.runs(29, 4),
    "index": Groups.of([[4, 0, 9], [3, 8], [1, 5, 2, 6, 7], [10, 11, 12, 13], [14, 15, 16, 17, 18]]),
}


def make_field(kind: str = "sine", channels: int = 3, seed: int = 0, **settings: object) -> Field:
    """Return a small field whose eNTK float32 holds well."""
    gen = torch.Generator().manual_seed(seed)
    scale = {"sine": {"first_omega": 6.0, "hidden_omega": 6.0}, "gabor": {"hidden_omega": 4.0, "scale": 2.0}}
    chosen = {**scale.get(kind, {}), **settings}
    return SNF(2, channels, 16, 1, activation=kind, generator=gen, **chosen)


def problem(groups: Groups, channels: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return points [N, 2] and values [N, C] in their own order."""
    gen = torch.Generator().manual_seed(seed)
    return torch.rand(groups.size, 2, generator=gen) * 2 - 1, torch.rand(groups.size, channels, generator=gen)


def grads_of(field: nn.Module) -> list[Tensor]:
    """Return copies of the gradients."""
    return [p.grad.clone() for p in field.parameters() if p.grad is not None]


def assert_near(found: list[Tensor], exact: list[Tensor], tolerance: float = UPDATE) -> None:
    """Assert equality relative to the largest entry of the whole update."""
    assert len(found) == len(exact)
    most = max(float(t.abs().max()) for t in exact)
    for ours, theirs in zip(found, exact, strict=True):
        worst = float((ours.to(theirs.dtype) - theirs).abs().max())
        assert worst <= tolerance * most, f"{list(theirs.shape)}: {worst:.2e} of {most:.2e}"


class Rows:
    """What `SamplePoints.rows` returned."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.last = torch.empty(0)
        rows = SamplePoints.rows

        def spy(*args: object, **kwargs: object) -> Tensor:
            self.last = rows(*args, **kwargs)  # type: ignore[arg-type]
            return self.last

        monkeypatch.setattr(SamplePoints, "rows", spy)


def judged(
    monkeypatch: pytest.MonkeyPatch,
    field: Field,
    groups: Groups,
    iga: IGA,
    *,
    optimizer: str = "adam",
    weighted: bool = False,
    steps: int = 3,
    tolerance: float = UPDATE,
) -> Adjuster:
    """Take steps of plain descent and assert that each one's update is that of the loops."""
    rows = Rows(monkeypatch)
    dtype = next(field.parameters()).dtype.to_real()
    x, y = (tensor.to(dtype) for tensor in problem(groups, field.out_features))
    w = None
    if weighted:
        w = torch.rand(groups.size) * (torch.rand(groups.size) < 0.7)
        y = torch.where(w[:, None] > 0, y, torch.nan)
    adjuster = Adjuster(iga, groups, optimizer=optimizer)
    points = adjuster.members().points
    batch = adjuster.arrange(x, y, w)
    before: list[int] | None = None
    for step in range(steps):
        exact = adjusted_by_loops.exact_field(field)
        loss = adjuster.value_and_grad(field, *batch)
        chosen = points[rows.last].tolist()
        doubles = (x.double(), y.double(), groups, iga, iga.target_of(optimizer))
        w64 = None if w is None else w.double()
        if iga.sample == "argmax_lagged":
            first = IGA(**{**vars(iga), "sample": "center"})
            wanted = adjusted_by_loops.update(
                exact, *doubles[:3], iga if before else first, doubles[4], w64, before
            )
            residual = exact_residual(exact, x, y, w64)
            ones = torch.ones(groups.size) if w is None else w
            before = [
                adjusted_by_loops.largest(place, residual, ones)
                for place in adjusted_by_loops.places_of(groups)
            ]
        else:
            wanted = adjusted_by_loops.update(exact, *doubles, w64, chosen)
        assert chosen == wanted.chosen, step
        torch.testing.assert_close(loss.double(), wanted.loss, rtol=1e-5, atol=0.0)
        found = [p.grad for p in field.parameters() if p.requires_grad]
        assert_near(found, wanted.grads, tolerance)
        with torch.no_grad():
            for parameter in field.parameters():
                if parameter.grad is not None:
                    parameter -= 0.02 * parameter.grad
    return adjuster


def exact_residual(field: Field, x: Tensor, y: Tensor, w: Tensor | None) -> Tensor:
    """Return the residuals in float64, times the root of the weights."""
    with torch.no_grad():
        residual = adjusted_by_loops.outputs(field, x.double()) - y.double()
    return residual if w is None else torch.where(w[:, None] > 0, residual * w.sqrt()[:, None], 0.0)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("kind", ["patches", "ragged"])
def test_the_update_is_that_of_the_loops(monkeypatch: pytest.MonkeyPatch, sample: str, kind: str) -> None:
    judged(monkeypatch, make_field(), GROUPS[kind], IGA(end=3, sample=sample))


@pytest.mark.parametrize("sample", SAMPLES)
def test_with_weights(monkeypatch: pytest.MonkeyPatch, sample: str) -> None:
    judged(monkeypatch, make_field(), GROUPS["ragged"], IGA(end=3, sample=sample), weighted=True, steps=2)


@pytest.mark.parametrize("kind", ["runs", "index"])
@pytest.mark.parametrize("sample", ["argmax_lagged", "argmax_shared_sum"])
def test_other_groups(monkeypatch: pytest.MonkeyPatch, sample: str, kind: str) -> None:
    judged(monkeypatch, make_field(), GROUPS[kind], IGA(end=2, sample=sample), steps=2)


@pytest.mark.parametrize(
    ("settings", "optimizer"),
    [
        ({"end": 4}, "sgd"),
        ({"end": 4, "form": "sgd"}, "adam"),
        ({"start": 1, "end": 4}, "sgd"),
        ({"start": 1, "end": 4, "target": 5}, "adam"),
        ({"start": 2, "end": 4, "target": 0}, "sgd"),
        ({"end": 6, "target": 5}, "adam"),
    ],
)
def test_forms_and_targets(monkeypatch: pytest.MonkeyPatch, settings: dict, optimizer: str) -> None:
    iga = IGA(sample="center", **settings)
    judged(monkeypatch, make_field(), GROUPS["patches"], iga, optimizer=optimizer, steps=1)


FIELDS: dict[str, Callable[[], Field]] = {
    "gabor": lambda: make_field("gabor"),
    "gabor-real": lambda: make_field("gabor-real", hidden_omega=4.0, scale=2.0),
    "finer": lambda: make_field("finer", first_omega=6.0, hidden_omega=6.0),
    "gaussian": lambda: make_field("gaussian", scale=3.0),
    "relu": lambda: make_field("relu", channels=1),
    "no biases": lambda: make_field(bias=False),
    "siren": lambda: Siren(
        in_features=2, out_features=1, hidden_features=12, hidden_layers=1, outermost_linear=True,
        first_omega_0=6.0, hidden_omega_0=6.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("sample", ["argmax_lagged", "argmax_shared_sum"])
def test_every_field(monkeypatch: pytest.MonkeyPatch, kind: str, sample: str) -> None:
    judged(monkeypatch, FIELDS[kind](), GROUPS["ragged"], IGA(end=2, sample=sample), steps=2)


class Doubled(SNF):
    """A field with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * super().forward(x)


class Bounded(nn.Module):
    """A parametrization: weights of bounded size."""

    def forward(self, weight: Tensor) -> Tensor:
        return torch.tanh(2.0 * weight)


def parametrized() -> Field:
    field = make_field()
    parametrize.register_parametrization(field.linears()[1], "weight", Bounded())
    return field


def hooked() -> Field:
    field = make_field()
    field.net[0].register_forward_hook(lambda module, args, out: 0.5 * out)
    return field


def frozen() -> Field:
    field = make_field()
    field.linears()[0].requires_grad_(False)
    field.linears()[1].bias.requires_grad_(False)
    field.linears()[2].weight.requires_grad_(False)
    return field


@pytest.mark.parametrize("sample", ["argmax_lagged", "argmax", "argmax_shared_sum"])
@pytest.mark.parametrize(
    "make",
    [
        parametrized,
        hooked,
        frozen,
        lambda: Doubled(2, 3, 12, 1, first_omega=6.0, hidden_omega=6.0),
    ],
    ids=["parametrized", "hooked", "frozen", "subclass"],
)
def test_fields_that_are_more_than_layers(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Field], sample: str
) -> None:
    judged(monkeypatch, make(), GROUPS["ragged"], IGA(end=2, sample=sample), steps=2)


class Waves(nn.Module):
    """A network that is no field."""

    def __init__(self) -> None:
        super().__init__()
        self.out_features = 2
        self.first, self.last = nn.Linear(2, 12), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.last(torch.sin(5.0 * self.first(x))), x


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_network_of_ones_own(monkeypatch: pytest.MonkeyPatch, sample: str) -> None:
    judged(monkeypatch, Waves(), GROUPS["ragged"], IGA(end=2, sample=sample), steps=2)  # type: ignore[arg-type]


@pytest.mark.parametrize("sample", SAMPLES)
def test_float64(monkeypatch: pytest.MonkeyPatch, sample: str) -> None:
    field = make_field(dtype=torch.float64)
    judged(monkeypatch, field, GROUPS["ragged"], IGA(end=3, sample=sample), tolerance=FLOAT64)


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


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("settings", [{}, {"refresh": 3}, {"batch": 5}], ids=str)
def test_the_state_goes_on_bit_for_bit(sample: str, settings: dict) -> None:
    groups = GROUPS["ragged"]
    batch, refresh = settings.get("batch"), settings.get("refresh", 1)
    x, y = problem(groups)

    def steps(field: Field, adjuster: Adjuster, numbers: range) -> None:
        for number in numbers:
            if batch:
                ids = torch.randperm(groups.count, generator=torch.Generator().manual_seed(number))[:batch]
                members = adjuster.members(ids)
            else:
                members = adjuster.members()
            points = members.points
            adjuster.value_and_grad(field, x[points], y[points], members=members)
            with torch.no_grad():
                for parameter in field.parameters():
                    parameter -= 0.02 * parameter.grad

    iga = IGA(end=2, sample=sample, refresh=refresh, seed=5)
    straight, adjuster = make_field(), Adjuster(iga, groups, batch=batch)
    steps(straight, adjuster, range(7))
    field, first = make_field(), Adjuster(iga, groups, batch=batch)
    steps(field, first, range(4))
    state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    assert all(isinstance(tensor, Tensor) for tensor in state.values())
    resumed, second = copy.deepcopy(field), Adjuster(iga, groups, batch=batch)
    second.load_state_dict(state)
    steps(field, first, range(4, 7))
    steps(resumed, second, range(4, 7))
    for other in (field, resumed):
        assert all(map(torch.equal, other.parameters(), straight.parameters()))
    assert second.step == 7
    assert second.report() == adjuster.report()


def test_the_basis_goes_on_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where eigenpairs are found from those of the step before, the state holds these."""
    monkeypatch.setattr("fastsnf.ntk.spectrum.EIGH_IS_FASTER", 0)
    groups = Groups.runs(400, 2)
    batch = Adjuster(IGA(end=2), groups).arrange(*problem(groups))
    fields, adjusters = [], []
    for resumed in (False, True):
        field, adjuster = make_field(), Adjuster(IGA(end=2), groups)
        for step in range(4):
            if resumed and step == 2:
                state = adjuster.state_dict()
                assert state["basis"].shape[0] == groups.count
                adjuster = Adjuster(IGA(end=2), groups)
                adjuster.load_state_dict(state)
            adjuster.value_and_grad(field, *batch)
            with torch.no_grad():
                for parameter in field.parameters():
                    parameter -= 0.02 * parameter.grad
        fields.append(field)
        adjusters.append(adjuster)
    assert all(map(torch.equal, fields[0].parameters(), fields[1].parameters()))
    assert adjusters[0].report() == adjusters[1].report()


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


def test_an_adjustment_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, field = GROUPS["patches"], make_field()
    grams = []

    def counted(*args: object) -> Tensor:
        grams.append(adjuster.step)
        return empirical_ntk(*args)

    monkeypatch.setattr("fastsnf.ntk.adjuster.empirical_ntk", counted)
    adjuster = Adjuster(IGA(end=2, refresh=3), groups)
    batch = adjuster.arrange(*problem(groups))
    for _ in range(7):
        adjuster.value_and_grad(field, *batch)
    assert grams == [1, 4, 7]  # of steps 1 .. 7


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

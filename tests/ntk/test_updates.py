"""Adjusted steps against float64 with S as a matrix and loops over points."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fastsnf.nn import SNF, Field, Siren
from fastsnf.ntk.adjuster import Adjuster
from fastsnf.ntk.config import IGA, SAMPLES
from fastsnf.ntk.groups import Groups
from fastsnf.ntk.sampling import SamplePoints
from tests.ntk import adjusted_by_loops
from tests.ntk.adjusted_steps import GROUPS, UPDATE, assert_near, descend, hooked, make_field, problem
from tests.tolerances import FLOAT64


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
        descend(field)
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

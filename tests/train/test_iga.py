"""`fit(iga=...)`: what it takes, how batches are groups, and that a resumed run is the same to the bit."""

from __future__ import annotations

import json
import tomllib
from signal import SIGINT, raise_signal
from typing import Any

import pytest
import torch

import fastsnf
from fastsnf.errors import InputError, RunError
from fastsnf.ntk import IGA, Groups, adjuster
from fastsnf.ntk.spectrum import SpectrumError
from fastsnf.signals.image import Image
from fastsnf.train.config import FitConfig
from fastsnf.train.grouping import Grouping, make_grouping
from fastsnf.train.interrupt import Interrupted
from fastsnf.train.points import Points, split
from fastsnf.train.result import FitResult
from fastsnf.train.snapshot import Snapshots
from fastsnf.train.step import make_step
from tests.train.samples import holey_samples, same_state, small_field, small_image

FULL: dict[str, Any] = {"batch_size": "full", "lr": 1e-3, "log_every": 5, "preview_every": 0}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def patches(size: int = 5, end: int = 4, **options: Any) -> IGA:
    return IGA(group=f"patch:{size}", end=end, **options)


def fit(iga: IGA | None, signal=None, field=None, **options: Any) -> FitResult:
    return fastsnf.fit(
        small_field() if field is None else field,
        small_image() if signal is None else signal,
        iga=iga,
        **{"steps": 20, **FULL, **options},
    )


def grouping(iga: IGA, signal=None, holdout: int | None = None, **options: Any) -> Grouping:
    signal = small_image() if signal is None else signal
    train, _ = split(signal, holdout)
    points = Points(signal, train, torch.device("cpu"), torch.float32).count
    found = make_grouping(FitConfig(iga=iga, holdout=holdout, **options), signal, train, points)
    assert found is not None
    return found


@pytest.mark.parametrize("sample", ["argmax_lagged", "argmax", "argmax_shared_sum", "center", "random"])
def test_it_lowers_the_loss_and_is_not_the_plain_fit(sample):
    result = fit(patches(sample=sample))
    losses = [row["loss"] for row in result.history]
    assert losses[-1] < 0.9 * losses[0]
    assert not same_state(result.field, fit(None).field)
    assert result.iga["groups"] == result.iga["groups_per_step"] == 20
    assert result.iga["failures"] == 0


def test_the_summary_and_the_configuration_tell_the_settings(tmp_path):
    result = fit(patches(start=1, refresh=2), run=tmp_path / "run")
    said = json.loads(json.dumps(result.summary(), allow_nan=False))["iga"]
    expected = {
        "group": "20 patches of 5 x 5",
        "start": 1,
        "end": 4,
        "target": 4,
        "form": "adam",
        "refresh": 2,
    }
    assert said.items() >= expected.items()
    table = tomllib.loads((tmp_path / "run" / "config.toml").read_text())["fit"]["iga"]
    assert table["group"] == "patch:5"
    assert "iga" not in fit(None).summary()


def test_a_step_is_the_adjusted_gradient_of_float64():
    """One step of gradient descent, amplified, against S r written out from a full eigendecomposition."""
    field, signal = small_field().double(), small_image()
    before = [parameter.detach().clone() for parameter in field.parameters()]
    iga = IGA(group="run:20", end=3, sample="center")
    fit(iga, signal, field, optimizer="sgd", lr=1e-2, steps=1)
    found = torch.cat([(b - p).reshape(-1) for p, b in zip(field.parameters(), before, strict=True)]) / 1e-2

    field = small_field().double()
    points, layout = Groups.runs(signal.size, 20).members()[:2]
    x, y, _ = signal.batch(points)
    out = field(x.double())
    middle = 10 * layout.groups + torch.arange(layout.groups)
    jacobian = torch.stack([_gradient(field, out[row, 0]) for row in middle])
    values, vectors = torch.linalg.eigh(jacobian @ jacobian.T)
    values, vectors = values.flip(0), vectors.flip(1)
    transform = torch.eye(layout.groups, dtype=torch.float64)
    for i in range(3):
        transform -= (1 - values[0] / values[i]) * torch.outer(vectors[:, i], vectors[:, i])
    residual = (out - y.double()).detach().reshape(layout.offsets, layout.groups)
    adjusted = (residual @ transform).reshape(-1, 1)
    expected = _gradient(field, 2 / signal.size * (out * adjusted).sum())
    assert (found - expected).norm() <= 1e-8 * expected.norm()


def _gradient(field, scalar) -> torch.Tensor:
    found = torch.autograd.grad(scalar, list(field.parameters()), retain_graph=True)
    return torch.cat([gradient.reshape(-1) for gradient in found])


@pytest.mark.parametrize("sample", ["argmax_lagged", "random"])
def test_nothing_adjusted_is_the_plain_fit_to_the_bit(sample):
    iga = patches(7, end=0, sample=sample)
    assert same_state(fit(iga).field, fit(None).field)
    weighted = holey_samples()
    assert same_state(fit(iga, weighted).field, fit(None, weighted).field)


RESUMED = {
    "argmax_lagged": (patches(), {}),
    "random": (patches(sample="random"), {}),
    "random_once": (patches(sample="random_once"), {}),
    "refresh": (patches(refresh=3), {}),
    "mini-batches": (patches(4, 3), {"batch_size": 8 * 16}),
    "mini-batches, random": (patches(4, 3, sample="random"), {"batch_size": 8 * 16}),
    "cut patches": (patches(7, 2), {"batch_size": 4 * 49}),
    "sgd": (patches(), {"optimizer": "sgd", "lr": 1e-3}),
}


@pytest.mark.parametrize(("iga", "options"), RESUMED.values(), ids=RESUMED)
def test_an_interrupted_run_goes_on_to_the_same_bits(iga, options, tmp_path):
    class Interrupt(fastsnf.train.Callback):
        def on_log(self, row, state):
            if row["step"] == 10:
                raise_signal(SIGINT)

    options = {**options, "schedule": "exponential:0.1"}
    whole = fit(iga, **options)
    with pytest.raises(Interrupted, match="step 10 is saved"):
        fit(iga, run=tmp_path / "run", callbacks=[Interrupt()], **options)
    resumed = fit(iga, run=tmp_path / "run", resume=True, **options)
    assert resumed.steps == whole.steps == 20
    assert same_state(whole.field, resumed.field)
    assert [row["loss"] for row in whole.history] == [row["loss"] for row in resumed.history]
    assert [row["step"] for row in resumed.history] == [5, 10, 15, 20]


@pytest.mark.parametrize(
    "other",
    [patches(end=5), patches(4), patches(sample="center"), patches(refresh=2), patches(target=6), None],
)
def test_a_run_goes_on_with_its_own_settings_alone(other, tmp_path):
    fit(patches(), run=tmp_path / "run", steps=2)
    with pytest.raises(InputError, match=r"\biga:"):
        fit(other, run=tmp_path / "run", resume=True, steps=2)


def test_a_plain_run_has_no_trace_of_it(tmp_path):
    fit(None, run=tmp_path / "run", steps=2)
    snapshot = Snapshots(tmp_path / "run").newest()
    assert "iga" not in snapshot.identity
    assert snapshot.state_of_updates() == {}
    with pytest.raises(InputError, match=r"\biga:"):
        fit(patches(), run=tmp_path / "run", resume=True, steps=2)


def test_the_form_is_that_of_the_optimizer():
    assert grouping(patches(), optimizer="sgd").target == 0
    assert grouping(patches(), optimizer="adamw").target == 4
    assert grouping(patches(), optimizer=torch.optim.SGD).target == 4
    assert grouping(patches(form="sgd"), optimizer=torch.optim.SGD).target == 0
    assert grouping(patches(target=7), optimizer="sgd").target == 7


def test_batches_are_whole_groups():
    image = small_image((32, 40))
    whole = grouping(patches(4), image).sampler
    assert (whole.groups, whole.batch, whole.steps_per_epoch) == (80, 1280, 1)
    some = grouping(patches(4), image, batch_size=16 * 20 + 15).sampler
    assert (some.groups, some.batch, some.steps_per_epoch) == (20, 320, 4)
    joined = grouping(patches(4, end=9), image, batch_size=16 * 24).sampler
    assert joined.steps_per_epoch == 3, "8 groups have no 10 eigenpairs"
    many = grouping(IGA(group="patch:2"), small_image((130, 128))).sampler
    assert (many.groups, many.batch) == (512, 2048)
    assert grouping(IGA(group="patch:2"), small_image((128, 128))).sampler.groups == 4096


def test_points_are_counted_group_by_group():
    result = fit(patches(7, 2), batch_size=4 * 49, steps=5)
    chosen = grouping(patches(7, 2), batch_size=4 * 49)
    sizes = chosen.groups.sizes()
    assert sizes.tolist() == [49, 49, 42, 49, 49, 42, 49, 49, 42, 21, 21, 18]
    seen = sum(int(sizes[chosen.sampler.indices(step)].sum()) for step in range(5))
    assert result.points_per_second * result.seconds == pytest.approx(seen)


def test_groups_of_a_holdout_are_those_of_its_lattice():
    chosen = grouping(patches(4), small_image((32, 40)), holdout=2)
    assert str(chosen.groups) == "20 patches of 4 x 4"
    result = fit(patches(4, 2), small_image((32, 40)), holdout=2)
    assert result.psnr_holdout is not None
    assert result.history[-1]["loss"] < result.history[0]["loss"]


@pytest.mark.parametrize("holdout", [None, 2])
def test_points_of_weight_0_are_in_no_group(holdout):
    samples = holey_samples()
    train, _ = split(samples, holdout)
    chosen = grouping(patches(3, 2), samples, holdout)
    assert chosen.groups.size == int(train.sum())
    result = fit(patches(3, 2), samples, holdout=holdout)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    batches = fit(patches(3, 2), samples, holdout=holdout, batch_size=9 * 6)
    assert batches.psnr > fit(None, samples, holdout=holdout, lr=1e-9, steps=1).psnr


def test_groups_of_the_user():
    samples = holey_samples()
    by_column = torch.arange(18).repeat(20)  # the column of every point
    all_points = Groups.of(by_column)
    assert grouping(IGA(all_points, end=2), samples).groups.size == 300
    kept = Groups.of(by_column[samples.weights > 0])
    first, second = fit(IGA(all_points, end=2), samples), fit(IGA(kept, end=2), samples)
    assert same_state(first.field, second.field)
    with pytest.raises(InputError, match="expected groups of the 300 training points, or of all 360"):
        grouping(IGA(Groups.runs(280, 7), end=2), samples)


def test_a_resumed_run_has_the_groups_of_the_user(tmp_path):
    groups, others = Groups.of(torch.arange(480) % 24), Groups.of(torch.arange(480) // 20)
    fit(IGA(groups, end=2), run=tmp_path / "run", steps=2)
    fit(IGA(groups, end=2), run=tmp_path / "run", steps=2, resume=True)
    with pytest.raises(InputError, match=r"\biga:"):
        fit(IGA(others, end=2), run=tmp_path / "run", steps=2, resume=True)


@pytest.mark.parametrize(
    ("iga", "options", "said"),
    [
        (patches(), {"loss": "bce"}, "expected the loss mse with iga.*got bce"),
        (patches(), {"loss": lambda out, y, w: out.mean()}, "expected the loss mse"),
        ({"end": 3}, {}, "expected iga to be a fastsnf.ntk.IGA; got dict"),
        (patches(end=20), {}, "expected at least 21 groups for start=0, end=20, target=20; got 20 patches"),
        (patches(target=20), {}, "expected at least 21 groups"),
        (patches(30), {}, "24"),
        (IGA(), {}, "24 x 20"),
        (
            patches(4),
            {"batch_size": 79},
            "at least 5 groups of 16.*batch_size=79, 4 groups: take batch_size 80",
        ),
        (IGA(group="run:3", end=1), {"batch_size": 2}, "batch_size=2, 0 groups"),
        (IGA(Groups.runs(481, 10)), {}, "expected groups of the 480 training points; got groups of 481"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(iga, options, said, tmp_path):
    with pytest.raises(InputError, match=said):
        fit(iga, run=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_too_many_groups_for_one_step_say_what_their_matrix_takes():
    image = Image.from_array(torch.zeros(136, 136, 1))
    with pytest.raises(
        InputError, match=r"at most 16,384 groups a step; got 18,496, .* 1\.3 GiB: take batch_size"
    ):
        grouping(IGA(group="run:1"), image, batch_size="full")
    assert grouping(IGA(group="run:1"), image).sampler.groups == 512


def test_an_eigenvalue_problem_that_fails_is_counted_and_the_fit_goes_on(monkeypatch):
    solve, calls = adjuster.leading, []

    def fails_twice(gram, count, **options):
        calls.append(count)
        if len(calls) in (3, 4):
            raise SpectrumError("no convergence")
        return solve(gram, count, **options)

    monkeypatch.setattr(adjuster, "leading", fails_twice)
    result = fit(patches())
    assert result.iga["failures"] == 2
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_a_step_of_any_points_has_no_groups():
    with pytest.raises(InputError, match=r"fastsnf\.ntk\.Adjuster"):
        make_step(small_field(), FitConfig(iga=IGA()))


def test_a_loss_that_turns_nan_ends_as_it_does_without(tmp_path):
    with pytest.raises(RunError, match=r"at step .*learning rate of 1e\+30 is likely too high.*step"):
        fit(patches(), optimizer="sgd", lr=1e30, schedule="constant", steps=50, run=tmp_path / "run")
    assert Snapshots(tmp_path / "run").newest() is not None


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_the_field_runs_on_the_engine_asked_for(engine):
    result = fit(patches(), engine=engine)
    assert result.engine == engine
    assert result.history[-1]["loss"] < result.history[0]["loss"]


@pytest.mark.parametrize(
    "field",
    [
        small_field(activation="gabor", scale=5.0),
        small_field().double(),
        small_field(hidden_layers=0),
    ],
    ids=["complex", "float64", "two layers"],
)
def test_any_field_takes_it(field):
    losses = [row["loss"] for row in fit(patches(), field=field).history]
    assert losses[-1] < losses[0]


def test_a_field_with_hooks_and_a_frozen_layer_takes_it():
    field = small_field()
    field.net[0].linear.weight.requires_grad_(False)
    before = field.net[0].linear.weight.clone()
    seen = []
    field.net[1].register_forward_hook(lambda module, args, out: seen.append(len(out)))
    losses = [row["loss"] for row in fit(patches(), field=field).history]
    assert losses[-1] < losses[0]
    assert seen
    assert torch.equal(field.net[0].linear.weight, before)


def test_it_finds_what_a_torch_optimizer_of_the_caller_does():
    named = fit(patches(), lr=1e-3, schedule="constant")
    called = fit(patches(), lr=None, optimizer=lambda params: torch.optim.Adam(params, lr=1e-3, fused=True))
    assert same_state(named.field, called.field)


@pytest.mark.parametrize("batch_size", ["full", 16 * 8])
def test_points_that_are_read_batch_by_batch_give_the_same_bits(batch_size, monkeypatch):
    iga, samples = patches(4, 3), holey_samples()
    resident = fit(iga, samples, batch_size=batch_size)
    monkeypatch.setattr("fastsnf.train.points.CACHED_POINTS", 10)
    assert same_state(resident.field, fit(iga, holey_samples(), batch_size=batch_size).field)

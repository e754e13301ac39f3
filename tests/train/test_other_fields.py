"""Fits of the fields that are no plain chains: learning, resuming, files, adjusted gradients, statistics."""

from __future__ import annotations

from signal import SIGINT, raise_signal

import pytest
import torch

import fastsnf
from fastsnf.errors import InputError
from fastsnf.nn import MFN, FourierReparameterized, NormalizedField, Wire2d
from fastsnf.nn.plain import is_plain
from fastsnf.ntk import IGA, Adjuster, make_groups
from fastsnf.ntk.groups import Groups
from fastsnf.signals import Samples
from fastsnf.train.callbacks import Callback
from fastsnf.train.checkpoint import read
from fastsnf.train.evaluate import CHUNK_POINTS, predict
from fastsnf.train.interrupt import Interrupted
from fastsnf.train.snapshot import Snapshots
from tests import cases
from tests.tolerances import FLOAT32, FLOAT64, assert_close
from tests.train.samples import BATCHES, holey_samples, same_state, small_image

BASES = {"low": 4, "high": 3, "phases": 4}
MAKE = {
    "mfn-fourier": lambda **k: MFN(2, 1, 16, 1, input_scale=20.0, **k),
    "mfn-gabor": lambda **k: MFN(2, 1, 16, 1, filters="gabor", input_scale=20.0, **k),
    "wire2d": lambda **k: Wire2d(2, 1, 32, 1, first_omega=8.0, hidden_omega=6.0, scale=2.0, **k),
    "bn": lambda **k: NormalizedField(2, 1, 16, 1, activation="sine", first_omega=9.0, hidden_omega=9.0, **k),
    "bn-after": lambda **k: NormalizedField(2, 1, 32, 2, order="after", **k),
    "cn": lambda **k: NormalizedField(2, 1, 16, 1, activation="sine", first_omega=9.0, norm="cross", **k),
    "fr": lambda **k: FourierReparameterized(
        2, 1, 16, 1, activation="sine", first_omega=9.0, hidden_omega=9.0, factor=0.1, **BASES, **k
    ),
}  # fmt: skip
NORMALIZED = ("bn", "bn-after", "cn")
FULL = {"steps": 20, "batch_size": "full", "lr": 5e-3, "log_every": 5, "preview_every": 0}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def made(name: str, **options):
    return MAKE[name](generator=cases.generator(1), **options)


def fit(name, signal=None, **options):
    options = {**FULL, **options}
    return fastsnf.fit(
        options.pop("field", None) or made(name), signal or small_image(), device="cpu", **options
    )


class Interrupt(Callback):
    """Interrupts the fit at step 10."""

    def on_log(self, row, state):
        if row["step"] == 10:
            raise_signal(SIGINT)


@pytest.mark.parametrize("name", MAKE)
def test_a_fit_learns_the_signal(name):
    field, image = made(name), small_image()
    before = fit(name, image, field=made(name), lr=1e-9, steps=1).psnr
    result = fastsnf.fit(field, image, **{**FULL, "steps": 60, "lr": 2e-2}, device="cpu")
    assert result.psnr > before + 5.0
    assert result.field is field
    assert not field.training
    assert_close(field(image.coords), result.values, FLOAT32)
    assert result.parameters == sum(p.numel() * (2 if p.is_complex() else 1) for p in field.parameters())


@pytest.mark.parametrize("name", MAKE)
def test_mini_batches_and_held_out_points(name):
    result = fit(name, **{**BATCHES, "holdout": 2, "batch_size": 50, "steps": 25, "lr": 1e-2})
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert result.psnr_holdout is not None


@pytest.mark.parametrize(("name", "batch"), [*((name, 200) for name in MAKE), ("bn", "full"), ("fr", "full")])
def test_an_interrupted_run_goes_on_to_the_same_bits(name, batch, tmp_path):
    options = {"batch_size": batch, "schedule": "exponential:0.1"}
    whole = fit(name, **options)
    with pytest.raises(Interrupted, match="step 10 is saved"):
        fit(name, run=tmp_path / "run", callbacks=[Interrupt()], **options)
    halfway = read(tmp_path / "run").field
    resumed = fit(name, run=tmp_path / "run", resume=True, **options)
    assert same_state(whole.field, resumed.field)  # statistics too
    assert not same_state(halfway, resumed.field)
    assert [row["loss"] for row in whole.history] == [row["loss"] for row in resumed.history]


@pytest.mark.parametrize("name", MAKE)
def test_files_hold_the_field(name, tmp_path):
    result = fit(name, run=tmp_path / "run")
    loaded = fastsnf.load(tmp_path / "run")
    assert type(loaded) is type(result.field)
    assert same_state(loaded, result.field)
    assert not loaded.training
    assert torch.equal(predict(loaded, small_image()), result.values)
    again = fit(name, field=loaded, steps=5)  # a warm start
    assert again.history[0]["loss"] < result.history[0]["loss"]
    with pytest.raises(InputError, match="field"):
        fit("fr" if name != "fr" else "bn", run=tmp_path / "run", resume=True)


@pytest.mark.parametrize("name", NORMALIZED)
def test_the_final_values_are_those_of_the_training_batch(name, tmp_path):
    """At any chunk size, also from the file, and without the points that are held out or not there."""
    for signal, holdout in ((small_image(), None), (small_image(), 2), (holey_samples(), None)):
        field = made(name, dtype=torch.float64)
        run = tmp_path / f"{signal.kind}-{holdout}"
        result = fit(name, signal, field=field, holdout=holdout, run=run)
        lattice = torch.zeros(signal.shape, dtype=torch.bool)
        lattice[:: holdout or 1, :: holdout or 1] = True
        trained = lattice.flatten()
        if signal.weights is not None:
            trained &= signal.weights > 0
        coordinates = signal.coords.double()
        batch = coordinates[trained]
        together = field.train()(batch).detach()
        assert_close(result.values[trained].double(), together, FLOAT32)
        for one in (field.eval(), fastsnf.load(run)):
            values = torch.cat([one(part) for part in coordinates.split(97)])
            assert_close(values.float(), result.values, FLOAT32)


@pytest.mark.parametrize("name", NORMALIZED)
def test_statistics_gathered_in_chunks_are_those_of_all_points(name, monkeypatch):
    monkeypatch.setattr("fastsnf.train.plan.SETTLED_AT_ONCE", 77)
    monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", 50)
    result = fit(name)
    together = result.field.train()(small_image().coords).detach()
    assert_close(result.values, together, 10 * FLOAT32)
    assert CHUNK_POINTS > 77


@pytest.mark.parametrize("name", NORMALIZED)
def test_previews_use_the_statistics_and_do_not_disturb_the_steps(name):
    values = []

    class Look(Callback):
        def on_preview(self, state):
            values.append((state.step, state.preview.psnr))
            assert state.field.training

    watched = fit(name, preview_every=1e-9, callbacks=[Look()])
    assert len(values) > 3
    assert same_state(watched.field, fit(name).field)


def test_a_checkpoint_on_the_way_renders_as_it_would_have_then(tmp_path):
    with pytest.raises(Interrupted):
        fit("bn", run=tmp_path / "run", callbacks=[Interrupt()])
    whole = fit("bn", steps=10)
    snapshot = Snapshots(tmp_path / "run").newest()
    for field in (snapshot.checkpoint().field, fastsnf.load(tmp_path / "run")):
        assert_close(predict(field, small_image()), whole.values, FLOAT32)


def test_a_field_left_in_evaluation_mode_is_trained_all_the_same():
    field = made("bn").eval()
    assert same_state(fit("bn", field=field).field, fit("bn").field)


@pytest.mark.parametrize("name", [name for name in MAKE if name not in NORMALIZED])
def test_gradients_are_adjusted(name):
    options = {"steps": 6, "log_every": 1}
    result, plain = fit(name, iga=IGA(group="patch:6", end=4), **options), fit(name, **options)
    assert result.iga["failures"] == 0
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert not same_state(result.field, plain.field)
    nothing = fit(name, iga=IGA(group="patch:6", end=0), **options)
    assert same_state(nothing.field, plain.field)


@pytest.mark.parametrize("name", NORMALIZED)
def test_normalisation_by_the_batch_has_no_adjustment(name, tmp_path):
    with pytest.raises(InputError, match="normalises by the batch and so couples its points"):
        fit(name, iga=IGA(group="patch:6", end=4), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("sample", ["center", "argmax", "argmax_shared_sum"])
def test_the_fused_adjustment_of_fr_is_that_of_autograd(sample):
    """A hook on a gradient sends a field through autograd: the same adjusted gradients come out."""
    image = small_image((12, 18))
    x, y = image.coords.double(), image.values.double()
    gradients = []
    for hooked in (False, True):
        field = made("fr", dtype=torch.float64)
        if hooked:
            field.linears()[1].coefficients.register_hook(lambda gradient: gradient)
        assert is_plain(field) is not hooked
        adjuster = Adjuster(IGA(group=6, end=3, sample=sample), make_groups(6, (12, 18)))
        adjuster.value_and_grad(field, *adjuster.arrange(x, y))
        assert adjuster.failures == 0
        gradients.append([parameter.grad for parameter in field.parameters()])
    for fused, exact in zip(*gradients, strict=True):
        assert_close(fused, exact, 1e3 * FLOAT64)


def test_a_mini_batch_of_one_point_says_what_to_do():
    with pytest.raises(InputError, match="choose another batch size"):
        fit("bn", batch_size=479)  # 480 points: one is left over


def test_groups_of_points_take_any_field():
    assert fit("mfn-gabor", iga=IGA(Groups.runs(480, 24), end=2), steps=2).psnr > 0


@pytest.mark.parametrize(("points", "batch"), [(33, 32), (8, 1), (9, 4)])
def test_a_last_batch_of_one_point_is_refused_before_the_first_step(points, batch):
    signal = Samples((points,), 1, torch.linspace(0, 1, points)[:, None])
    field = NormalizedField(1, 1, 8, 1)
    with pytest.raises(InputError, match=rf"{points} points in batches of {batch}, the last of 1"):
        fastsnf.fit(field, signal, steps=1, batch_size=batch)
    assert fastsnf.fit(field, signal, epochs=2, batch_size=batch + 2).steps > 1

"""Fits of signals that are not held: run folders, previews, samplers, resuming, what is left out."""

from __future__ import annotations

import json
import math
from signal import SIGINT, raise_signal

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf.errors import InputError, RunError
from fastsnf.signals.occupancy import Occupancy
from fastsnf.train import Callback, Interrupted
from fastsnf.train import plan as plans
from fastsnf.train.measure import measure
from fastsnf.train.plan import make_plan
from fastsnf.train.score import Score
from tests.train.samples import same_state, small_image
from tests.train.solids import SHAPE, field_of, solid

OPTIONS = {"steps": 40, "batch_size": 1000, "lr": 1e-2, "log_every": 5, "preview_every": 0}
"""A fit of mini-batches over five epochs."""


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def fit_solid(run=None, **options):
    return fastsnf.fit(field_of(), solid(), run=run, **{**OPTIONS, **options})


class Stop(Callback):
    """Interrupts a fit at a step, once."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_log(self, row, state):
        if row["step"] == self._step:
            raise_signal(SIGINT)


def test_a_fit_learns_the_solid_and_its_run_folder_holds_a_mesh(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("skimage")
    signal = solid()
    field = field_of(alpha=2.0)
    result = fastsnf.fit(field, signal, steps=300, lr=1e-2, batch_size=2000, run=tmp_path / "run")
    assert result.iou > 0.9
    assert result.values is None
    assert result.left_out is None
    found = measure(field, signal, Score(signal))
    assert result.metrics == found.metrics
    assert np.array_equal(result.rendering.bits.octets, found.rendering.bits.octets)
    mesh = trimesh.load(tmp_path / "run" / "reconstruction.ply")
    assert mesh.is_watertight
    assert np.abs(mesh.vertices.mean(0) - 0.1).max() < 0.1  # in the units of the function


def test_the_summary_has_both_figures():
    summary = fit_solid().summary()
    keys = list(summary)
    assert keys[keys.index("iou") + 1] == "psnr"
    assert keys[-1] == "run"
    assert summary["kind"] == "occupancy"
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_a_field_that_is_nowhere_inside_does_not_fail(tmp_path):
    run = tmp_path / "run"
    field = field_of()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.zero_()
    result = fastsnf.fit(field, solid(), run=run, **{**OPTIONS, "steps": 1, "lr": 1e-9})
    assert result.iou == 0.0
    assert "surface" in result.left_out
    assert result.summary()["left_out"] == result.left_out
    assert not (run / "reconstruction.ply").exists()
    assert fastsnf.load(run) is not None


def test_a_reconstruction_of_before_goes_when_there_is_none(tmp_path):
    """Its preview had a surface, the final weights have none."""
    run = tmp_path / "run"
    seen = []

    class Empty(Callback):
        def on_preview(self, state):
            seen.append((run / "reconstruction.ply").exists())
            with torch.no_grad():
                for parameter in state.field.parameters():
                    parameter.zero_()

    pytest.importorskip("trimesh")
    pytest.importorskip("skimage")
    field = field_of(alpha=3.0)
    with torch.no_grad():
        list(field.parameters())[-1].fill_(0.5)
    result = fastsnf.fit(
        field, solid(), run=run, steps=2, lr=1e-9, log_every=1, preview_every=1e-9, callbacks=[Empty()]
    )
    assert seen == [True]
    assert result.left_out is not None
    assert not (run / "reconstruction.ply").exists()


@pytest.mark.parametrize("sampler", ["passes", "uniform", "surface", "balanced"])
def test_an_interrupted_run_goes_on_to_the_same_bits(sampler, tmp_path):
    run = tmp_path / "run"
    whole = fit_solid(sampler=sampler)
    with pytest.raises(Interrupted, match="step 15 is saved"):
        fit_solid(run, sampler=sampler, callbacks=[Stop(15)])
    resumed = fit_solid(run, sampler=sampler, resume=True)
    assert same_state(whole.field, resumed.field)
    assert resumed.metrics == whole.metrics
    with pytest.raises(InputError, match="order"):
        fit_solid(run, sampler="uniform" if sampler != "uniform" else "surface", resume=True)


def test_an_order_that_is_not_held_is_part_of_the_run():
    plan = make_plan(field_of(), solid(), fastsnf.FitConfig(**OPTIONS))
    assert "order" not in plan.describe()["identity"]
    plan.sampler.held = False
    assert plan.describe()["identity"]["order"] == "bijection"


@pytest.mark.parametrize("sampler", ["surface", "balanced"])
def test_samplers_that_look_at_the_bits_learn_too(sampler):
    result = fit_solid(sampler=sampler, steps=200)
    assert result.iou > 0.8
    assert result.points_per_second * result.seconds == pytest.approx(200 * 1000)


def test_epochs_of_draws_are_as_many_points():
    assert fit_solid(sampler="uniform", steps=None, epochs=2).steps == 2 * 8


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": "full", "sampler": "uniform"},
        {"holdout": 2, "sampler": "surface"},
        {"iou": "published", "sampler": "balanced"},
        {"iga": fastsnf.ntk.IGA(), "sampler": "uniform"},
    ],
)
def test_what_needs_passes_says_so(options):
    with pytest.raises(InputError, match="expected the sampler passes with"):
        fit_solid(**options)


def test_a_sampler_of_grids_refuses_a_picture():
    with pytest.raises(InputError, match="occupancy grid for the sampler balanced; got image"):
        fastsnf.fit(fastsnf.SNF(2, 1, hidden_features=4), small_image(), sampler="balanced", steps=1)


def test_bce_and_holdout():
    result = fit_solid(loss="bce", holdout=2, steps=150)
    assert result.iou > 0.8
    assert {"iou_holdout", "psnr_holdout"} < set(result.metrics)
    assert result.field.outputs == "logits"


def test_previews_of_a_large_signal_are_a_sample(monkeypatch, tmp_path):
    monkeypatch.setattr(plans, "STREAMED_PREVIEW", 7000)
    monkeypatch.setattr(plans, "SAMPLED_POINTS", 2000)
    run, seen = tmp_path / "run", []

    class Look(Callback):
        def on_preview(self, state):
            seen.append((state.preview.sampled, state.preview.rendering, state.preview.metrics["iou"]))
            assert not (run / "reconstruction.ply").exists()

    result = fit_solid(run, callbacks=[Look()], preview_every=1e-9, lr=1e-9)
    assert len(seen) > 3
    assert {sampled for sampled, _, _ in seen} == {2000}
    assert all(rendering is None for _, rendering, _ in seen)
    assert seen[-1][2] == pytest.approx(result.iou, abs=0.1)
    assert same_state(result.field, fit_solid(lr=1e-9).field)
    assert result.rendering is not None


def test_previews_of_a_small_one_are_written(tmp_path):
    pytest.importorskip("trimesh")
    run, seen = tmp_path / "run", []

    class Look(Callback):
        def on_preview(self, state):
            seen.append((state.preview.sampled, (run / "reconstruction.ply").exists()))

    fit_solid(run, callbacks=[Look()], preview_every=1e-9, steps=100, log_every=50)
    assert seen[-1] == (None, True)


def test_the_last_evaluation_tells_how_far_it_is(monkeypatch):
    monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", 2400)
    told = []

    class Look(Callback):
        def on_evaluate(self, done, total, state):
            told.append((done, total, state.step))

    fit_solid(callbacks=[Look()])
    assert told == [(2400, 7182, 40), (4800, 7182, 40), (7182, 7182, 40)]


def test_a_signal_in_the_last_evaluation_loses_nothing(tmp_path):
    run = tmp_path / "run"

    class Interrupting(Callback):
        def on_evaluate(self, done, total, state):
            raise_signal(SIGINT)

    with pytest.raises(Interrupted, match="step 40 is saved"):
        fit_solid(run, callbacks=[Interrupting()])
    assert fastsnf.load(run) is not None
    assert not (run / "reconstruction.ply").exists()
    resumed, whole = fit_solid(run, resume=True), fit_solid()
    assert resumed.metrics == whole.metrics
    assert same_state(resumed.field, whole.field)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit_solid(callbacks=[Interrupting()])
    assert not isinstance(caught.value, Interrupted)


def test_the_target_is_looked_at_over_the_whole_grid():
    result = fit_solid(steps=None, target_psnr=14.0, batch_size=2000)
    assert 14.0 <= result.psnr < 20.0
    assert result.steps % 4 == 0


def test_values_that_are_not_finite_end_the_fit():
    with pytest.raises(RunError, match="NaN or infinity at step"):
        fit_solid(optimizer="sgd", lr=1e38, schedule="constant", steps=500)

    class Spoil(Callback):
        def on_log(self, row, state):
            with torch.no_grad():
                next(state.field.parameters()).fill_(torch.nan)

    with pytest.raises(RunError, match="after step 1; got NaN"):
        fit_solid(steps=1, callbacks=[Spoil()])


def test_a_solid_of_wires_axes_fits_alike():
    signal = Occupancy.from_function(lambda x: x[:, 0] > 0.2, SHAPE, axes="xy")
    result = fastsnf.fit(field_of(), signal, **{**OPTIONS, "steps": 150})
    assert result.iou > 0.9
    assert math.isfinite(result.psnr)

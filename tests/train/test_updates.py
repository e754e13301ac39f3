"""Recorded steps: the same bits as steps one by one, and nothing but static memory in between."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator

import pytest
import torch

import fastsnf
from fastsnf.errors import RunError
from fastsnf.ntk import IGA
from fastsnf.train import plan as plans
from fastsnf.train.config import FitConfig
from fastsnf.train.losses import mse
from fastsnf.train.optimizers import base_rates, make_optimizer, recordable, set_rates
from fastsnf.train.pacing import LookPace
from fastsnf.train.points import Points
from fastsnf.train.samplers.passes import Passes
from fastsnf.train.step import Step, trainable
from fastsnf.train.updates import WARM_UP, RecordedUpdates, Updates, may_record
from tests.train.samples import BATCHES, fit_small, holey_samples, same_state, small_field, small_image
from tests.train.tape import TapeGraphs

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Run:
    """The updates of a fit, without its loop."""

    def __init__(self, config: FitConfig, signal=None, graphs=None, **options) -> None:
        self.field = small_field(**options)
        self.points = Points(signal or small_image(), None, CPU, torch.float32, packed=True)
        self.sampler = Passes(self.points.count, config.points_per_step(self.points.count), 0, hashed=True)
        self.optimizer = make_optimizer(config, trainable(self.field), recorded=True)
        self.rates = base_rates(config, self.optimizer)
        step = Step(self.field, self.optimizer, config)
        self.updates = (
            Updates(self.points, step)
            if graphs is None
            else RecordedUpdates(self.points, step, self.field, graphs)
        )

    def losses(self, steps: range) -> Iterator[float]:
        for step in steps:
            set_rates(self.optimizer, self.rates, 1.0 / (1 + step))
            loss = float(self.updates.gradients(self.sampler.indices(step)))
            self.updates.update()
            yield loss


CONFIGS = {
    "adam": FitConfig(batch_size=100),
    "last batch of another size": FitConfig(batch_size=110),
    "whole signal": FitConfig(batch_size="full"),
    "adamw": FitConfig(batch_size=100, optimizer="adamw"),
    "sgd": FitConfig(batch_size=100, optimizer="sgd", lr=0.1),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_replays_give_the_bits_of_single_steps(config):
    graphs = TapeGraphs()
    single, recorded = Run(config), Run(config, graphs=graphs)
    steps = 24
    assert list(single.losses(range(steps))) == list(recorded.losses(range(steps)))
    assert same_state(single.field, recorded.field)
    for first, second in zip(single.field.parameters(), recorded.field.parameters(), strict=True):
        assert torch.equal(first.grad, second.grad)
    sizes = 2 if recorded.points.count % recorded.sampler.batch else 1
    assert graphs.records == sizes
    first = WARM_UP * sizes
    assert (graphs.asides, graphs.replays) == (2 * first, steps - first), "the first steps are real steps"


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_complex_parameters_are_recorded(optimizer, monkeypatch):
    # torch lets these updates be recorded on GPUs alone; what they compute is the same here.
    adam = sys.modules["torch.optim.adam"]  # the package hides it
    monkeypatch.setattr(adam, "_get_capturable_supported_devices", lambda supports_xla=True: ["cpu"])
    config = FitConfig(batch_size=120, optimizer=optimizer)
    graphs, options = TapeGraphs(), {"activation": "gabor", "scale": 5.0}
    single, recorded = Run(config, **options), Run(config, graphs=graphs, **options)
    assert list(single.losses(range(12))) == list(recorded.losses(range(12)))
    assert same_state(single.field, recorded.field)
    assert graphs.replays == 12 - WARM_UP
    plain = small_field(**options)
    usual = make_optimizer(config, trainable(plain))
    assert not any(isinstance(group["lr"], torch.Tensor) for group in usual.param_groups)


def test_weighted_points_are_recorded():
    samples = holey_samples()
    filled = type(samples)(samples.shape, 1, samples.values.nan_to_num(0.5), samples.weights)
    config, graphs = FitConfig(batch_size=100), TapeGraphs()
    single, recorded = Run(config, filled), Run(config, filled, graphs)
    assert list(single.losses(range(10))) == list(recorded.losses(range(10)))
    assert same_state(single.field, recorded.field)
    assert recorded.updates.batch[2] is not None


def test_a_step_of_the_recorded_optimizer_is_the_usual_one():
    config = FitConfig(batch_size=100, lr=1e-2)
    run, usual = Run(config), small_field()
    optimizer = make_optimizer(config, trainable(usual))
    step = Step(usual, optimizer, config)
    for number, loss in enumerate(run.losses(range(5))):
        set_rates(optimizer, [1e-2], 1.0 / (1 + number))
        found = step(*run.points.batch(run.sampler.indices(number)))
        assert float(found) == pytest.approx(loss, rel=1e-5)


def test_parameters_that_move_are_recorded_anew():
    config, graphs = FitConfig(batch_size=100), TapeGraphs()
    single, recorded = Run(config), Run(config, graphs=graphs)
    for run in (single, recorded):
        list(run.losses(range(6)))
        weight = run.field.net[0].linear.weight
        weight.data = weight.data.clone() * 0.5
        list(run.losses(range(6, 12)))
    assert graphs.records == 2
    assert same_state(single.field, recorded.field)


def test_gradients_that_were_cleared_come_back():
    recorded = Run(FitConfig(batch_size=100), graphs=TapeGraphs())
    list(recorded.losses(range(6)))
    recorded.field.zero_grad()
    list(recorded.losses(range(6, 7)))
    assert all(parameter.grad.isfinite().all() for parameter in recorded.field.parameters())


class ReadsTheLoss(Step):
    """A step that waits for the device, which no recording can."""

    def gradients(self, x, y, w=None):
        loss = super().gradients(x, y, w)
        loss.item()
        return loss


def test_a_failed_recording_warns_once_and_changes_nothing():
    config, graphs = FitConfig(batch_size=100), TapeGraphs()
    single, recorded = Run(config), Run(config, graphs=graphs)
    step = ReadsTheLoss(recorded.field, recorded.optimizer, config)
    recorded.updates = RecordedUpdates(recorded.points, step, recorded.field, graphs)
    with pytest.warns(RuntimeWarning, match="CUDA graph .*not permitted when stream is capturing") as caught:
        found = list(recorded.losses(range(10)))
    assert len(caught) == 1
    assert found == list(single.losses(range(10)))
    assert same_state(single.field, recorded.field)
    assert graphs.replays == 0


def test_what_may_be_recorded():
    points = Points(small_image(), None, CPU, torch.float32)

    def may(field=None, *, engine="triton", device=CUDA, **options) -> bool:
        return may_record(field or small_field(), FitConfig(**options), points, engine, device)

    assert may()
    assert may(batch_size="full", optimizer="adamw", schedule="step:10:0.5")
    assert may(small_field(activation="gabor", scale=5.0))
    assert may(optimizer="sgd")
    assert not may(small_field(activation="gabor", scale=5.0), optimizer="sgd")
    assert not may(device=CPU)
    assert not may(engine="reference")
    assert not may(loss="bce")
    assert not may(loss=mse)
    assert not may(optimizer=torch.optim.Adam)
    frozen, hooked = small_field(), small_field()
    frozen.net[0].linear.weight.requires_grad_(False)
    hooked.net[0].register_forward_hook(lambda module, args, out: out)
    assert not may(frozen)
    assert not may(hooked)
    assert not recordable(FitConfig(optimizer=torch.optim.SGD), [])


def test_points_that_are_read_on_the_host_are_not_recorded(monkeypatch):
    monkeypatch.setattr("fastsnf.train.points.CACHED_POINTS", 10)
    points = Points(small_image(), None, CPU, torch.float32)
    assert not may_record(small_field(), FitConfig(), points, "triton", CUDA)


@pytest.fixture
def recorded_fits(monkeypatch) -> TapeGraphs:
    """Make every fit record its steps on a tape, as it would on a GPU."""
    graphs = TapeGraphs()
    monkeypatch.setattr(plans, "CudaGraphs", lambda device: graphs)
    monkeypatch.setattr(plans, "may_record", lambda *args: True)
    return graphs


def test_a_whole_fit_is_recorded(recorded_fits):
    recorded = fit_small(batch_size=120, schedule="constant")
    assert recorded_fits.replays == 40 - WARM_UP
    assert [row["step"] for row in recorded.history] == list(range(5, 41, 5))
    # One by one, but with the learning rate as the tensor that a graph reads.
    recorded_fits.record = lambda work: (_ for _ in ()).throw(RuntimeError("no graphs here"))
    with pytest.warns(RuntimeWarning, match="no graphs here"):
        single = fit_small(batch_size=120, schedule="constant")
    assert same_state(recorded.field, single.field)
    assert [row["loss"] for row in recorded.history] == [row["loss"] for row in single.history]


def test_a_recorded_fit_resumes_to_the_same_bits(recorded_fits, tmp_path):
    whole = fit_small(schedule="exponential:0.1")

    class Stop(fastsnf.train.Callback):
        def on_log(self, row, state):
            if row["step"] == 15:
                state.stop()

    fit_small(tmp_path / "run", schedule="exponential:0.1", callbacks=[Stop()])
    resumed = fit_small(tmp_path / "run", schedule="exponential:0.1", resume=True)
    assert resumed.steps == 40
    assert same_state(whole.field, resumed.field)
    assert whole.history[-1]["lr"] == resumed.history[-1]["lr"]


def test_a_fit_that_adjusts_nothing_has_the_bits_of_a_recorded_one(recorded_fits):
    options = {"batch_size": "full", "schedule": "exponential:0.1"}
    plain = fit_small(**options)
    replays = recorded_fits.replays
    nothing = fit_small(iga=IGA("patch:4", end=0), **options)
    assert recorded_fits.replays == replays > 0
    assert same_state(plain.field, nothing.field)


def test_a_recorded_fit_that_diverges_says_what_is_known(recorded_fits, monkeypatch):
    monkeypatch.setattr("fastsnf.train.loop._look_pace", lambda state, plan: LookPace(16))
    options = {**BATCHES, "lr": 1e38, "optimizer": "sgd", "schedule": "constant", "log_every": None}
    with pytest.raises(RunError, match=r"infinity at step 16 \(it was finite at step 1\): the learning rate"):
        fastsnf.fit(small_field(), small_image(), **options)


def test_no_warning_of_torch_reaches_the_user(recorded_fits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_small(steps=6)

"""The IoU of the published loops: predictions of each batch before its update, the best epoch."""

from __future__ import annotations

import math
from signal import SIGINT, raise_signal

import pytest
import torch

import fastsnf
from fastsnf.errors import InputError
from fastsnf.ntk import IGA
from fastsnf.signals.occupancy import Occupancy
from fastsnf.signals.samples import Samples
from fastsnf.train import Callback, FitConfig, Interrupted
from fastsnf.train.losses import LOGITS, VALUES
from fastsnf.train.parallel import World
from fastsnf.train.plan import make_plan
from fastsnf.train.published_iou import PublishedIou
from tests.train.gang import together
from tests.train.samples import same_state
from tests.train.solids import field_of, solid

OPTIONS = {"batch_size": 2000, "lr": 1e-2, "schedule": "exponential:0.2", "preview_every": 0, "log_every": 1}


def by_the_book(field: fastsnf.SNF, signal: Occupancy, config: FitConfig) -> list[float]:
    """WIRE's loop: gather what the field says in an epoch, threshold, compare; the IoU of each epoch."""
    plan = make_plan(field, signal, config)
    targets, found = signal.values.bool(), []
    steps, end = plan.sampler.steps_per_epoch, plan.stop.max_steps
    estimate = torch.empty(signal.size, 1)
    for step in range(end):
        index = plan.sampler.indices(step)
        x, _, _ = signal.batch(index)
        estimate[index] = field(x).detach()
        for group, rate in zip(plan.step.optimizer.param_groups, plan.rates, strict=True):
            group["lr"] = rate * plan.schedule.multiplier(step, step / end)
        plan.updates.gradients(index)
        plan.step.optimizer.step()
        if (step + 1) % steps == 0:
            occupied = estimate >= 0.5
            found.append(float((occupied & targets).sum() / (occupied | targets).sum()))
    return found


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_it_is_what_the_published_loop_prints():
    config = FitConfig(**OPTIONS, epochs=4.5)
    expected = by_the_book(field_of(), solid(), config)
    assert len(expected) == 4
    result = fastsnf.fit(field_of(), solid(), config, iou="published")
    assert result.metrics["iou_published"] == pytest.approx(max(expected), abs=1e-3)
    plain = fastsnf.fit(field_of(), solid(), config)
    assert same_state(result.field, plain.field)
    assert result.iou == plain.iou
    assert list(result.summary())[-1] == "iou_published"
    assert "iou_published" not in plain.metrics


def test_before_the_first_epoch_ends_there_is_none():
    result = fastsnf.fit(field_of(), solid(), **OPTIONS, steps=3, iou="published")
    assert math.isnan(result.metrics["iou_published"])
    assert result.summary()["iou_published"] is None


@pytest.mark.parametrize("iga", [None, IGA(group="run:64", end=3, sample="center")])
@pytest.mark.parametrize("stopped", [2, 6, 8])
def test_a_resumed_run_counts_on(iga, stopped, tmp_path):
    options = {**OPTIONS, "epochs": 3, "iou": "published", "iga": iga}

    class Stop(Callback):
        def on_log(self, row, state):
            if row["step"] == stopped:
                raise_signal(SIGINT)

    whole = fastsnf.fit(field_of(), solid(), **options)
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        fastsnf.fit(field_of(), solid(), run=run, callbacks=[Stop()], **options)
    resumed = fastsnf.fit(field_of(), solid(), run=run, resume=True, **options)
    assert same_state(whole.field, resumed.field)
    assert resumed.metrics == whole.metrics
    assert 0 < whole.metrics["iou_published"] <= 1
    with pytest.raises(InputError, match="iou"):
        fastsnf.fit(field_of(), solid(), run=run, resume=True, **{**options, "iou": "plain"})


@pytest.mark.parametrize("outputs", [VALUES, LOGITS])
def test_counts_of_given_batches(outputs):
    field = fastsnf.SNF(1, 1, hidden_features=4, hidden_layers=0)
    watch = PublishedIou(field, outputs, 2)
    x, y = torch.rand(50, 1), (torch.rand(50, 1) > 0.5).float() * 0.2  # any value but 0 is occupied
    out = field(x).detach()
    here, there = (out.sigmoid() if outputs == LOGITS else out) >= 0.5, y != 0
    w = (torch.rand(50) > 0.2).float()
    watch.add([(x[:20], y[:20], None), (x[20:], y[20:], None)])
    assert math.isnan(watch.best)
    watch.add([(x, y, w)])
    seen = w[:, None] > 0
    both = (here & there).sum() + (here & there & seen).sum()
    either = (here | there).sum() + ((here | there) & seen).sum()
    assert watch.best == pytest.approx(float(both / either))


def test_the_best_epoch_counts():
    field = fastsnf.SNF(1, 1, hidden_features=4, hidden_layers=0)
    watch = PublishedIou(field, VALUES, 1)
    x, ones = torch.rand(50, 1), torch.ones(50, 1)
    for bias, best in ((5.0, 1.0), (-5.0, 1.0)):
        with torch.no_grad():
            for parameter in field.parameters():
                parameter.zero_()
            list(field.parameters())[-1].fill_(bias)
        watch.add([(x, ones, None)])
        assert watch.best == best


def test_it_is_there_for_other_signals_too():
    """An image of zeros and ones, say."""
    signal = Samples.from_array((torch.rand(20, 20, 1) > 0.5).float())
    field = fastsnf.SNF(2, 1, hidden_features=8)
    result = fastsnf.fit(field, signal, steps=4, batch_size=100, iou="published")
    assert 0 <= result.metrics["iou_published"] <= 1


def two_fits(world):
    """Fits in which each process has a share of every batch; the others start from other weights."""
    found = {}
    for sampler in ("passes", "balanced"):
        iou = "published" if sampler == "passes" else "plain"
        options = {**OPTIONS, "batch_size": 1999, "epochs": 2, "sampler": sampler, "iou": iou}
        result = fastsnf.fit(field_of(world.rank), solid(), **options)
        found[sampler] = (result.metrics, result.field.state_dict())
    return found


def test_two_processes_count_their_shares(tmp_path):
    outcomes = together(2, two_fits, tmp_path)
    for name, (metrics, state) in two_fits(World()).items():
        for outcome in outcomes:
            assert outcome[name][0] == pytest.approx(metrics, abs=2e-3)
            for key, value in state.items():
                torch.testing.assert_close(outcome[name][1][key], value, rtol=1e-3, atol=1e-4)

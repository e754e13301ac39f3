"""`fit`: what it does with its options, its weights, its callbacks; what it returns and what it refuses."""

from __future__ import annotations

import json
import math

import pytest
import torch

import fastsnf
from fastsnf.errors import EngineError, InputError, RunError
from fastsnf.signals.samples import Samples
from fastsnf.train import FitConfig, losses, metrics
from fastsnf.train.evaluate import predict
from tests.train.samples import BATCHES, fit_small, holey_samples, same_state, small_field, small_image

SUMMARY = (
    "kind steps seconds seconds_steps points_per_second psnr loss engine device precision parameters seed run"
)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_a_fit_learns_the_signal():
    field, image = small_field(), small_image()
    result = fastsnf.fit(field, image, steps=300, lr=1e-2)
    assert result.psnr > 30
    assert result.psnr == pytest.approx(metrics.psnr(field(image.coords), image.values), abs=1e-3)
    assert result.field is field
    assert torch.equal(result.values, predict(field, image))


def test_summary_has_the_contracts_keys(capfd):
    summary = fit_small().summary()
    assert list(summary) == SUMMARY.split()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["kind"] == "image"
    assert summary["parameters"] == 2 * 16 + 16 + 16 * 16 + 16 + 16 + 1
    assert summary["device"] == "cpu"
    assert summary["precision"] == "fp32"
    assert summary["run"] is None
    assert 0 < summary["seconds_steps"] <= summary["seconds"]
    assert summary["points_per_second"] == pytest.approx((13 * 480 + 200) / summary["seconds"])
    assert capfd.readouterr() == ("", ""), "a fit without callbacks prints nothing"


def test_complex_parameters_count_twice():
    field = small_field(activation="gabor", scale=5.0)
    result = fastsnf.fit(field, small_image(), steps=1)
    assert result.parameters == 2 * 16 + 16 + 2 * (16 * 16 + 16 + 16 + 1)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    assert same_state(fit_small().field, fit_small().field)
    assert not same_state(fit_small().field, fit_small(seed=1).field)


def test_random_state_is_left_alone():
    before = torch.get_rng_state()
    fit_small()
    assert torch.equal(torch.get_rng_state(), before)


def test_full_batch_adam_is_torchs():
    field, eager, image = small_field(), small_field(), small_image()
    result = fastsnf.fit(field, image, steps=20, batch_size="full", log_every=1, engine="reference")
    optimizer = torch.optim.Adam(eager.parameters(), lr=1e-4)
    for row in result.history:
        loss = losses.mse(eager(image.coords), image.values, None)
        assert row["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
        assert row["psnr"] == pytest.approx(-10 * math.log10(row["loss"]))
        assert row["lr"] == 1e-4
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for a, b in zip(field.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_rows_hold_the_schema():
    history = fit_small(log_every=7).history
    assert [row["step"] for row in history] == [7, 14, 21, 28, 35, 40]
    assert all(list(row) == ["step", "seconds", "loss", "psnr", "lr"] for row in history)
    assert history[0]["lr"] == pytest.approx(1e-3 * 0.5 * (1 + math.cos(math.pi * 6 / 40)))
    assert [row["seconds"] for row in history] == sorted(row["seconds"] for row in history)


@pytest.mark.parametrize(
    ("options", "steps"),
    [({"steps": 5}, 5), ({"epochs": 2}, 6), ({"epochs": 0.5}, 2), ({"steps": 4, "epochs": 2}, 4)],
)
def test_step_budgets(options, steps):
    assert fastsnf.fit(small_field(), small_image(), batch_size=200, **options).steps == steps


def test_without_a_stop_rule_1000_steps():
    result = fastsnf.fit(small_field(), small_image((4, 4)))
    assert result.steps == 1000


def test_target_psnr_holds_for_the_final_weights():
    result = fastsnf.fit(small_field(), small_image(), target_psnr=25.0, batch_size=100, lr=1e-2)
    assert 25.0 <= result.psnr < 35.0
    assert result.steps % 5 == 0, "it is looked at once an epoch"


def test_an_unreachable_target_ends_with_the_budget():
    assert fastsnf.fit(small_field(), small_image(), target_psnr=200.0, steps=12).steps == 12


def test_time_limit_ends_the_fit():
    result = fastsnf.fit(small_field(), small_image(), time_limit=0.2)
    assert result.seconds >= 0.2
    assert result.history[-1]["lr"] < 1e-4, "the cosine ends with the time"


def test_callbacks_are_told_in_order_and_can_stop():
    calls = []

    class Observer(fastsnf.train.Callback):
        def on_start(self, state):
            calls.append(("start", state.step, state.max_steps, state.points, state.points_per_step))

        def on_log(self, row, state):
            calls.append(("log", row["step"], state.psnr == row["psnr"]))
            if row["step"] == 10:
                state.stop()

        def on_preview(self, state):
            calls.append(("preview", state.preview.psnr > 0))

        def on_end(self, result):
            calls.append(("end", result.steps))

    fit_small(callbacks=[Observer()], preview_every=1e-9)
    assert calls == [
        ("start", 0, 40, 480, 200),
        *[("preview", True)] * 4,
        ("log", 5, True),
        *[("preview", True)] * 5,
        ("log", 10, True),
        ("preview", True),
        ("end", 10),
    ]


def test_previews_and_callbacks_are_not_seconds_of_steps(monkeypatch):
    moment = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: moment[0])

    class Slow(fastsnf.train.Callback):
        def on_log(self, row, state):
            moment[0] += 10.0

    result = fit_small(callbacks=[Slow()], log_every=10)
    assert result.seconds == 40.0
    assert result.seconds_steps == 0.0


def test_weights_and_holes():
    samples = holey_samples()
    field = small_field()
    options = {"steps": 30, "batch_size": "full", "lr": 1e-2, "log_every": 1}
    result = fastsnf.fit(field, samples, **options)
    there = samples.weights > 0
    expected = losses.mse(small_field()(samples.coords), samples.values, samples.weights)
    assert result.history[0]["loss"] == pytest.approx(float(expected.detach()), rel=1e-5)
    errors = (field(samples.coords).detach() - samples.values)[there].square().mean()
    assert result.psnr == pytest.approx(-10 * math.log10(float(errors)), abs=1e-4)
    assert torch.isfinite(result.values).all()


def test_what_a_hole_holds_does_not_matter():
    samples = holey_samples()
    filled = Samples(samples.shape, 1, samples.values.nan_to_num(123.0), samples.weights)
    fields = [fastsnf.fit(small_field(), signal, **BATCHES).field for signal in (samples, filled)]
    assert same_state(*fields)


def test_holdout_trains_on_a_part_and_reports_both():
    field, image = small_field(), small_image()
    result = fastsnf.fit(field, image, steps=200, lr=1e-2, holdout=2)
    lattice = torch.zeros(image.shape, dtype=torch.bool)
    lattice[::2, ::2] = True
    squares = (field(image.coords).detach() - image.values).square()
    assert result.psnr == pytest.approx(
        -10 * math.log10(float(squares[lattice.reshape(-1)].mean())), abs=1e-3
    )
    assert result.psnr_holdout == pytest.approx(
        -10 * math.log10(float(squares[~lattice.reshape(-1)].mean())), abs=1e-3
    )
    poisoned = Samples(image.shape, 1, torch.where(lattice.reshape(-1, 1), image.values, 0.5))
    assert same_state(fastsnf.fit(small_field(), poisoned, steps=200, lr=1e-2, holdout=2).field, field)
    assert "psnr_holdout" in result.summary()


def test_published_psnr_is_added():
    result = fit_small(psnr="published")
    assert result.summary()["psnr_published"] == metrics.psnr_published(result.values, small_image().values)


def test_bce_fits_logits():
    image = small_image()
    binary = Samples(image.shape, 1, (image.values > 0.5).float())
    field = small_field()
    result = fastsnf.fit(field, binary, steps=300, lr=1e-2, loss="bce", log_every=300)
    assert result.psnr == pytest.approx(metrics.psnr(field(binary.coords).sigmoid(), binary.values), abs=1e-3)
    assert result.psnr > 12
    assert result.history[-1]["psnr"] == pytest.approx(result.psnr, abs=0.5)


def test_a_users_loss_and_optimizer():
    calls = []

    def loss(out, target, weights):
        calls.append((out.shape, weights))
        return (out - target).abs().mean()

    def optimizer(parameters):
        return torch.optim.RMSprop(parameters, lr=3e-3)

    result = fastsnf.fit(small_field(), small_image(), steps=50, loss=loss, optimizer=optimizer, log_every=50)
    assert calls == [((480, 1), None)] * 50
    assert result.history[-1]["lr"] == 3e-3
    assert result.psnr > metrics.psnr(small_field()(small_image().coords), small_image().values)


def test_a_user_schedule_scales_a_user_optimizer():
    result = fit_small(optimizer=lambda p: torch.optim.SGD(p, lr=1e-2), schedule="step:10:0.5", log_every=10)
    assert [row["lr"] for row in result.history] == [1e-2, 5e-3, 2.5e-3, 1.25e-3]


def test_a_warm_start_goes_on_from_its_weights(tmp_path):
    first = fastsnf.fit(small_field(), small_image(), steps=200, lr=1e-2, run=tmp_path / "run")
    second = fastsnf.fit(fastsnf.load(tmp_path / "run"), small_image(), steps=1, lr=1e-9, log_every=1)
    assert second.history[0]["psnr"] == pytest.approx(first.psnr, abs=1e-3)


def test_engines_are_named_and_refused():
    assert fit_small(engine="reference").engine == "reference"
    with fastsnf.use_engine("reference"):
        assert fit_small().engine == "reference"
    with pytest.raises(EngineError, match="NTK blocks only"):
        fit_small(engine="cuda")
    with pytest.raises(InputError, match="did you mean 'native'"):
        fit_small(engine="nativ")


def test_float64_fits_on_the_reference():
    result = fastsnf.fit(small_field(dtype=torch.float64), small_image(), steps=5)
    assert (result.engine, result.precision) == ("reference", "fp64")


@pytest.mark.parametrize("precision", ["tf32", "fast"])
def test_precisions_that_no_engine_has_are_refused(precision):
    with pytest.raises(InputError, match=f"got '{precision}': .*it computes in fp32 only"):
        fit_small(precision=precision)


@pytest.mark.parametrize("device", ["cdua", "cpu:x", "cuda:99", "meta2"])
def test_devices_that_are_not_there_are_refused(device):
    with pytest.raises(InputError, match="device of this machine"):
        fit_small(device=device)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.nn.Linear(2, 1), small_image), "accelerate"),
        ((small_field, torch.rand(4, 4)), "Image.from_array"),
        ((lambda: small_field(out_features=3), small_image), "got 2 and 3"),
    ],
)
def test_wrong_things_are_refused(arguments, message):
    field, signal = (a() if callable(a) and not isinstance(a, torch.nn.Module) else a for a in arguments)
    with pytest.raises(InputError, match=message):
        fastsnf.fit(field, signal)


def test_wrong_keywords_are_refused():
    with pytest.raises(InputError, match="did you mean 'steps'"):
        fastsnf.fit(small_field(), small_image(), stps=3)
    with pytest.raises(InputError, match="Callback"):
        fastsnf.fit(small_field(), small_image(), callbacks=[print])
    with pytest.raises(InputError, match="without run"):
        fastsnf.fit(small_field(), small_image(), resume=True)


@pytest.mark.parametrize("batch_size", ["full", 200])
def test_a_loss_that_turns_nan_stops_and_names_the_cause(batch_size, tmp_path):
    run = tmp_path / "run"
    options = {"steps": 500, "lr": 1e38, "optimizer": "sgd", "schedule": "constant", "batch_size": batch_size}
    with pytest.raises(
        RunError, match=r"NaN or infinity at step \d+: the learning rate of 1e\+38 is likely"
    ) as caught:
        fastsnf.fit(small_field(), small_image(), run=run, **options)
    assert "the last good checkpoint is step 0" in str(caught.value)
    assert all(p.isfinite().all() for p in fastsnf.load(run).parameters())


def test_other_causes_of_nan_are_named():
    field = small_field()
    with torch.no_grad():
        field.net[0].linear.weight[0, 0] = torch.nan
    with pytest.raises(RunError, match="step 1: the field's initial weights are not finite"):
        fastsnf.fit(field, small_image(), steps=3)

    def loss(out, target, weights):
        return (out - target).mean() * torch.inf

    with pytest.raises(RunError, match="step 1: the loss itself"):
        fit_small(loss=loss)
    image = small_image()
    values = image.values.clone()
    values[3] = torch.nan
    with pytest.raises(InputError, match=r"1 of 480 points, the first at \[0, 3\]"):
        fastsnf.fit(small_field(), Samples(image.shape, 1, values))


def test_a_config_and_options_are_one():
    config = FitConfig(**{**BATCHES, "steps": 5})
    result = fastsnf.fit(small_field(), small_image(), config, steps=6)
    assert result.steps == 6

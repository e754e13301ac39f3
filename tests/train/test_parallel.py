"""Several processes make the fit of one: the same weights, one set of decisions, one that writes."""

from __future__ import annotations

import os
import signal
import time
from itertools import count as numbers

import pytest
import torch

import fastsnf
from fastsnf.errors import InputError, RunError
from fastsnf.ntk import IGA
from fastsnf.train import parallel
from fastsnf.train.interrupt import Interrupted
from fastsnf.train.lock import locked
from fastsnf.train.parallel import World, alone, joined
from fastsnf.train.run import read_rows
from fastsnf.train.snapshot import Snapshots
from fastsnf.train.updates import Updates
from tests.cases import count
from tests.train.gang import together
from tests.train.samples import BATCHES, holey_samples, small_field, small_image

STEPS = 20
TOLERANCE = 1e-4

CASES = {
    "uneven parts": ({"batch_size": 201}, {}),
    "weights": ({"batch_size": 101, "signal": "weighted"}, {}),
    "whole signal": ({"batch_size": "full"}, {}),
    "parts without a point": ({"batch_size": 1}, {}),
    "bce": ({"batch_size": 201, "loss": "bce"}, {}),
    "bce with weights": ({"batch_size": 101, "loss": "bce", "signal": "weighted"}, {}),
    "adamw": ({"batch_size": 201, "optimizer": "adamw"}, {}),
    "sgd": ({"batch_size": 201, "optimizer": "sgd", "lr": 0.05, "schedule": "step:5:0.5"}, {}),
    "complex weights": ({"batch_size": 201}, {"activation": "gabor", "scale": 5.0}),
    "float64": ({"batch_size": 201}, {"dtype": torch.float64}),
}


def fitted(options, field_options, *, rank=0, **more):
    """Fit one of `CASES`; processes but the first start from other weights, which rank 0's replace."""
    options = dict(options)
    target = holey_samples() if options.pop("signal", None) == "weighted" else small_image()
    dtype = field_options.get("dtype", torch.float32)
    field = small_field(rank, **{k: v for k, v in field_options.items() if k != "dtype"}).to(dtype)
    return fastsnf.fit(field, target, **{**BATCHES, "steps": STEPS, **options, **more})


def all_cases(world):
    results = {}
    for name, case in CASES.items():
        result = fitted(*case, rank=world.rank)
        results[name] = (result.field.state_dict(), result.psnr, result.loss, result.history)
    return results


@pytest.fixture(scope="module")
def single():
    torch.set_num_threads(1)
    return {name: fitted(*case) for name, case in CASES.items()}


@pytest.mark.parametrize("size", range(2, 2 + count(3)))
def test_processes_make_the_fit_of_one(size, single, tmp_path):
    outcomes = together(size, all_cases, tmp_path)
    for name, expected in single.items():
        for rank, outcome in enumerate(outcomes):
            state, psnr, loss, history = outcome[name]
            for key, value in expected.field.state_dict().items():
                assert torch.equal(state[key], outcomes[0][name][0][key]), "all have the same bits"
                error = (state[key] - value).norm() / value.norm()
                assert error <= TOLERANCE, f"{name}: {key} is off by {error:.2g}"
            assert psnr == pytest.approx(expected.psnr, rel=1e-4)
            assert loss == pytest.approx(expected.loss, rel=1e-4)
            assert len(history) == (0 if rank else len(expected.history))
        for row, other in zip(outcomes[0][name][3], expected.history, strict=True):
            assert row["psnr"] == pytest.approx(other["psnr"], rel=1e-4)


def on_own_clocks(world):
    """Fits that end by time, by a target and by a callback, in processes whose clocks disagree."""
    real, start = time.perf_counter, time.perf_counter()
    time.perf_counter = lambda: start + (real() - start) * (1 + 4 * world.rank)

    class Stop(fastsnf.train.Callback):
        def on_log(self, row, state):
            assert world.first, "callbacks are the first process's"
            if row["step"] >= 30:
                state.stop()

    settings = {**BATCHES, "steps": None}
    results = [
        fastsnf.fit(small_field(), small_image(), **settings, time_limit=0.5, schedule="cosine"),
        fastsnf.fit(small_field(), small_image(), **settings, target_psnr=11.0),
        fastsnf.fit(small_field(), small_image(), **settings, callbacks=[Stop()], time_limit=60.0),
    ]
    return [(result.steps, result.field.state_dict()) for result in results]


def test_the_first_process_decides(tmp_path):
    first, second = together(2, on_own_clocks, tmp_path)
    for (steps, state), (other_steps, other_state) in zip(first, second, strict=True):
        assert steps == other_steps
        assert all(torch.equal(state[name], other_state[name]) for name in state)
    assert first[0][0] > 1
    assert first[2][0] == 30


def in_one_folder(world, run, options):
    """Fit in a run folder, sent SIGTERM in the second process after some steps."""
    updates = Updates.update
    steps = numbers(1)

    def update(self):
        if world.rank == 1 and next(steps) == options.get("signal_after", 0):
            os.kill(os.getpid(), signal.SIGTERM)
        updates(self)

    Updates.update = update
    try:
        result = fitted({"batch_size": 201}, {}, run=run, **options["fit"])
    except Interrupted as error:
        return ("stopped", error.signum, error.told_elsewhere)
    return (result.steps, result.run, result.field.state_dict())


def test_a_signal_to_any_process_saves_and_stops_all_and_the_run_goes_on_alone(single, tmp_path):
    run = tmp_path / "run"
    outcomes = together(2, in_one_folder, tmp_path / "a", run, {"fit": {}, "signal_after": 7})
    assert outcomes == [("stopped", signal.SIGTERM, False), ("stopped", signal.SIGTERM, True)]
    assert Snapshots(run).newest().step == 7
    torch.set_num_threads(1)
    result = fitted({"batch_size": 201}, {}, run=run, resume=True)
    for name, value in single["uneven parts"].field.state_dict().items():
        assert (result.field.state_dict()[name] - value).norm() <= TOLERANCE * value.norm()
    # and in two again, where there is nothing left to do
    outcomes = together(2, in_one_folder, tmp_path / "b", run, {"fit": {"resume": True}})
    assert [(steps, folder) for steps, folder, _ in outcomes] == [(STEPS, str(run)), (STEPS, None)]
    for _, _, state in outcomes:
        assert all(torch.equal(state[name], value) for name, value in result.field.state_dict().items())


def test_a_folder_in_use_is_refused_in_all_of_them(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with locked(run):
        outcomes = together(2, in_one_folder, tmp_path / "a", run, {"fit": {}})
    for outcome in outcomes:
        assert isinstance(outcome, InputError)
        assert f"in use by process {os.getpid()}" in str(outcome)
    assert [getattr(outcome, "told_elsewhere", False) for outcome in outcomes] == [False, True]


def refusals(world):
    """Return what fits that processes cannot share say, and one that they do not agree on."""
    said = []
    for options, field in (
        ({"iga": IGA()}, small_field()),
        ({"loss": lambda out, target, weights: out.square().mean()}, small_field()),
        ({"seed": world.rank}, small_field()),
        ({}, small_field(hidden_features=16 + world.rank)),
    ):
        with pytest.raises(InputError) as caught:
            fastsnf.fit(field, small_image(), **{**BATCHES, **options})
        said.append(str(caught.value))
    with alone():  # one fit each
        result = fastsnf.fit(small_field(), small_image(), **{**BATCHES, "seed": world.rank})
    return [*said, result.field.state_dict()]


def test_what_cannot_be_shared_is_refused(tmp_path):
    first, second = together(2, refusals, tmp_path)
    assert first[:-1] == second[:-1]
    for text, word in zip(first, ("iga", "loss mse or bce", "same settings", "same settings"), strict=False):
        assert word in text
    for rank, outcome in enumerate((first, second)):
        torch.set_num_threads(1)
        expected = fastsnf.fit(small_field(), small_image(), **{**BATCHES, "seed": rank}).field.state_dict()
        assert all(torch.equal(outcome[-1][name], value) for name, value in expected.items())


def one_refuses(world):
    """The second process alone has an error, then none has one."""

    def work(failing):
        if world.rank == failing:
            raise InputError("only here")
        return world.rank

    try:
        world.each(lambda: work(1))
    except (InputError, RunError) as error:
        return str(error), error.told_elsewhere, world.each(lambda: work(2))


def test_an_error_of_one_of_them_ends_all_and_is_told_there(tmp_path):
    first, second = together(2, one_refuses, tmp_path)
    assert first == ("expected all processes to begin; got an error in number 1", True, 0)
    assert second == ("only here", False, 1)


def one_dies(world, folder):
    """The second process dies; return what the first one says, and how long it took."""
    updates = Updates.update
    steps = numbers(1)

    def update(self):
        if world.rank == 1 and next(steps) == 5:
            os._exit(0)
        updates(self)

    Updates.update = update
    start = time.monotonic()
    try:
        fitted({"batch_size": 201}, {}, run=folder / "run")
    except RunError as error:
        return str(error), error.told_elsewhere, time.monotonic() - start


def test_the_death_of_one_ends_the_others_with_what_they_had_saved(single, tmp_path):
    (text, told_elsewhere, seconds), dead = together(2, one_dies, tmp_path, tmp_path)
    assert dead is None, "it could not say anything"
    assert text.startswith("expected all 2 processes; got: a process left (")
    assert text.endswith("): start again with --resume")
    assert not told_elsewhere
    assert seconds < 30
    torch.set_num_threads(1)
    result = fitted({"batch_size": 201}, {}, run=tmp_path / "run", resume=True)
    for name, value in single["uneven parts"].field.state_dict().items():
        assert (result.field.state_dict()[name] - value).norm() <= TOLERANCE * value.norm()
    rows = [row["step"] for row in read_rows(tmp_path / "run")]
    assert rows == [row["step"] for row in single["uneven parts"].history]


def test_alone_there_is_nothing_to_join(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with joined() as world:
        assert world == World() == World.current()
    assert world.part(10) == (0, 10)
    assert world.largest([1.0, 2.0]) == [1.0, 2.0]
    assert world.from_first(lambda: 3) == 3
    for name, value in (
        ("RANK", "0"),
        ("WORLD_SIZE", "1"),
        ("MASTER_ADDR", "localhost"),
        ("MASTER_PORT", "1"),
    ):
        monkeypatch.setenv(name, value)
    with joined() as world:
        assert world.size == 1
    assert not parallel._ours


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "0")])
def test_an_environment_that_makes_no_sense_is_refused(rank, size, monkeypatch):
    settings = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="expected RANK and WORLD_SIZE as torchrun sets them"), joined():
        pass


@pytest.mark.parametrize("points", [0, 1, 2, 3, 10, 1001])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_are_even_and_cover_everything(points, size):
    parts = [World(rank, size).part(points) for rank in range(size)]
    assert [point for first, last in parts for point in range(first, last)] == [*range(points)]
    sizes = [last - first for first, last in parts]
    assert max(sizes) - min(sizes) <= 1


def diverging(world):
    """Return what a fit whose loss overflows says."""
    try:
        fitted({"batch_size": 201, "optimizer": "sgd", "lr": 1e30, "schedule": "constant"}, {})
    except RunError as error:
        return str(error), error.told_elsewhere


def test_a_loss_that_is_not_finite_ends_all_and_is_told_once(tmp_path):
    (text, told), (other, told_elsewhere) = together(2, diverging, tmp_path)
    assert "expected a finite loss" in text
    assert other == text
    assert (told, told_elsewhere) == (False, True)

"""Candidates side by side. Oracle: separate calls of `fastsnf.fit`: the same fields, settings and seeds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from fastsnf import fit
from fastsnf.errors import RunError
from fastsnf.ntk.config import IGA
from fastsnf.studies.records import Records
from fastsnf.studies.tune import OVER, Run, Trial, TuneResult, tune
from fastsnf.train import Callback, FitConfig, FitState
from tests.studies.tune.cases import image, maker

SETTINGS: dict[str, dict[str, Any]] = {
    "full": {"batch_size": "full", "lr": 2e-3, "steps": 110, "target_psnr": 30.0},
    "mini-batches": {"batch_size": 80, "lr": 2e-3, "steps": 80, "target_psnr": 27.0},
    "cosine": {"batch_size": 64, "schedule": "cosine", "lr": 3e-3, "steps": 40, "target_psnr": 26.0},
    "bce": {"batch_size": 64, "loss": "bce", "lr": 3e-3, "steps": 40, "target_psnr": 20.0},
    "sgd": {"optimizer": "sgd", "lr": 0.1, "steps": 30, "target_psnr": 12.0},
}


def separate(value: float, seed: int, over: str, settings: dict[str, Any], make: Any) -> Run:
    """Return what `fastsnf.fit` gives for a candidate by itself."""
    knob = OVER[over]
    config = knob.settings(FitConfig(**{"schedule": "constant", "holdout": 2, **settings}), value)
    field = make(knob.overrides(value), seed)
    result = fit(field, image(), dataclasses.replace(config, seed=seed))
    assert result.psnr_holdout is not None
    return Run(seed, result.steps, result.psnr >= settings["target_psnr"], result.psnr, result.psnr_holdout)


@pytest.mark.parametrize("name", SETTINGS)
def test_rows_are_those_of_separate_fits_bit_for_bit(name: str) -> None:
    settings, make, values = SETTINGS[name], maker(), [1.0, 2.5]
    result = tune(image(), make, values=values, race=False, seeds=[0, 7], **settings)
    for trial in result.trials:
        assert trial.runs == tuple(separate(trial.value, s, "alpha", settings, make) for s in (0, 7))
    assert [trial.value for trial in result.trials] == values


@pytest.mark.parametrize(("over", "values"), [("lr", [1e-3, 4e-3]), ("iga-end", [1, 3])])
def test_settings_of_the_fit_are_searched_likewise(over: str, values: list[float]) -> None:
    settings: dict[str, Any] = {"lr": 1e-3, "steps": 12, "target_psnr": 40.0}
    if over == "iga-end":
        settings["iga"] = IGA(group="patch:4", end=2)
    result = tune(image(), maker(alpha=2.0), over=over, values=values, race=False, **settings)
    for trial in result.trials:
        assert trial.runs == (separate(trial.value, 0, over, settings, maker(alpha=2.0)),)


@pytest.mark.parametrize(("name", "seeds"), [("full", [0, 1]), ("mini-batches", [0])])
def test_racing_finds_what_whole_runs_find(name: str, seeds: list[int]) -> None:
    values = [1.0, 1.3, 1.5, 2.0, 2.5, 4.5]
    raced, whole = (
        tune(image(), maker(), values=values, race=race, seeds=seeds, **SETTINGS[name])
        for race in (True, False)
    )
    assert raced.best == whole.best
    assert raced.ranked_by == "steps"
    ended = [trial for trial in raced.trials if trial.stopped != "slower"]
    assert all(trial in whole.trials for trial in ended)
    assert len(ended) < len(values), "nothing was saved"
    made = [sum(run.made for trial in r.trials for run in trial.runs) for r in (raced, whole)]
    assert made[0] < made[1]


def test_a_candidate_that_stood_still_has_the_bits_of_its_first_steps() -> None:
    settings = SETTINGS["full"]
    result = tune(image(), maker(), values=[1.5, 2.0], **settings)
    trial = next(trial for trial in result.trials if trial.stopped == "slower")

    class Halt(Callback):
        def on_log(self, row: dict[str, Any], state: FitState) -> None:
            if state.step == trial.made:
                state.stop()

    alone = fit(
        maker()({"alpha": trial.value}, 0), image(), callbacks=[Halt()], log_every=1, schedule="constant",
        holdout=2, **settings,
    )  # fmt: skip
    assert (alone.steps, alone.psnr, alone.psnr_holdout) == (trial.made, trial.psnr, trial.psnr_test)


def test_those_that_stood_still_go_on_when_the_first_is_not_admissible() -> None:
    """The fastest candidate fails Eq. 10's demand, which is known late: the next one must still win."""
    settings = SETTINGS["full"]
    whole = tune(image(), maker(), values=[1.5, 2.0, 3.0], race=False, **settings)
    order = sorted(
        (trial for trial in whole.trials if trial.steps is not None), key=lambda trial: trial.steps or 0.0
    )
    ratio = order[0].psnr_test / whole.of_reference.psnr_test
    slower = [t for t in order[1:] if t.psnr_test > order[0].psnr_test and t.value != 1.0]
    assert slower, "the signal must have a trade-off"
    share = ratio * 1.0001
    raced, judged = (
        tune(image(), maker(), values=[1.5, 2.0, 3.0], race=race, share=share, **settings)
        for race in (True, False)
    )
    assert judged.best.value != order[0].value
    assert raced.best == judged.best


def test_a_candidate_that_diverges_ends_alone_and_the_reference_ends_all() -> None:
    settings: dict[str, Any] = {"steps": 40, "optimizer": "sgd", "target_psnr": 30.0}
    result = tune(image(), maker(activation="relu", first_omega=None, init="default"), over="lr",
                  values=[1e30], reference=0.1, **settings)  # fmt: skip
    bad = result.trials[-1]
    assert (bad.stopped, bad.admissible) == ("diverged", False)
    assert "lower lr" in bad.why
    assert result.value == 0.1
    assert "diverged" in result.table().text()
    with pytest.raises(RunError, match=r"reference, 1e\+30, has no result"):
        tune(image(), maker(activation="relu", first_omega=None, init="default"), over="lr",
             values=[0.1], reference=1e30, **settings)  # fmt: skip


def test_finished_rows_are_kept_and_not_trained_again(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS["full"], "race": False}
    kept: list[Trial] = []

    def stop_after_one(trial: Trial) -> None:
        kept.append(trial)
        raise KeyboardInterrupt

    def search(**options: Any) -> TuneResult:
        return tune(
            image(), maker(), values=[1.0, 2.0, 3.0], records=Records(tmp_path), **settings, **options
        )

    with pytest.raises(KeyboardInterrupt):
        search(watch=stop_after_one)
    assert len(Records(tmp_path).path.read_text().splitlines()) == 1
    first = search()
    steps: list[int] = []
    again = search(progress=lambda step, budget, loss: steps.append(step))
    assert first == again == tune(image(), maker(), values=[1.0, 2.0, 3.0], **settings)
    assert kept[0].runs in [trial.runs for trial in again.trials]
    assert not steps


def test_points_and_batches_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsnf.train import points
    from fastsnf.train.samplers import passes

    gathered, drawn = [], []
    batch, indices = points.Points._batch, passes.Passes._drawn
    monkeypatch.setattr(points.Points, "_batch", lambda s, i: gathered.append(i) or batch(s, i))
    monkeypatch.setattr(passes.Passes, "_drawn", lambda s, i: drawn.append(i) or indices(s, i))
    tune(image(), maker(), values=[1.0, 2.0, 3.0], race=False, steps=10, target_psnr=90.0, batch_size=40)
    assert drawn == list(range(10))
    assert len([index for index in gathered if not isinstance(index, slice)]) == 10

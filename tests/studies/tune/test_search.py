"""The search. Oracles: signals of known spectra, whose best alpha is above 1, and searches of all values."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from fastsnf import SNF, init
from fastsnf.errors import InputError
from fastsnf.nn import Field, make_field
from fastsnf.signals import Image, Samples
from fastsnf.studies.tune import OVER, tune
from fastsnf.studies.tune.result import Run, Trial
from fastsnf.train import FitConfig
from tests.studies.tune.cases import image, maker

FAST: dict[str, Any] = {"batch_size": "full", "lr": 2e-3, "steps": 110, "target_psnr": 30.0}


def test_a_signal_above_the_fields_frequencies_wants_alpha_above_one() -> None:
    result = tune(image(), maker(), **FAST)
    assert 1.5 < result.value < 3.0
    assert result.speedup is not None
    assert result.speedup > 2.0
    assert result.best.psnr_test >= result.threshold == 0.95 * result.of_reference.psnr_test
    assert (result.points, result.held) == (144, 432)


def test_refinement_is_a_search_around_the_best() -> None:
    coarse = tune(image(), maker(), rounds=0, **FAST)
    fine = tune(image(), maker(), rounds=2, **FAST)
    assert coarse.best.steps is not None
    assert fine.best.steps is not None
    assert fine.best.steps <= coarse.best.steps
    new = {trial.value for trial in fine.trials} - {trial.value for trial in coarse.trials}
    assert 1 <= len(new) <= 4
    values = [trial.value for trial in coarse.trials]
    place = values.index(coarse.value)
    assert all(values[max(0, place - 1)] < value < values[min(len(values) - 1, place + 1)] for value in new)


def test_an_open_end_of_the_range_is_moved_and_a_given_one_is_not() -> None:
    options = {**FAST, "lr": 1e-5, "steps": 25, "over": "lr", "candidates": 3, "rounds": 1}
    free = tune(image(), maker(), **options)
    assert max(trial.value for trial in free.trials) > 1e-4
    bound = tune(image(), maker(), low=1e-6, high=1e-4, **options)
    assert max(trial.value for trial in bound.trials) == 1e-4 == bound.value
    assert "a wider one may have a better" in bound.table().text()
    low = tune(image(), maker(first_omega=300.0), **{**FAST, "steps": 30})
    assert low.value == 1.0 == min(trial.value for trial in low.trials), "an alpha below 1 was tried"


def test_values_are_spread_evenly_in_their_logarithm_with_the_start_among_them() -> None:
    options = {**FAST, "steps": 1, "rounds": 0}
    spread = tune(image(), maker(), low=1.0, high=16.0, start=20.0, **options)
    assert [trial.value for trial in spread.trials] == [1.0, 2.0, 4.0, 8.0, 16.0]
    started = tune(image(), maker(), low=1.0, high=16.0, start=3.5, **options)
    assert [trial.value for trial in started.trials] == [1.0, 2.0, 3.5, 8.0, 16.0]
    ruled = tune(image(), maker(), **options)
    assert ruled.rule is not None
    assert float(f"{ruled.rule:.4g}") in [trial.value for trial in ruled.trials]


def test_where_none_reaches_the_target_the_psnr_after_the_budget_decides() -> None:
    result = tune(image(), maker(), values=[1.5, 2.0, 4.5], **{**FAST, "steps": 15})
    assert result.ranked_by == "psnr"
    assert {trial.made for trial in result.trials} == {15}
    fair = [trial for trial in result.trials if trial.psnr_test >= result.threshold]
    assert result.best.psnr == max(trial.psnr for trial in fair)
    assert "no admissible candidate reached 30 dB in 15 steps" in result.table().text()


def test_ties_go_to_the_higher_test_psnr_and_nobody_wins_below_the_threshold() -> None:
    def trial(value: float, made: int, test: float) -> Trial:
        return Trial.of(value, [Run(0, made, True, 50.0, test)], ended=True).judged(19.0)

    from fastsnf.studies.tune.result import best_of

    trials = [trial(1.0, 90, 20.0), trial(2.0, 40, 21.0), trial(2.5, 40, 22.0), trial(4.0, 10, 18.9)]
    assert best_of(trials, "steps").value == 2.5
    assert trials[-1].admissible is False


def kinds(**options: Any) -> Any:
    return maker(**{"alpha": None, "first_omega": None, **options})


def gauss(overrides: dict[str, Any], seed: int) -> SNF:
    options = {"activation": "gaussian", "scale": 3.0, "init": "vi3nr", **overrides}
    return SNF(2, 1, 16, 1, generator=torch.Generator().manual_seed(seed), **options)


def published(name: str, **fixed: Any) -> Any:
    def make(overrides: dict[str, Any], seed: int) -> Field:
        options = {"hidden_features": 8, "hidden_layers": 1, **fixed, **overrides}
        return make_field(name, 2, 1, generator=torch.Generator().manual_seed(seed), **options)

    return make


@pytest.mark.parametrize(
    ("over", "make", "reference"),
    [
        ("first-omega", maker(first_omega=8.0), 8.0),
        ("hidden-omega", maker(hidden_omega=20.0), 20.0),
        ("scale", gauss, 3.0),
        ("lr", maker(), 2e-3),
        ("first-omega", published("wire2d", first_omega=12.0), 12.0),
        ("hidden-omega", published("wire2d"), 20.0),
        ("scale", published("wire2d", scale=4.0), 4.0),
        ("first-omega", published("bn", activation="sine", encoding="none", first_omega=5.0), 5.0),
        ("hidden-omega", published("fr", low=2, high=2, phases=2, hidden_omega=9.0), 9.0),
    ],
)
def test_the_reference_is_what_field_and_fit_have(over: str, make: Any, reference: float) -> None:
    result = tune(image(), make, over=over, candidates=2, rounds=0, **{**FAST, "steps": 2})
    knob = OVER[over]
    expected = [reference * knob.down, reference, reference * knob.up]
    assert [trial.value for trial in result.trials] == pytest.approx(expected)
    assert result.reference == pytest.approx(reference)
    assert result.rule is None


def test_sigma_p_is_compared_with_the_root_of_eq_13() -> None:
    result = tune(image(), gauss, over="sigma-p", candidates=2, rounds=0, **{**FAST, "steps": 2})
    field = gauss({}, 0)
    assert result.reference == pytest.approx(init.solve_sigma_p(field.hidden_activation), rel=1e-6)
    assert len({trial.psnr for trial in result.trials}) == 3, "sigma_p has no effect"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"over": "alfa"}, "did you mean 'alpha'"),
        ({"over": "scale"}, "activation with scale .* got sine, which has only omega: search first-omega"),
        ({"over": "sigma-p"}, "field of init vi3nr .* got init weight-scaling"),
        ({"over": "iga-end"}, "with iga"),
        ({"over": "lr", "optimizer": torch.optim.Adam}, "optimizer by name"),
        ({"values": []}, "at least one value"),
        ({"values": [0.0]}, "above 0"),
        ({"values": [float("nan")]}, "above 0"),
        ({"values": [2.0], "low": 1.0}, "values or a range"),
        ({"low": 4.0, "high": 2.0}, "low < high"),
        ({"candidates": 1}, "at least 2"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "no two alike"),
        ({"share": 0.0}, "share"),
        ({"time_limit": 3.0}, "budget in steps"),
        ({"stepz": 3}, "did you mean 'steps'"),
    ],
)
def test_bad_input_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        tune(image(), maker(), **options)


def test_fields_without_the_number_are_refused() -> None:
    with pytest.raises(InputError, match=r"init weight-scaling .* got init siren"):
        tune(image(), maker(init="siren"))
    with pytest.raises(InputError, match="got relu, which has no parameter: search lr"):
        tune(image(), kinds(activation="relu", alpha=1.0), over="first-omega")
    with pytest.raises(InputError, match="got relu, which has no parameter: search lr"):
        tune(image(), published("bn"), over="hidden-omega")
    with pytest.raises(InputError, match="one activation to search scale; got MFN: search lr"):
        tune(image(), published("mfn-gabor"), over="scale")


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (6, 7)])
def test_a_signal_too_small_to_hold_out_points_is_refused(shape: tuple[int, int]) -> None:
    small = Image.from_array(torch.rand(shape))
    with pytest.raises(InputError, match=r"hold out.*holdout=2"):
        tune(small, maker())


def test_one_dimension_and_a_holdout_of_its_own() -> None:
    line = Samples((64,), 1, torch.linspace(0, 1, 64)[:, None])

    def make(overrides: dict[str, Any], seed: int) -> SNF:
        return SNF(1, 1, 8, 1, **{"alpha": 1.0, **overrides}, generator=torch.Generator().manual_seed(seed))

    result = tune(line, make, FitConfig(steps=2, holdout=4), values=[2.0])
    assert (result.points, result.held, result.budget, result.target) == (16, 48, 2, 50.0)


def test_the_summary_is_json_and_the_table_says_what_was_found() -> None:
    result = tune(image(), maker(), values=[1.5, 2.0, 4.5], **FAST)
    summary = json.loads(json.dumps(result.summary(), allow_nan=False))
    assert summary["best"] == result.value == 2.0
    assert [trial["value"] for trial in summary["trials"]] == [1.0, 1.5, 2.0, 4.5]
    text = result.table().text()
    assert "best alpha: 2," in text
    assert "rule of thumb" in text
    rows = result.table().rows
    assert [row[0] for row in rows if row[-1].endswith("best")] == ["2"]
    assert [row[0] for row in rows if "below" in row[-1]] == ["4.5"]
    assert [row[0] for row in rows if "stopped, slower" in row[-1]] == ["1.5"]

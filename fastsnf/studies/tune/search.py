"""`tune`: the value of one number that makes a fit fastest and does not make it worse between the points."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from fastsnf.errors import InputError, check_whole, unknown
from fastsnf.nn import Field
from fastsnf.signals import Signal
from fastsnf.studies.records import Records
from fastsnf.studies.tune.knobs import OVER, Knob
from fastsnf.studies.tune.race import Candidate, MakeField, Race, Runner, Steps, Watch
from fastsnf.studies.tune.result import Run, TuneResult, best_of, ranking_of
from fastsnf.studies.tune.rule import rule_for, training_grid
from fastsnf.train.config import FitConfig, make_config
from fastsnf.train.placement import as_configured, as_placed
from fastsnf.train.plan import Plan, make_plan
from fastsnf.train.points import split

TARGET_PSNR = 50.0
"""The paper's target (Sec. 5.2), dB."""
SHARE = 0.95
"""The paper's share of the reference's test PSNR (Eq. 10)."""
HOLDOUT = 2
LEAST_POINTS = 16
"""Points to train on, and to hold out, without which neither PSNR says anything."""
CLOSE = 1.03
"""Values whose ratio is below this are one: refinement ends there."""


def tune(
    signal: Signal,
    make_field: MakeField,
    config: FitConfig | None = None,
    *,
    over: str = "alpha",
    values: Sequence[float] | None = None,
    low: float | None = None,
    high: float | None = None,
    candidates: int = 5,
    rounds: int | None = None,
    reference: float | None = None,
    seeds: Sequence[int] | None = None,
    share: float = SHARE,
    race: bool = True,
    start: float | None = None,
    records: Records | None = None,
    watch: Watch | None = None,
    progress: Steps | None = None,
    **options: Any,
) -> TuneResult:
    """Return the search for the best value of one number, as the weight-scaling paper's Eq. 10 puts it:

        maximize speed(v) subject to TestPSNR(v) >= share * TestPSNR(reference),

    where the speed is one over the steps until the PSNR over the training points reaches the target, and the
    test PSNR is that over the held-out points after these steps. A candidate that does not reach the target
    within its budget has no speed, and its test PSNR is that at the end of the budget. Where no admissible
    candidate reaches it, they are ranked by the training PSNR after the same number of steps, as in the
    paper's Table 1.

    The search is coarse, then fine, in log v: `candidates` values spread evenly from `low` to `high`, with
    the start in place of the one that is nearest to it; then `rounds` times the two geometric means of the
    best value and its neighbours; where the best is the last of a range that was not given, the next one
    beyond it joins them (but no alpha below 1). All candidates of a round run side by side
    (`fastsnf.studies.tune.race`), and those that cannot win any more stand still; every row that ended is
    that of `fastsnf.fit` with the same field, settings and seeds, bit for bit.

    Args:
        signal: what is fitted. `config.holdout` (default 2) says which points are trained on, so that the
            value found is for that resolution.
        make_field: `MakeField`; called with ``{}`` or the searched argument, and a seed.
        config: the fits; None takes the defaults. `steps` is a candidate's budget (default 1,000),
            `target_psnr` the target (default 50), and the schedule is constant unless it is given: no
            speed should depend on the budget. Without `time_limit`, which would make rows irreproducible.
        over: what is searched, of `fastsnf.studies.tune.OVER`.
        values: the very candidates; the reference joins them. None spreads them.
        low, high: the range; None takes that of the `Knob`: factors on the reference, up to twice the start
            at least for alpha.
        candidates: how many are spread, 2 or more.
        rounds: of refinement; None takes 2, and 0 with `values`.
        reference: what the test PSNR is compared with; None takes alpha = 1, or what field and fit have.
        seeds: of weights and batches, one fit each; figures are means. None takes the configuration's.
        share: of the reference's test PSNR, above 0.
        race: False runs every candidate to its end, for a whole curve.
        start: a guess; None takes the rule of thumb for alpha (`rule_of_thumb`).
        records: finished fits are kept there, and those that are there are not trained again.
        watch: told of every candidate that has ended. progress: told of the steps.
        options: of `FitConfig`, over those of `config`.

    Raises:
        InputError: for a number that the field or the fit does not have, values out of range, settings that
            do not fit together, or a signal with fewer than 16 points to train on or to hold out.
        RunError: when the fits of the reference diverge.
    """
    if over not in OVER:
        raise unknown("what is searched", over, OVER)
    if signal.evaluation is not signal:
        raise InputError(
            "expected a signal of which points can be held out, such as an image or a volume; got a "
            f"{signal.kind}, which is measured elsewhere than it is trained: search on such a signal instead"
        )
    knob, settings = OVER[over], _settings(config, options)
    points, held = _counts(signal, settings)
    seeds = _seeds(settings if seeds is None else seeds)
    if not 0 < share < math.inf:
        raise InputError(f"expected share to be a number above 0; got {share}")
    field = make_field({}, seeds[0])
    base = knob.checked(knob.reference(field, settings) if reference is None else reference)
    rule = (
        rule_for(field, training_grid(signal.shape, settings.holdout), signal.kind)
        if over == "alpha"
        else None
    )
    free = (values is None and low is None, values is None and high is None)
    first = _first(knob, base, values, (low, high), candidates, rule if start is None else start)
    with as_configured(settings):
        fits = _Fits(signal, make_field, settings, knob, seeds, records)
        runner = fits.runner(base, seeds[0])
        with as_placed(settings, runner.plan.place):
            contest = Race(base, share, prune=race, ended=fits.ended, watch=watch, progress=progress)
            contest.add(fits.candidate(base, runner))
            _enter(contest, fits, first)
            for _ in range((0 if values is not None else 2) if rounds is None else rounds):
                if not _enter(contest, fits, _around(contest, knob, free)):
                    break
            trials = tuple(contest.trials())
    target, budget = runner.plan.stop.target_psnr, runner.plan.stop.max_steps
    assert target is not None, "settings have a target"
    assert budget is not None, "settings have a budget"
    ranked_by = ranking_of(trials)
    return TuneResult(
        over, base, target, budget, share, tuple(seeds), trials, ranked_by, rule, points, held
    )  # fmt: skip


class _Fits:
    """Makes the fits of one search, all of them on the points and batches of the first."""

    def __init__(
        self,
        signal: Signal,
        make_field: MakeField,
        config: FitConfig,
        knob: Knob,
        seeds: Sequence[int],
        records: Records | None,
    ) -> None:
        self._signal, self._make_field, self._config = signal, make_field, config
        self.knob, self._seeds, self._records = knob, seeds, records
        self._first: dict[int, Plan] = {}

    def candidate(self, value: float, first: Runner | None = None) -> Candidate:
        """Return the fits of a value; `first` is the one of the first seed, where it is made already."""
        made = [] if first is None else [first]
        return Candidate(value, made + [self.runner(value, seed) for seed in self._seeds[len(made) :]])

    def runner(self, value: float, seed: int) -> Runner:
        """Return the fit of a value with a seed, finished if it has a record."""
        config = dataclasses.replace(self.knob.settings(self._config, value), seed=seed)
        field: Field = self._make_field(self.knob.overrides(value), seed)
        beside = self._first.get(seed) or next(iter(self._first.values()), None)
        plan = make_plan(field, self._signal, config, beside=beside)
        self._first.setdefault(seed, plan)
        return Runner(plan, self._found(value, plan))

    def ended(self, value: float, plan: Plan, run: Run) -> None:
        """Keep a finished fit."""
        if self._records is not None and not run.failed:
            result = {name: entry for name, entry in dataclasses.asdict(run).items() if name != "failed"}
            self._records.add(self._facts(value, plan), result, {"engine": plan.place["engine"]})

    def _found(self, value: float, plan: Plan) -> Run | None:
        if self._records is None:
            return None
        found = self._records.find(self._facts(value, plan))
        return None if found is None else Run(**found)

    def _facts(self, value: float, plan: Plan) -> dict[str, Any]:
        """Return what decides the result of a fit."""
        limits = {"steps": plan.stop.max_steps, "target_psnr": plan.stop.target_psnr}
        return {"over": self.knob.name, "value": value, **limits, "fit": plan.describe()["identity"]}


def _settings(config: FitConfig | None, options: dict[str, Any]) -> FitConfig:
    settings = make_config(config, options)
    if settings.time_limit is not None:
        raise InputError(
            f"expected a budget in steps; got time_limit={settings.time_limit:g}: what is reached in a time "
            "depends on the machine's load; set steps"
        )
    defaults: dict[str, Any] = {"target_psnr": TARGET_PSNR, "holdout": HOLDOUT, "schedule": "constant"}
    if settings.epochs is None:
        defaults["steps"] = FitConfig.default_steps
    missing = {name: value for name, value in defaults.items() if getattr(settings, name) is None}
    return dataclasses.replace(settings, **missing)


def _counts(signal: Signal, config: FitConfig) -> tuple[int, int]:
    """Return how many points are trained on and held out.

    Raises:
        InputError: when they are too few.
    """
    train, held = split(signal, config.holdout)
    assert train is not None, "points are held out"
    assert held is not None, "points are held out"
    counts = int(train.sum()), int(held.sum())
    if min(counts) < LEAST_POINTS:
        raise InputError(
            f"expected a signal with at least {LEAST_POINTS} points to train on and {LEAST_POINTS} to hold "
            f"out; got {list(signal.shape)} points, of which holdout={config.holdout} leaves {counts[0]} and "
            f"{counts[1]}: take a larger signal"
        )
    return counts


def _seeds(given: FitConfig | Sequence[int]) -> list[int]:
    seeds = [given.seed] if isinstance(given, FitConfig) else list(given)
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise InputError(f"expected seeds, whole numbers of 0 or more and no two alike; got {seeds}")
    return seeds


def _first(
    knob: Knob,
    base: float,
    values: Sequence[float] | None,
    span: tuple[float | None, float | None],
    candidates: int,
    start: float | None,
) -> list[float]:
    """Return the values of the first round, the reference aside.

    Raises:
        InputError: for values, a range or a number of candidates that is none.
    """
    if values is not None:
        if span != (None, None):
            raise InputError(f"expected values or a range; got values={list(values)} and the range {span}")
        if not values:
            raise InputError("expected at least one value; got none")
        return list(dict.fromkeys(knob.checked(value) for value in values))
    check_whole("candidates", candidates, 2)
    least, most = base * knob.down, base * knob.up
    if knob.name == "alpha" and start is not None:
        most = max(most, 2.0 * start)
    if knob.whole:
        least, most = max(1.0, round(least)), float(round(most))
    least = least if span[0] is None else knob.checked(span[0])
    most = most if span[1] is None else knob.checked(span[1])
    if not least < most:
        raise InputError(f"expected a range low < high for {knob.name}; got {least:g} and {most:g}")
    ratio = (most / least) ** (1.0 / (candidates - 1))
    spread = [least * ratio**i for i in range(candidates)]
    inner = [i for i in range(1, candidates - 1) if spread[i] != base]
    if start is not None and least < start < most and inner:
        spread[min(inner, key=lambda i: abs(math.log(spread[i] / start)))] = start
    return _rounded(knob, spread)


def _around(contest: Race, knob: Knob, free: tuple[bool, bool]) -> list[float]:
    """Return the geometric means of the best value and its neighbours, where they are not close yet.

    Args:
        contest: with the candidates so far.
        knob: what is searched.
        free: whether values below the lowest, and above the highest, may be tried.
    """
    trials = contest.trials()
    tried = [trial.value for trial in trials]
    best = best_of(trials, ranking_of(trials)).value
    new = [math.sqrt(a * b) for a, b in pairwise(tried) if best in (a, b) and b > a * CLOSE**2]
    if free[0] and best == tried[0] and knob.name != "alpha":
        new.append(best**2 / tried[1])
    if free[1] and best == tried[-1]:
        new.append(best**2 / tried[-2])
    return _rounded(knob, new)


def _enter(contest: Race, fits: _Fits, values: Sequence[float]) -> bool:
    """Let new values race, and return whether there were any."""
    tried = {candidate.value for candidate in contest.candidates}
    new = [value for value in values if value not in tried]
    for value in new:
        contest.add(fits.candidate(value))
    contest.run()
    return bool(new)


def _rounded(knob: Knob, values: Sequence[float]) -> list[float]:
    """Return the values in order, to four figures or to whole numbers, each once."""
    rounded = [float(max(1, round(v))) if knob.whole else float(f"{v:.4g}") for v in values]
    return list(dict.fromkeys(rounded))

"""``--alpha auto``: a search for alpha that costs a small share of the fit it is for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from fastsnf.errors import InputError
from fastsnf.signals import Signal
from fastsnf.studies.tune.knobs import OVER
from fastsnf.studies.tune.race import MakeField, Steps, Watch
from fastsnf.studies.tune.result import STEPS, TuneResult
from fastsnf.studies.tune.rule import rule_for, training_grid
from fastsnf.studies.tune.search import HOLDOUT, LEAST_POINTS, tune
from fastsnf.train.config import FULL, FitConfig
from fastsnf.train.points import split

COST = 0.1
"""Share of the fit's points that the search may take."""
CANDIDATES, ROUNDS = 4, 1
MOST = 1 + CANDIDATES + 2 * ROUNDS
"""Candidates at most: the reference, those of the first round, two of the second."""
EVALUATIONS = 2
"""Evaluations of the whole signal that each candidate may need; one costs a third of a step of its points."""
LEAST_STEPS, BATCHES = 50, (4096, 2048, 1024, 512)
"""Steps of a candidate without which a search is not worth it; points a step, the first that leave them."""


@dataclass(frozen=True)
class AutoAlpha:
    """The alpha chosen for a fit.

    Attributes:
        alpha: the choice. rule: the rule of thumb at the fit's own resolution, None where it does not apply.
        result: the search; None where there was none, and `why` says so.
        cost: the share of the fit's points that the search took at most.
    """

    alpha: float
    rule: float | None
    result: TuneResult | None
    why: str
    cost: float

    @property
    def line(self) -> str:
        """What was done, in one line."""
        return "; ".join(self.lines())

    def lines(self) -> list[str]:
        """Return what was done, in lines for a user."""
        rule = "" if self.rule is None else f"; rule of thumb for this resolution and depth {self.rule:.2f}"
        if self.result is None:
            return [f"alpha {self.alpha:.3g}, {self.why}"]
        best, tried = self.result.best, ", ".join(f"{trial.value:.3g}" for trial in self.result.trials)
        how = f"{best.psnr:.2f} dB after {best.made:,.0f} steps"
        if self.result.ranked_by == STEPS:
            how = f"{self.result.target:g} dB after {best.steps:,.0f} steps"
        ratio = best.psnr_test / self.result.of_reference.psnr_test
        return [
            f"alpha {self.alpha:.3g} of {tried}: {how}, test PSNR {ratio:.3f} of that of 1{rule}",
            f"the search took at most {100 * self.cost:.0f} % of the fit's points",
        ]


def auto_alpha(
    signal: Signal,
    make_field: MakeField,
    config: FitConfig | None = None,
    *,
    share: float = COST,
    kind: str | None = None,
    watch: Watch | None = None,
    progress: Steps | None = None,
) -> AutoAlpha:
    """Return the alpha for a fit, from a short search (`tune`) that knows how long the fit is.

    The search runs at most seven candidates on every second point of each axis (or the fit's holdout), in
    batches of 4,096 points or fewer, with the fit's optimizer, loss and base rate, a constant schedule and no
    gradient adjustment. Its steps are as many as fit into `share` of the points that the fit takes, the
    evaluations of held-out points included. Few candidates get to 50 dB in that; they are then ranked by
    their training PSNR, and Eq. 10's demand on the test PSNR decides at which alpha to stop. Where less than
    50 steps a candidate are left, too few points can be held out, or the optimizer is a callable, there is no
    search, and the rule of thumb answers.

    Args:
        signal: what is fitted.
        make_field: `fastsnf.studies.tune.MakeField`.
        config: the fit's; without a number of steps or epochs it counts as 1,000 steps.
        share: of the fit's points, between 0 and 1.
        kind: of the signal, for the rule of thumb; None takes the signal's own word.
        watch, progress: as `tune`.

    Raises:
        InputError: for a field that is not of weight scaling, or a share out of range.
        RunError: when the fits of alpha = 1 diverge.
    """
    config = config or FitConfig()
    if not 0 < share <= 1:
        raise InputError(f"expected share to be above 0 and at most 1; got {share}")
    field = make_field({"alpha": 1.0}, config.seed)
    OVER["alpha"].reference(field, config)  # raises for another initializer
    rule = rule_for(field, training_grid(signal.shape, config.holdout), kind or signal.kind)
    options, why = _short(signal, config, share)
    if options is None:
        return AutoAlpha(_fallback(signal, rule), rule, None, f"{why}: {_source(rule)}", 0.0)
    result = tune(
        signal, make_field, candidates=CANDIDATES, rounds=ROUNDS, watch=watch, progress=progress, **options
    )
    spent = sum(run.made for trial in result.trials for run in trial.runs) * options["batch_size"]
    spent += len(result.trials) * EVALUATIONS * signal.size / 3
    return AutoAlpha(result.value, rule, result, "", spent / _points_of(signal, config))


def _short(signal: Signal, config: FitConfig, share: float) -> tuple[dict[str, Any] | None, str]:
    """Return the settings of the short fits, or None and why there are none."""
    if callable(config.optimizer):
        return None, "no search, as the optimizer is a callable"
    if signal.evaluation is not signal:
        return None, f"no search, as no points of a {signal.kind} can be held out"
    holdout = config.holdout or HOLDOUT
    short = f"no search, as the fit is too short for one in {100 * share:.0f} % of its points"
    left = share * _points_of(signal, config) / MOST - EVALUATIONS * signal.size / 3
    if left < LEAST_STEPS:
        return None, short  # now: which points are held out takes bytes for every point
    try:
        masks = split(signal, holdout)
    except InputError:
        return None, "no search, as the signal is too small to hold out points"
    train, held = (0 if mask is None else int(mask.sum()) for mask in masks)
    if min(train, held) < LEAST_POINTS:
        return None, "no search, as the signal is too small to hold out points"
    most = min(config.points_per_step(train), train)
    for batch in (min(size, most) for size in BATCHES):
        steps = int(left / batch)
        if steps >= LEAST_STEPS:
            kept = dataclasses.asdict(dataclasses.replace(config, iga=None))
            names = ("optimizer", "loss", "seed", "device", "precision", "engine")
            rate = {} if config.lr is None and config.batch_size != FULL else {"lr": config.base_lr}
            return {
                **{name: kept[name] for name in names}, **rate,
                "steps": steps, "batch_size": batch, "holdout": holdout,
            }, ""  # fmt: skip
    return None, short


def _points_of(signal: Signal, config: FitConfig) -> float:
    """Return how many points the fit takes, one of unknown length counting as 1,000 steps."""
    masks = split(signal, config.holdout)
    points = signal.size if masks[0] is None else int(masks[0].sum())
    budgets = [] if config.steps is None else [config.steps * config.points_per_step(points)]
    if config.epochs is not None:
        budgets.append(int(config.epochs * points))
    return float(min(budgets or [FitConfig.default_steps * config.points_per_step(points)]))


def _fallback(signal: Signal, rule: float | None) -> float:
    return signal.defaults.alpha if rule is None else float(f"{rule:.3g}")


def _source(rule: float | None) -> str:
    return "the default of this kind of signal" if rule is None else "the rule of thumb for resolution, depth"


__all__ = ["AutoAlpha", "auto_alpha"]

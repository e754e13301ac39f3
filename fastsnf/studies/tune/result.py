"""What a search gives: a row a candidate, the best of them, as a table, a picture and JSON."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastsnf.studies.table import EMPTY, Table, figure
from fastsnf.studies.tune.knobs import OVER
from fastsnf.train.result import finite_or_none

TARGET, BUDGET, SLOWER, DIVERGED = "target", "budget", "slower", "diverged"
"""How a candidate stopped: at the target; at the end of its steps; as another had won; without a result."""

STEPS, PSNR = "steps", "psnr"
"""What the candidates are ranked by."""


@dataclass(frozen=True)
class Run:
    """One fit of a candidate.

    Attributes:
        seed: of its weights and batches. made: its steps. reached: whether the last one reached the target.
        psnr: over the training points after that step, dB. psnr_test: over the held-out points, dB.
        failed: why it has no result, "" where it has one.
    """

    seed: int
    made: int
    reached: bool
    psnr: float
    psnr_test: float
    failed: str = ""


@dataclass(frozen=True)
class Trial:
    """A candidate: means over its seeds.

    Attributes:
        value: what was tried.
        steps: to the target; None where a seed did not reach it.
        made: steps made.
        psnr, psnr_test: over the training points and over the held-out points, dB, after those steps.
        admissible: whether the test PSNR is at least the share of the reference's that was asked for; None
            while that is not known, and for one that stood still.
        stopped: `TARGET`, `BUDGET`, `SLOWER` or `DIVERGED`. why: the error of one that diverged.
        runs: its fits.
    """

    value: float
    steps: float | None
    made: float
    psnr: float
    psnr_test: float
    admissible: bool | None
    stopped: str
    why: str
    runs: tuple[Run, ...]

    @classmethod
    def of(cls, value: float, runs: Sequence[Run], *, ended: bool) -> Trial:
        """Return the row of `runs`, which ended by themselves or were stopped."""
        count = len(runs)
        reached = all(run.reached for run in runs)
        failed = next((run.failed for run in runs if run.failed), "")
        stopped = DIVERGED if failed else TARGET if reached else BUDGET if ended else SLOWER
        made = sum(run.made for run in runs) / count
        return cls(
            value=value,
            steps=made if reached and not failed else None,
            made=made,
            psnr=sum(run.psnr for run in runs) / count,
            psnr_test=sum(run.psnr_test for run in runs) / count,
            admissible=False if failed else None,
            stopped=stopped,
            why=failed,
            runs=tuple(runs),
        )

    def judged(self, threshold: float) -> Trial:
        """Return the row with `admissible` decided by the least admissible test PSNR, if it has one to judge.

        The test PSNR of a candidate that stood still is not that of its end.
        """
        if self.stopped == SLOWER:
            return self
        fine = self.stopped != DIVERGED and self.psnr_test >= threshold
        return dataclasses.replace(self, admissible=fine)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-able values; NaN and infinity are None."""
        values: dict[str, Any] = finite_or_none(dataclasses.asdict(self))
        return values


@dataclass(frozen=True)
class TuneResult:
    """A search that has ended.

    Attributes:
        over: what was searched, of `fastsnf.studies.tune.OVER`.
        reference: the value that sets the least admissible test PSNR.
        target: PSNR over the training points whose steps are counted, dB. budget: steps of a candidate.
        share: of the reference's test PSNR that is asked for. seeds: of each candidate's fits.
        trials: the candidates, by value.
        ranked_by: `STEPS` to the target; `PSNR` where no admissible candidate reached it within the budget:
            the most decibels in the same number of steps, as the paper compares in its Table 1.
        rule: the rule of thumb for alpha on these points, None for anything else.
        points, held: trained on, and held out.
    """

    over: str
    reference: float
    target: float
    budget: int
    share: float
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]
    ranked_by: str
    rule: float | None
    points: int
    held: int

    @property
    def best(self) -> Trial:
        """The fastest admissible candidate, of two alike the one of the higher test PSNR (Eq. 10)."""
        return best_of(self.trials, self.ranked_by)

    @property
    def value(self) -> float:
        """The best value."""
        return self.best.value

    @property
    def of_reference(self) -> Trial:
        """The reference's row."""
        return next(trial for trial in self.trials if trial.value == self.reference)

    @property
    def threshold(self) -> float:
        """The least admissible test PSNR, dB."""
        return self.share * self.of_reference.psnr_test

    @property
    def speedup(self) -> float | None:
        """speed(best) / speed(reference), None where one of them did not reach the target."""
        return self._speedup(self.best)

    def _speedup(self, trial: Trial) -> float | None:
        steps = self.of_reference.steps
        return None if steps is None or trial.steps is None else steps / trial.steps

    def table(self) -> Table:
        """Return the candidates as a table, with what was found below it."""
        knob = OVER[self.over]
        columns = (
            knob.symbol,
            f"steps to {self.target:g} dB",
            "speed-up",
            "train PSNR",
            "test PSNR",
            "of reference",
            "",
        )
        rows = [self._row(trial) for trial in self.trials]
        title = f"{knob.symbol}: speed to {self.target:g} dB, test PSNR at least {self.share:g} x that of "
        return Table(f"{title}{knob.text(self.reference)}", columns, rows, tuple(self.notes()))

    def _row(self, trial: Trial) -> tuple[str, ...]:
        reference = self.of_reference.psnr_test
        steps = f"> {trial.made:,.0f}" if trial.steps is None else f"{trial.steps:,.0f}"
        word = {TARGET: "", BUDGET: "not reached", SLOWER: "stopped, slower", DIVERGED: "diverged"}
        marks = [word[trial.stopped]]
        if trial.admissible is False and trial.stopped != DIVERGED:
            marks.append("below")
        if trial.value == self.value:
            marks.append("best")
        speedup = self._speedup(trial)
        return (
            OVER[self.over].text(trial.value),
            EMPTY if trial.stopped == DIVERGED else steps,
            EMPTY if speedup is None else f"{speedup:.2f}",
            figure(trial.psnr),
            figure(trial.psnr_test),
            figure(trial.psnr_test / reference, 3),
            ", ".join(filter(None, marks)),
        )

    def notes(self) -> list[str]:
        """Return what was found and how, in lines."""
        knob, best = OVER[self.over], self.best
        found = f"best {knob.symbol}: {knob.text(best.value)}"
        if self.ranked_by == STEPS:
            ratio = self.speedup
            found += f", {best.steps:,.0f} steps"
            found += "" if ratio is None else f", {ratio:.2f} x as fast as {knob.text(self.reference)}"
        else:
            found += f", {best.psnr:.2f} dB after {best.made:,.0f} steps"
        lines = [found]
        if self.ranked_by == PSNR:
            lines.append(
                f"no admissible candidate reached {self.target:g} dB in {self.budget:,} steps: ranked by the "
                "training PSNR after them"
            )
        elif self.of_reference.steps is None:
            lines.append(
                f"{knob.text(self.reference)} did not reach the target: its test PSNR is that after "
                f"{self.of_reference.made:,.0f} steps"
            )
        if any(trial.stopped == SLOWER for trial in self.trials):
            lines.append("stopped, slower: stood still where another had won; its PSNRs are those of then")
        if self.over == "alpha" and self.rule is not None:
            lines.append(f"rule of thumb for this resolution and depth: {self.rule:.2f}")
        edges = (self.trials[0].value, self.trials[-1].value)
        if best.value in edges and best.value != self.reference and len(self.trials) > 2:
            lines.append("the best value is the last of the range: a wider one may have a better")
        seeds = f"; means of {len(self.seeds)} seeds" if len(self.seeds) > 1 else ""
        lines.append(f"trained on {self.points:,} points, tested on {self.held:,} held-out ones{seeds}")
        return lines

    def summary(self) -> dict[str, Any]:
        """Return the search as JSON-able values."""
        keep = ("over", "reference", "target", "budget", "share", "ranked_by", "rule", "points", "held")
        return {
            **{name: getattr(self, name) for name in keep},
            "seeds": list(self.seeds),
            "best": self.value,
            "speedup": self.speedup,
            "trials": [trial.to_dict() for trial in self.trials],
        }

    def draw(self, path: str | os.PathLike[str], *, title: str = "") -> None:
        """Draw speed (or training PSNR) and test PSNR against the value, as the paper's Fig. 2a.

        Candidates that stood still or diverged have no speed to draw, nor a test PSNR to compare.

        Raises:
            InputError: without matplotlib. RunError: when the disk fails.
        """
        from fastsnf.analysis.panels import Line, Lines, draw_panels

        symbol = OVER[self.over].symbol
        whole = [trial for trial in self.trials if trial.stopped in (TARGET, BUDGET)]
        values = [trial.value for trial in whole]
        if self.ranked_by == STEPS:
            fast = [trial for trial in whole if trial.steps is not None]
            speeds = [1000.0 / trial.steps for trial in fast if trial.steps]
            first = Lines(
                f"speed to {self.target:g} dB",
                [Line("speed", [trial.value for trial in fast], speeds)],
                symbol, "1000 / steps", x_log=True,
            )  # fmt: skip
        else:
            psnrs = [trial.psnr for trial in whole]
            label = f"PSNR after {self.budget:,} steps, dB"
            first = Lines("training", [Line("train", values, psnrs)], symbol, label, x_log=True)
        ends = [values[0], values[-1]] if values else []
        second = Lines(
            "held-out points",
            [
                Line("test", values, [trial.psnr_test for trial in whole]),
                Line(f"{self.share:g} x that of {self.reference:g}", ends, [self.threshold] * len(ends)),
            ],
            symbol, "test PSNR, dB", x_log=True,
        )  # fmt: skip
        draw_panels([[first, second]], os.fspath(path), title=title)


def best_of(trials: Sequence[Trial], ranked_by: str) -> Trial:
    """Return the best admissible trial: the fewest steps, or the highest training PSNR; ties by test PSNR."""
    fair = [trial for trial in trials if trial.admissible]
    if ranked_by == STEPS:
        there = [(trial.steps, -trial.psnr_test, trial) for trial in fair if trial.steps is not None]
        return min(there, key=lambda entry: entry[:2])[2]
    return max(fair, key=lambda trial: (trial.psnr, trial.psnr_test))


def ranking_of(trials: Sequence[Trial]) -> str:
    """Return what trials can be ranked by: steps, if an admissible one has reached the target."""
    return STEPS if any(trial.admissible and trial.steps is not None for trial in trials) else PSNR

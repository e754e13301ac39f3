"""Candidates trained side by side: in turn, step by step, on the same batches, until the winner is known.

Every candidate is a fit of its own (`fastsnf.train.loop.Loop`), so that it takes the very steps that
`fastsnf.fit` would take alone. What they share is the data: the points lie gathered once, and candidates of
one seed draw each batch once (`fastsnf.train.plan.make_plan`). They run in turn and not in threads: an engine
splits each step over all cores by itself.

The race ends early without changing its result. The winner is the fastest candidate whose test PSNR is
admissible, so once one has reached the target, those that are still on their way cannot be faster: they stand
still. They go on where they stood only if the one that was ahead turns out not to be admissible, which is
known when the reference has ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fastsnf.errors import RunError
from fastsnf.nn import Field
from fastsnf.studies.tune.result import BUDGET, DIVERGED, SLOWER, TARGET, Run, Trial
from fastsnf.train.loop import Loop
from fastsnf.train.plan import Plan

MakeField = Callable[[Mapping[str, Any], int], Field]
"""``(overrides, seed) -> Field``: a new field drawn from that seed, with `overrides` in place of its own
arguments (``{"alpha": 2.0}``)."""

Watch = Callable[[Trial], None]
"""Told of each candidate that has ended: reached the target, used up its steps, or diverged."""

Steps = Callable[[int, int, float], None]
"""Told after each round: the step, the steps of the budget, the smallest loss of the last round."""


class Ended(Protocol):
    """What keeps the finished run of a candidate, perhaps a file."""

    def __call__(self, value: float, plan: Plan, run: Run) -> None:
        """Keep the run of one seed."""
        ...


class Runner:
    """One fit of one candidate, which makes a step when it is asked to.

    Args:
        plan: what is fitted; its configuration has the target.
        done: the run, where it was finished before.

    Attributes:
        step: updates made. run: how it ended, None while it has not.
    """

    def __init__(self, plan: Plan, done: Run | None = None) -> None:
        self.plan = plan
        self.run = done
        self._state = plan.start()
        self._turns = Loop(self._state, plan, (), None).steps()

    @property
    def step(self) -> int:
        """Updates made."""
        return self._state.step if self.run is None else self.run.made

    @property
    def loss(self) -> float:
        """The loss of the last step that was looked at, infinity before the first."""
        return math.inf if self._state.loss is None else self._state.loss

    def advance(self) -> None:
        """Make one step, and note how the fit ended if that was its last."""
        try:
            for _ in self._turns:
                if not self._at_end():
                    return
            self.run = self._evaluated()
        except RunError as error:
            self.run = Run(self.plan.config.seed, self.step, False, math.nan, math.nan, str(error))

    def standing(self) -> Run:
        """Return the run as it stands: as it ended, or evaluated where it was stopped."""
        return self.run or self._evaluated()

    def _at_end(self) -> bool:
        """Return whether the last step was the fit's last: the loop then has only to be left."""
        return self._reached() or self.plan.stop.reached(self._state.step, 0.0)

    def _reached(self) -> bool:
        state, target = self._state, self.plan.stop.target_psnr
        seen = state.preview is not None and state.preview_step == state.step
        return target is not None and seen and state.preview is not None and state.preview.psnr >= target

    def _evaluated(self) -> Run:
        state = self._state
        final = state.preview if state.preview_step == state.step else self.plan.evaluate()
        assert final is not None, "nothing stops the evaluation"
        assert final.psnr_holdout is not None, "points are held out"
        why = "" if math.isfinite(final.psnr) or final.psnr > 0 else "its values are not finite"
        reached = self._reached()
        return Run(self.plan.config.seed, state.step, reached, final.psnr, final.psnr_holdout, why)


class Candidate:
    """The fits of one value, one a seed.

    Args:
        value: what is tried.
        runners: its fits.
    """

    def __init__(self, value: float, runners: Sequence[Runner]) -> None:
        self.value, self.runners = value, list(runners)
        self.told = False

    @property
    def ended(self) -> bool:
        """Whether every fit has ended."""
        return all(runner.run is not None for runner in self.runners)

    @property
    def steps(self) -> float:
        """The mean steps to the target over the seeds, infinity unless every one has reached it."""
        runs = [runner.run for runner in self.runners]
        if any(run is None or not run.reached for run in runs):
            return math.inf
        return sum(run.made for run in runs if run is not None) / len(runs)

    @property
    def least(self) -> float:
        """The fewest mean steps that can still come out: one more for every fit on its way."""
        runs = [runner.run for runner in self.runners]
        if any(run is not None and not run.reached for run in runs):
            return math.inf
        made = [runner.step + (runner.run is None) for runner in self.runners]
        return sum(made) / len(made)

    def trial(self, threshold: float | None) -> Trial:
        """Return the candidate as a row; `threshold` is the least admissible test PSNR, None: not known."""
        runs = tuple(runner.standing() for runner in self.runners)
        trial = Trial.of(self.value, runs, ended=self.ended)
        return trial if threshold is None else trial.judged(threshold)


class Race:
    """Candidates of one search; more may join between two runs.

    Args:
        reference: the value that sets the least admissible test PSNR.
        share: of the reference's test PSNR.
        prune: whether candidates that cannot win stand still; False runs every one to its end.
        ended, watch, progress: see `Ended`, `Watch`, `Steps`.
    """

    def __init__(
        self,
        reference: float,
        share: float,
        *,
        prune: bool = True,
        ended: Ended | None = None,
        watch: Watch | None = None,
        progress: Steps | None = None,
    ) -> None:
        self._reference_value, self._share, self._prune = reference, share, prune
        self._ended, self._watch, self._progress = ended, watch, progress
        self.candidates: list[Candidate] = []

    def add(self, candidate: Candidate) -> None:
        """Let a candidate join."""
        self.candidates.append(candidate)

    def run(self) -> None:
        """Step until the winner is known.

        Raises:
            RunError: when the reference diverges: there is then nothing to compare with.
        """
        while True:
            fastest = self._fastest()
            running = [
                c for c in self.candidates if not c.ended and (c is self._reference or c.least <= fastest)
            ]
            steps = [runner.step for c in running for runner in c.runners if runner.run is None]
            if not steps:
                return
            # Those that are furthest behind come first, so that one batch serves all of them.
            self._round(running, min(steps))

    @property
    def threshold(self) -> float | None:
        """The least admissible test PSNR, dB; None until the reference has ended.

        Raises:
            RunError: when the reference diverged.
        """
        reference = self._reference
        if not reference.ended:
            return None
        trial = Trial.of(reference.value, [runner.standing() for runner in reference.runners], ended=True)
        if trial.stopped == DIVERGED:
            raise RunError(f"the reference, {reference.value:g}, has no result: {trial.why}")
        return self._share * trial.psnr_test

    def trials(self) -> list[Trial]:
        """Return the candidates as rows, by value."""
        return sorted((c.trial(self.threshold) for c in self.candidates), key=lambda trial: trial.value)

    @property
    def _reference(self) -> Candidate:
        return next(c for c in self.candidates if c.value == self._reference_value)

    def _fastest(self) -> float:
        """Return the steps of the one to beat, as far as is known: who needs more stands still."""
        if not self._prune:
            return math.inf
        threshold = self.threshold
        there = [c for c in self.candidates if c.steps < math.inf]
        if threshold is not None:
            there = [c for c in there if c.trial(threshold).admissible]
        return min((c.steps for c in there), default=math.inf)

    def _round(self, running: Sequence[Candidate], step: int) -> None:
        """Let every fit that has made `step` steps make one more, those of one seed after another."""
        turn = [
            (runner.plan.config.seed, number, runner, candidate)
            for number, candidate in enumerate(running)
            for runner in candidate.runners
            if runner.run is None and runner.step == step
        ]
        losses = []
        for _seed, _number, runner, candidate in sorted(turn, key=lambda entry: entry[:2]):
            runner.advance()
            losses.append(runner.loss)
            if runner.run is not None and self._ended is not None:
                self._ended(candidate.value, runner.plan, runner.run)
        for candidate in running:
            if candidate.ended and not candidate.told:
                candidate.told = True
                if self._watch is not None:
                    self._watch(candidate.trial(self.threshold))
        if self._progress is not None:
            budget = turn[0][2].plan.stop.max_steps or 0
            self._progress(step + 1, budget, min(losses))


__all__ = [
    "BUDGET",
    "DIVERGED",
    "SLOWER",
    "TARGET",
    "Candidate",
    "MakeField",
    "Race",
    "Runner",
    "Steps",
    "Watch",
]

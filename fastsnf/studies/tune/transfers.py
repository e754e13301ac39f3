"""One datum's value used for the others of its kind, and whether it would have been right for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastsnf.errors import InputError
from fastsnf.signals import Signal
from fastsnf.studies.records import Records
from fastsnf.studies.table import EMPTY, Table, figure
from fastsnf.studies.tune.knobs import OVER
from fastsnf.studies.tune.race import MakeField, Steps, Watch
from fastsnf.studies.tune.result import Trial, TuneResult
from fastsnf.studies.tune.search import tune
from fastsnf.train.config import FitConfig


@dataclass(frozen=True)
class Transferred:
    """A datum that got another's value.

    Attributes:
        name: of the datum. result: the search of two candidates, the value and the reference.
        value: what was tried.
    """

    name: str
    result: TuneResult
    value: float

    @property
    def trial(self) -> Trial:
        """The row of the value."""
        return next(trial for trial in self.result.trials if trial.value == self.value)

    @property
    def speedup(self) -> float | None:
        """speed(value) / speed(reference), None where one of them did not reach the target."""
        steps, base = self.trial.steps, self.result.of_reference.steps
        return None if steps is None or base is None else base / steps

    def row(self) -> tuple[str, ...]:
        """Return the cells of a table."""
        trial, base = self.trial, self.result.of_reference
        ratio = trial.psnr_test / base.psnr_test
        return (
            self.name,
            _steps(base),
            _steps(trial),
            EMPTY if self.speedup is None else f"{self.speedup:.2f}",
            figure(trial.psnr),
            figure(trial.psnr_test),
            figure(ratio, 3),
            "diverged" if trial.why else "admissible" if trial.admissible else "below",
        )


@dataclass(frozen=True)
class Transfer:
    """What one datum's value does for others.

    Attributes:
        over, value, reference, target, share: of the search it comes from.
        rows: the others.
    """

    over: str
    value: float
    reference: float
    target: float
    share: float
    rows: tuple[Transferred, ...]

    def table(self) -> Table:
        """Return the others as a table."""
        knob = OVER[self.over]
        base, value = knob.text(self.reference), knob.text(self.value)
        columns = ("input", f"steps at {base}", f"at {value}", "speed-up", "train PSNR", "test PSNR",
                   "of reference", "")  # fmt: skip
        fair = sum(bool(row.trial.admissible) for row in self.rows)
        note = f"admissible, test PSNR at least {self.share:g} x that of {base}: {fair} of {len(self.rows)}"
        title = f"{knob.symbol} {value} of the first input on the others, steps to {self.target:g} dB"
        return Table(title, columns, [row.row() for row in self.rows], (note,))

    def summary(self) -> dict[str, Any]:
        """Return the transfer as JSON-able values."""
        return {
            "over": self.over,
            "value": self.value,
            "reference": self.reference,
            "inputs": [{"name": row.name, **row.result.summary()} for row in self.rows],
        }


def transfer(
    found: TuneResult,
    others: Sequence[tuple[str, Signal, MakeField]],
    config: FitConfig | None = None,
    *,
    records: Records | None = None,
    watch: Watch | None = None,
    progress: Steps | None = None,
    **options: Any,
) -> Transfer:
    """Return how the best value of one search serves other data of its kind.

    The weight-scaling paper (Sec. 5.2, Fig. 7) finds the curves of speed and test PSNR alike from image to
    image, so that one search may serve a whole set. Here each of the others runs two candidates, the value
    and the reference, with the target, the budget and the seeds of the search.

    Args:
        found: the search on the first datum.
        others: name, signal and maker of fields (`MakeField`) of each other datum.
        config: of the search, without its budget and target. options: over it.
        records, watch, progress: as `fastsnf.studies.tune.tune`.

    Raises:
        InputError, RunError: as `tune`; and for a search whose best value is the reference itself.
    """
    if found.value == found.reference:
        raise InputError(
            f"expected a search with another best value than its reference; got {found.value:g}: there is "
            "nothing to transfer"
        )
    limits = {"steps": found.budget, "target_psnr": found.target}
    rows = []
    for name, signal, make_field in others:
        result = tune(
            signal, make_field, config, over=found.over, values=[found.value], reference=found.reference,
            seeds=found.seeds, share=found.share, race=False, records=records, watch=watch,
            progress=progress, **{**options, **limits},
        )  # fmt: skip
        rows.append(Transferred(name, result, found.value))
    return Transfer(found.over, found.value, found.reference, found.target, found.share, tuple(rows))


def _steps(trial: Trial) -> str:
    return f"> {trial.made:,.0f}" if trial.steps is None else f"{trial.steps:,.0f}"

"""Fits as rows of a study: in a folder of their own, gone on with after an interruption, and timed."""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.signals import Signal
from fastsnf.studies.progress import Told
from fastsnf.studies.study import Progress, silent
from fastsnf.train import Callback, FitConfig, FitResult, fit


def fit_in(
    run: Path,
    make_field: Callable[[], Field],
    signal: Signal,
    config: FitConfig,
    progress: Progress = silent,
    callbacks: Sequence[Callback] = (),
) -> FitResult:
    """Fit in the folder `run`, from its checkpoint where there is one of this very fit.

    Raises:
        InputError, RunError, fastsnf.train.Interrupted: as `fastsnf.fit`.
    """
    watchers = [Told(progress), *callbacks]
    if run.exists():
        try:
            return fit(make_field(), signal, config, run=run, resume=True, callbacks=watchers)
        except InputError:  # of another engine or version, say: only a whole fit is one row
            shutil.rmtree(run)
    return fit(make_field(), signal, config, run=run, callbacks=watchers)


def run_folder(folder: Path, facts: Mapping[str, Any], *names: object) -> Path:
    """Return where a row's fit runs below the study's folder: `names`, and a digest of its facts."""
    return folder / "runs" / "-".join([*map(str, names), digest_of(facts)])


def full_batch(facts: Mapping[str, Any], points: int, **options: Any) -> FitConfig:
    """Return the settings of a row's fit on all points at every step, as the papers train.

    Args:
        facts: with ``steps``, ``lr``, ``seed`` and ``device``; ``schedule`` is constant without one.
        points: of the curves, as far as the steps give so many.
        options: of `FitConfig`, in place of these or beside them.
    """
    given: dict[str, Any] = {name: facts[name] for name in ("steps", "lr", "seed", "device")}
    given |= {"schedule": facts.get("schedule", "constant"), "batch_size": "full", "preview_every": 0}
    given["log_every"] = max(1, facts["steps"] // points)
    return FitConfig(**{**given, **options})


def by_passes(facts: Mapping[str, Any], passes: float, **options: Any) -> FitConfig:
    """Return the settings of a row's fit to a grid by passes in batches, as WIRE's loop trains.

    Args:
        facts: with ``lr``, ``seed`` and ``device``.
        passes: over the grid.
        options: of `FitConfig`: the batch size and the schedule.
    """
    given = {name: facts[name] for name in ("lr", "seed", "device")}
    return FitConfig(epochs=passes, preview_every=0, **given, **options)


def curve_of(result: FitResult) -> dict[str, Any]:
    """Return the PSNR over the steps of a fit, as a part of a row's result."""
    return {
        "steps": [row["step"] for row in result.history],
        "psnrs": [row["psnr"] for row in result.history],
    }


def digest_of(facts: Mapping[str, Any]) -> str:
    """Return eight digits that stand for the facts of a row, for the name of its folder."""
    return hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()[:8]


def seconds_a_step(result: FitResult) -> float:
    """Return the median seconds from one step to the next, so that a pause of the machine counts for nothing.

    Metrics and checkpoints are in the gaps between rows of the history only when they fall there.
    """
    rows = result.history
    gaps = [
        (after["seconds"] - before["seconds"]) / (after["step"] - before["step"])
        for before, after in pairwise(rows)
        if after["step"] > before["step"]
    ]
    return statistics.median(gaps) if len(gaps) > 2 else result.seconds_steps / result.steps

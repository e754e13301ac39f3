"""Where a fit stands: what callbacks see, and what the loop moves forward."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastsnf.nn import Field
from fastsnf.signals.signal import Signal
from fastsnf.train.config import FitConfig
from fastsnf.train.evaluate import Evaluation


@dataclass
class FitState:
    """A fit in progress.

    Attributes:
        field, signal, config: what is fitted, to what, and how.
        engine, device, precision: what the header of a run names.
        points: training points; `points_per_step` of them make a step, the last of an epoch perhaps fewer.
        max_steps: the step budget, or None where time or a target ends the fit.
        parameters: trainable real numbers, a complex parameter being two.
        memory: what the fit will take, in words.
        iga: what is adjusted, in words, or None.
        run: the run folder, or None.
        step: updates done. seconds, seconds_steps: wall time so far, with and without what is not stepping.
        points_seen: points that the optimizer saw.
        loss, psnr, lr: of the last row of metrics, None before the first.
        preview, preview_step: the last evaluation, of a large signal at a sample of its points, None before
            the first; and its step.
        history: the rows of metrics.
    """

    field: Field
    signal: Signal
    config: FitConfig
    engine: str
    device: str
    precision: str
    points: int
    points_per_step: int
    max_steps: int | None
    parameters: int
    memory: str = ""
    iga: str | None = None
    run: Path | None = None
    step: int = 0
    seconds: float = 0.0
    seconds_steps: float = 0.0
    points_seen: int = 0
    loss: float | None = None
    psnr: float | None = None
    lr: float | None = None
    preview: Evaluation | None = None
    preview_step: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)
    stop_requested: bool = False

    def stop(self) -> None:
        """End the fit after the current step, as if a stop rule were reached."""
        self.stop_requested = True

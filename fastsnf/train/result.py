"""What a fit returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as entry
from typing import Any

from torch import Tensor

from fastsnf.nn import Field
from fastsnf.signals.rendering import Rendering
from fastsnf.train.metrics import Measured


@dataclass(frozen=True)
class FitResult(Measured):
    """The outcome of a fit; the attributes up to `left_out` are the keys of the summary, and the `metrics`.

    Attributes:
        kind: of the signal.
        steps: optimizer updates.
        seconds: wall time from the first to the last step, previews, metrics and checkpoints included.
        seconds_steps: the same without those.
        points_per_second: points the optimizer saw, over `seconds`.
        metrics: over all training points of weight above 0, final weights, by name: ``psnr``, those of
            `Signal.metrics`, and what `fastsnf.train.evaluate.Evaluation.metrics` says.
        loss: of the last step's batch, before its update.
        engine, device, precision: what computed it.
        parameters: trainable real numbers, a complex parameter being two.
        seed: of the batches.
        run: the run folder, or None.
        iga: settings and course of inductive gradient adjustment; only with `FitConfig.iga`.
        left_out: why the run folder has no reconstruction; only where it has none.
        field: the fitted field, the object that was passed in.
        history: the rows of metrics: step, seconds, loss, psnr, lr.
        rendering: the field's values at the signal's points, or what such a signal keeps of them.
    """

    kind: str
    steps: int
    seconds: float
    seconds_steps: float
    points_per_second: float
    metrics: dict[str, float]
    loss: float | None
    engine: str
    device: str
    precision: str
    parameters: int
    seed: int
    run: str | None
    iga: dict[str, Any] | None = None
    left_out: str | None = None
    field: Field = entry(kw_only=True, repr=False)
    history: list[dict[str, Any]] = entry(kw_only=True, repr=False)
    rendering: Rendering = entry(kw_only=True, repr=False)

    @property
    def iou(self) -> float | None:
        """Intersection over union at threshold 0.5; None for a signal that is no occupancy."""
        return self.metrics.get("iou")

    @property
    def values(self) -> Tensor | None:
        """The field's values [N, C] at the points of a signal that is held, float32 on the CPU, unclipped."""
        return self.rendering.values if self.rendering.signal.held else None

    def summary(self) -> dict[str, Any]:
        """Return the summary as a JSON-able dict; a number that is not finite is None."""
        summary: dict[str, Any] = {}
        for key in _KEYS:
            if key == "metrics":
                summary |= self._figures()
            else:
                summary[key] = getattr(self, key)
        more = {name: value for name, value in self.metrics.items() if name not in summary}
        more |= {key: getattr(self, key) for key in _OPTIONAL if getattr(self, key) is not None}
        return {key: finite_or_none(value) for key, value in {**summary, **more}.items()}

    def _figures(self) -> dict[str, float]:
        """Return the signal's own metrics and then ``psnr``, as the contract has it for occupancy."""
        names = self.rendering.signal.metrics
        return {name: self.metrics[name] for name in (*names, "psnr")}


def finite_or_none(value: Any) -> Any:
    """Return `value` with None for every float that JSON cannot hold, inside mappings and lists too."""
    if isinstance(value, Mapping):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_KEYS = (
    "kind",
    "steps",
    "seconds",
    "seconds_steps",
    "points_per_second",
    "metrics",
    "loss",
    "engine",
    "device",
    "precision",
    "parameters",
    "seed",
    "run",
)
_OPTIONAL = ("iga", "left_out")

"""What a fit returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as entry
from typing import Any

from torch import Tensor

from fastsnf.nn import Field


@dataclass(frozen=True)
class FitResult:
    """The outcome of a fit; the attributes up to `iga` are the keys of the summary.

    Attributes:
        kind: of the signal.
        steps: optimizer updates.
        seconds: wall time from the first to the last step, previews, metrics and checkpoints included.
        seconds_steps: the same without those.
        points_per_second: points the optimizer saw, over `seconds`.
        psnr: ``-10 log10(MSE)`` in dB over all training points of weight above 0, final weights, unclipped.
        loss: of the last step's batch, before its update.
        engine, device, precision: what computed it.
        parameters: trainable real numbers, a complex parameter being two.
        seed: of the batches.
        run: the run folder, or None.
        psnr_holdout: as `psnr`, on the held-out points; only with ``holdout``.
        psnr_published: the weight-scaling paper's variant; only when asked for.
        iga: settings and course of inductive gradient adjustment; only with `FitConfig.iga`.
        field: the fitted field, the object that was passed in.
        history: the rows of metrics: step, seconds, loss, psnr, lr.
        values: the field's values [N, C] at the signal's points, float32 on the CPU, unclipped.
    """

    kind: str
    steps: int
    seconds: float
    seconds_steps: float
    points_per_second: float
    psnr: float
    loss: float | None
    engine: str
    device: str
    precision: str
    parameters: int
    seed: int
    run: str | None
    psnr_holdout: float | None = None
    psnr_published: float | None = None
    iga: dict[str, Any] | None = None
    field: Field = entry(kw_only=True, repr=False)
    history: list[dict[str, Any]] = entry(kw_only=True, repr=False)
    values: Tensor = entry(kw_only=True, repr=False)

    def summary(self) -> dict[str, Any]:
        """Return the summary as a JSON-able dict; a number that is not finite is None."""
        keys = list(_KEYS)
        keys += [key for key in _OPTIONAL if getattr(self, key) is not None]
        return {key: finite_or_none(getattr(self, key)) for key in keys}


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
    "psnr",
    "loss",
    "engine",
    "device",
    "precision",
    "parameters",
    "seed",
    "run",
)
_OPTIONAL = ("psnr_holdout", "psnr_published", "iga")

"""What makes two fits the same run: everything that the weights after a step depend on."""

from __future__ import annotations

import json
from typing import Any

from fastsnf.errors import InputError
from fastsnf.signals.signal import Signal
from fastsnf.train.config import PUBLISHED, FitConfig, describe
from fastsnf.train.schedule import parse_schedule
from fastsnf.train.stopping import StopRule


def identity_of(
    config: FitConfig,
    stop: StopRule,
    signal: Signal,
    field: dict[str, Any],
    batch: int,
    place: dict[str, str],
    adjustment: dict[str, Any] | None = None,
    order: str | None = None,
) -> dict[str, Any]:
    """Return the JSON-able identity of a run.

    Args:
        config, stop: its settings.
        signal: its data.
        field: the description of its field.
        batch: points a step.
        place: engine, device and precision.
        adjustment: what inductive gradient adjustment depends on, None for a fit without.
        order: how the points of a step are chosen, None for passes in an order that is held.

    Stop rules are part of it only where the schedule depends on the end, so that a run with a constant rate
    can go on beyond its first budget. What is recorded, and how often, is never part of it.
    """
    identity = {
        "optimizer": describe(config.optimizer),
        "lr": None if callable(config.optimizer) else config.base_lr,
        "schedule": config.schedule_text,
        "loss": describe(config.loss),
        "batch_size": batch,
        "seed": config.seed,
        "holdout": config.holdout,
        **place,
        "field": field,
        "signal": signal.digest(),
    }
    if adjustment is not None:
        identity["iga"] = adjustment
    if order is not None:
        identity["order"] = order
    if config.iou == PUBLISHED:  # what it has counted is in the checkpoints
        identity["iou"] = config.iou
    if parse_schedule(config.schedule_text).needs_horizon:
        identity["steps"] = stop.max_steps
        identity["time_limit"] = stop.time_limit if stop.max_steps is None else None
    return json.loads(json.dumps(identity))


def check_same(given: dict[str, Any], stored: dict[str, Any], run: str) -> None:
    """Raise `InputError`, naming every difference, unless a run may go on as `given`."""
    names = [name for name in {**stored, **given} if given.get(name) != stored.get(name)]
    if names:
        rows = "; ".join(
            f"{name}: {_short(stored.get(name))}, got {_short(given.get(name))}" for name in names
        )
        raise InputError(
            f"expected the settings of the run in {run}; {rows}: resume with those, or choose another folder"
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

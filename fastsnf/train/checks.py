"""What a fit is refused for before it starts, each an `InputError`."""

from __future__ import annotations

from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.signals.signal import Signal
from fastsnf.train.config import FitConfig
from fastsnf.train.samplers.groups import GroupSampler
from fastsnf.train.samplers.make import PointSampler
from fastsnf.train.samplers.passes import Passes


def check_last_batch(field: Field, sampler: PointSampler | GroupSampler) -> None:
    """Raise now for what would end the fit at the end of its first epoch."""
    if isinstance(sampler, GroupSampler):
        return  # of a fit that a field with such needs refuses
    last = sampler.points % sampler.batch if isinstance(sampler, Passes) else 0
    last = last or sampler.batch
    if last < field.least_batch:
        raise InputError(
            f"expected batches of {field.least_batch} points or more, over which the field normalises; got "
            f"{sampler.points:,} points in batches of {sampler.batch:,}, the last of {last}: choose another "
            "batch size"
        )


def check_elsewhere(signal: Signal, config: FitConfig) -> None:
    """Raise for settings that need the signal's own points to be what is measured, or its values outputs.

    Also for a loss that its values do not allow: those of a bce are shares.
    """
    if signal.evaluation is not signal and config.holdout is not None:
        raise InputError(
            f"expected no holdout for a {signal.kind}, which is measured elsewhere than it is trained; got "
            f"holdout={config.holdout}: leave it out"
        )
    if signal.samples > 1 and config.iga is not None:
        raise InputError(
            f"expected no iga for a {signal.kind}, whose values are made of several outputs; got iga: leave "
            "it out"
        )
    if config.loss == "bce" and signal.held and bool(((signal.values < 0) | (signal.values > 1)).any()):
        low, high = (float(end) for end in signal.values.nan_to_num(0.0).aminmax())
        raise InputError(
            f"expected values from 0 to 1 for the loss bce; got {low:g} to {high:g} of a {signal.kind}: "
            "take mse"
        )


def check_kinds(field: Field, signal: Signal) -> None:
    """Raise for things that are no field and no signal, or do not fit each other."""
    if not isinstance(field, Field):
        raise InputError(
            f"expected a field of fastsnf; got {type(field).__name__}: fastsnf.accelerate makes one of a "
            "SIREN-like module"
        )
    if not isinstance(signal, Signal):
        raise InputError(
            f"expected a signal of fastsnf; got {type(signal).__name__}: Image.from_array takes an array"
        )
    if (field.in_features, field.out_features) != (signal.in_features, signal.out_features):
        raise InputError(
            f"expected a field of the signal's {signal.in_features} inputs, {signal.out_features} outputs; "
            f"got {field.in_features} and {field.out_features}"
        )

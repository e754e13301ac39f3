"""How the batches of a fit are divided: into chunks that memory has room for, and between processes."""

from __future__ import annotations

from fastsnf.errors import InputError
from fastsnf.nn import Field, LayeredField
from fastsnf.signals.signal import Signal
from fastsnf.train.budget import Needs, gathers
from fastsnf.train.config import FitConfig, describe
from fastsnf.train.parallel import World
from fastsnf.train.parts import Parts
from fastsnf.train.points import Points
from fastsnf.train.samplers.groups import GroupSampler
from fastsnf.train.samplers.make import PointSampler
from fastsnf.train.samplers.passes import Passes
from fastsnf.train.step import Step

TENSORS_A_LAYER = 4
"""Tensors [B, F] that autograd keeps or makes of a hidden layer in plain operations, at most."""

AUTOGRAD_BYTES = {"cpu": 1 << 30, "cuda": 8 << 30}
"""What the activations of a chunk may take where autograd keeps them, by the type of the device."""

GATHERED_BYTES = 1 << 28
"""What the coordinates and values of a chunk may take where a single pass reads them."""


def check_divisible(field: Field, config: FitConfig) -> None:
    """Raise `InputError` for a fit that several processes cannot share, when there are several."""
    size = World.current().size
    if size == 1:
        return
    advice = f"fit in one process instead of {size}"
    if config.iga is not None:
        raise InputError(
            f"expected no iga with several processes, whose groups of points are one batch; got iga: {advice}"
        )
    if callable(config.loss):
        raise InputError(
            "expected the loss mse or bce with several processes, whose parts add up; got "
            f"{describe(config.loss)}: {advice}"
        )
    if field.least_batch > 1:
        raise InputError(
            "expected a field that computes each point by itself with several processes; got one that "
            f"normalises over the batch: {advice}"
        )


def divisible(field: Field, config: FitConfig) -> bool:
    """Return whether the gradient of a batch is the weighted mean of those of its parts."""
    return not callable(config.loss) and config.iga is None and field.least_batch == 1


def bytes_a_point(field: Field, step: Step, points: Points, samples: int = 1) -> int:
    """Return the bytes that a point of a batch takes: its number, coordinates, values and activations.

    Args:
        field, step, points: what is trained, how, and on what.
        samples: points of the field that make one of the signal (`Signal.samples`).
    """
    number = next(field.parameters()).dtype.to_real().itemsize
    index = 8
    if points.by_number:
        return index
    own = index + number * (samples * field.in_features + field.out_features + 1)
    encoding = field.encoding if isinstance(field, LayeredField) else None
    if encoding is not None:
        own += samples * number * encoding.out_features
    return own if step.single_pass else own + samples * number * _kept_numbers(field)


def largest_chunk(step: Step, device: str, a_point: int) -> int:
    """Return how many points are taken at once unless memory is limited: a power of 2."""
    room = GATHERED_BYTES if step.single_pass else AUTOGRAD_BYTES.get(device, AUTOGRAD_BYTES["cpu"])
    return 1 << max(0, (room // a_point).bit_length() - 1)


def needs_of(
    field: Field,
    signal: Signal,
    config: FitConfig,
    points: Points,
    step: Step,
    sampler: PointSampler | GroupSampler,
    written: bool,
) -> Needs:
    """Return what the memory of a fit depends on; `written` says whether the reconstruction is."""
    a_point = bytes_a_point(field, step, points, signal.samples)
    device = next(field.parameters()).device.type
    return Needs(
        field=field,
        signal=signal,
        count=points.count,
        batch=config.points_per_step(points.count),
        a_point=a_point,
        chunk=largest_chunk(step, device, a_point) if divisible(field, config) else None,
        states=0 if config.optimizer == "sgd" else 2,
        gathered=points.resident and gathers(signal),
        chosen=_chosen_bytes(signal, config, points),
        ordered=isinstance(sampler, Passes) and sampler.held and sampler.batch < sampler.points,
        shared=World.current().size > 1,
        written=written,
    )


def _chosen_bytes(signal: Signal, config: FitConfig, points: Points) -> int:
    """Return the bytes of the numbers of the training points, and of the masks that they come from."""
    if not points.chosen_bytes:
        return 0
    return points.chosen_bytes + signal.size * (1 if config.holdout is None else 2)


def make_parts(field: Field, points: Points, step: Step, chunk: int | None) -> Parts:
    """Return what divides the batches of a fit, in chunks of so many points; None for no chunks."""
    if chunk is None:
        return Parts(points, step)
    key = ("gradients", bytes_a_point(field, step, points), step.single_pass)
    return Parts(points, step, chunk=chunk, key=key)


def _kept_numbers(field: Field) -> int:
    """Return how many real numbers autograd keeps of a point, at most."""
    layers = sum(parameter.dim() > 1 for parameter in field.parameters())
    width = max(max(p.shape) for p in field.parameters() if p.dim())
    pairs = 2 if any(p.is_complex() for p in field.parameters()) else 1
    return TENSORS_A_LAYER * max(1, layers) * width * pairs

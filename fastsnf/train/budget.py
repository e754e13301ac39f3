"""The memory that a fit will take, part by part, known before it starts; and chunks that keep to a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.signals.bit_rendering import IN_MEMORY, SURFACE_BYTES, BitRendering
from fastsnf.signals.bits import BitGrid
from fastsnf.signals.signal import CACHED_POINTS, Signal
from fastsnf.train import chunks
from fastsnf.train.evaluate import points_at_once

LIBRARIES = 64 << 20
"""What libraries take that are loaded on first use, and what allocators keep of what was freed."""

ENGINE_BYTES = 4 << 20
"""What the CPU engine takes for each thread beside the weights: tiles of activations (`csrc/cpu/plan.h`)."""

WEIGHT_COPIES = 4
"""Times that it holds the weights for each thread: packed both ways, and their gradients."""

SHARED_COPIES = 2
"""Times that gradients are held where a batch is taken in parts: their sum, and what is being added."""

NUMBER_BYTES = 80
"""Bytes a point of a chunk that is evaluated, beside its features: number, coordinates, values, bits."""

PLANES = 16
"""Planes of a solid that are looked at for how large its surface is."""

FACES_AN_EDGE = 2.0
"""Triangles of a surface for each edge of the grid that it crosses (Euler: V - E + F = 2, and 3 F = 2 E)."""

DOCUMENTED = ((256**3, 200_000_000), (512**3, 300_000_000), (1024**3, 400_000_000), (2048**3, 800_000_000))
"""Points of a solid's grid, and the bytes that its fit keeps to."""

PHASES = ("step", "evaluation", "reconstruction")
"""What a fit does one after the other; only one of them has its memory."""


@dataclass(frozen=True)
class Budget:
    """Bytes that a fit will take at most, on top of the imported library.

    Attributes:
        parts: bytes by name; those of `PHASES` are not needed at the same time, all others are.
        chunk: points of a batch taken at once; None where it cannot be divided.
        mapped: bytes of files that are mapped, which the system keeps in memory as it sees fit.
        limit: the bytes it was told to keep to, or None.
    """

    parts: Mapping[str, int]
    chunk: int | None
    mapped: int = 0
    limit: int | None = None

    @property
    def total(self) -> int:
        """The bytes at the fit's peak."""
        held = sum(size for name, size in self.parts.items() if name not in PHASES)
        return held + max(self.parts.get(name, 0) for name in PHASES)

    def __str__(self) -> str:
        listed = ", ".join(f"{name} {said(size)}" for name, size in self.parts.items() if size >= 5 << 20)
        apart = f"; mapped file {said(self.mapped)} apart" if self.mapped else ""
        kept = "" if self.limit is None else f" of {said(self.limit)}"
        return f"{said(self.total)}{kept} planned: {listed}{apart}"


@dataclass(frozen=True)
class Needs:
    """What an estimate goes by.

    Attributes:
        field, signal: what is fitted, and to what.
        count: training points, `batch` of which make a step, each of `a_point` bytes while it is taken.
        chunk: points of a batch taken at once, as a rule; None where it cannot be divided.
        states: numbers that the optimizer keeps of each parameter.
        gathered: whether coordinates of all training points are held.
        chosen: bytes of what says which points are trained on and held out, where it is not all of them.
        ordered: whether the order of all training points is held.
        shared: whether batches are taken in parts in any case.
        written: whether the reconstruction is written.
    """

    field: Field
    signal: Signal
    count: int
    batch: int
    a_point: int
    chunk: int | None
    states: int
    gathered: bool
    chosen: int
    ordered: bool
    shared: bool
    written: bool


def estimate(needs: Needs, limit: int | None = None) -> Budget:
    """Return what a fit will take, in chunks small enough for `limit` bytes.

    Raises:
        InputError: when it does not fit with the smallest chunks either, with the parts.
    """
    step = evaluated = None
    while True:
        budget = _budget(needs, step, evaluated, limit)
        if limit is None or budget.total <= limit:
            if evaluated is not None:
                for key in ("measure", "decode"):
                    chunks.limit(evaluated, (key, needs.field.hidden_features))
            return budget
        over = max(PHASES, key=lambda name: budget.parts.get(name, 0))
        sizes = {"step": step or _whole(needs), "evaluation": evaluated or points_at_once(needs.field)}
        if sizes.get(over, 0) <= chunks.FLOOR or (over == "step" and needs.chunk is None):
            raise InputError(
                f"expected a fit within {said(limit)}; got {replace(budget, limit=None)}: raise the limit, "
                "or lower the resolution, batch_size or hidden_features"
            )
        if over == "step":
            step = max(chunks.FLOOR, sizes[over] // 2)
        else:
            evaluated = max(chunks.FLOOR, sizes[over] // 2)


def _budget(needs: Needs, step: int | None, evaluated: int | None, limit: int | None) -> Budget:
    """Return the budget with so many points at once in a step and in an evaluation, None for the usual."""
    signal = needs.signal.evaluation
    chunk = needs.chunk if step is None else step
    at_once = points_at_once(needs.field) if evaluated is None else evaluated
    rendering = signal.rendering(signal.shape)
    kept = rendering.bytes
    if isinstance(rendering, BitRendering):
        kept = -(-signal.size // 8) if signal.size <= IN_MEMORY else 0
    elif signal.held:
        kept = 4 * signal.size * signal.out_features
    parts = {
        "signal": _held_bytes(needs.signal),
        "coordinates": needs.count * 4 * needs.signal.in_features if needs.gathered else 0,
        "choice of points": needs.chosen,
        "order of points": 2 * 8 * needs.count if needs.ordered else 0,
        "field and optimizer": _field_bytes(needs, chunk),
        "engine": _engine_bytes(needs.field),
        "libraries": LIBRARIES,
        "step": min(needs.batch, chunk or needs.batch) * needs.a_point,
        "evaluation": kept + min(at_once, signal.size) * (NUMBER_BYTES + 4 * signal.out_features * 4),
    }
    if needs.written:
        parts["reconstruction"] = max(kept, min(rendering.bytes, _surface_bytes(signal, rendering.bytes)))
    mapped = _mapped_bytes(needs.signal)
    if isinstance(rendering, BitRendering) and not kept:
        mapped += -(-signal.size // 8)
    return Budget(parts, chunk, mapped, limit)


def _whole(needs: Needs) -> int:
    return min(needs.batch, needs.chunk or needs.batch)


def _held_bytes(signal: Signal) -> int:
    """Return the bytes of a signal's own data that lie in the memory of the process."""
    bits, weights = _bits(signal), signal.weights
    size = 0 if weights is None else weights.numel() * weights.element_size()
    if signal.held:
        size += signal.values.numel() * signal.values.element_size()
    elif bits is not None and not bits.mapped:
        size += bits.octets.nbytes
    return size


def _mapped_bytes(signal: Signal) -> int:
    bits = _bits(signal)
    return bits.octets.nbytes if bits is not None and bits.mapped else 0


def _bits(signal: Signal) -> BitGrid | None:
    """Return the bits of a solid, None for any other signal."""
    bits = getattr(signal, "bits", None)
    return bits if isinstance(bits, BitGrid) else None


def _field_bytes(needs: Needs, chunk: int | None) -> int:
    """Return the bytes of parameters, gradients, the optimizer's state, and sums of gradients."""
    parted = needs.shared or (chunk is not None and chunk < needs.batch)
    copies = 2 + needs.states + (SHARED_COPIES if parted else 0)
    return copies * sum(p.numel() * p.element_size() for p in needs.field.parameters())


def _engine_bytes(field: Field) -> int:
    weights = sum(p.numel() * p.element_size() for p in field.parameters())
    return torch.get_num_threads() * (ENGINE_BYTES + WEIGHT_COPIES * weights)


def _surface_bytes(signal: Signal, most: int) -> int:
    """Return the bytes that making and writing the surface of a solid takes; `most` for other signals.

    The surface that a field will have is as large as the solid's own, judged by the edges between neighbours
    of which one is inside, in `PLANES` planes across the first axis.
    """
    bits = _bits(signal)
    if bits is None:
        return most
    depth = signal.shape[0]
    planes = sorted({depth * number // PLANES for number in range(PLANES)} & {*range(depth - 1)})
    edges = 0
    for plane in planes:
        here, after = bits.slab(plane, plane + 2)
        edges += sum(int(np.count_nonzero(np.diff(here, axis=axis))) for axis in (0, 1))
        edges += int(np.count_nonzero(here != after))
    crossed = edges * depth / max(1, len(planes))
    a_face = SURFACE_BYTES[Path(signal.default_name).suffix]
    return int(-(-signal.size // 8) + a_face * FACES_AN_EDGE * crossed)


def documented(points: int) -> int:
    """Return the bytes above the imported library that the README gives a solid on a grid of so many points.

    It is for fitting it, measuring it and decoding it to bits; files that are mapped are apart.

    Raises:
        InputError: for a larger grid than the README speaks of.
    """
    for most, size in DOCUMENTED:
        if points <= most:
            return size
    raise InputError(f"expected at most {DOCUMENTED[-1][0]:,} points; got {points:,}")


def said(size: int) -> str:
    """Return a number of bytes as people read it.

    >>> said(1_234_567_890), said(20 << 20)
    ('1.2 GB', '21 MB')
    """
    if size >= 10**9:
        return f"{size / 1e9:.1f} GB"
    return f"{max(1, round(size / 1e6))} MB"


def gathers(signal: Signal) -> bool:
    """Return whether a fit holds the coordinates of all points of a signal."""
    return signal.held and signal.size <= CACHED_POINTS

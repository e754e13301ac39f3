"""What each layer of a field is to the engine, what is saved of it, and how rows are split and chunked.

Sums over rows are taken in splits whose size depends on the field and on the number of rows alone; chunks
are whole splits. So results are bit for bit the same when memory asks for smaller chunks.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf.engines.triton.parameters import saved_format
from fastsnf.engines.triton.tile_table import padded
from fastsnf.spec import Activation, FieldSpec, Identity

FMA_INPUTS = 8
"""Inputs up to which the first layer runs on the FMA pipes."""

REDUCED_OUTPUTS = 8
"""Outputs up to which the last layer is a reduction instead of a matrix product."""

REDUCED_WEIGHTS = 8192
"""Weights of a last layer, padded to a power of two an output, that one program holds in registers."""

ROW_UNIT = 128
"""Splits are multiples of this: a multiple of the rows of every tile whose rows are summed."""

CHUNK_BYTES = 1 << 30
"""Saved tensors of a chunk: more rows at once are not faster, and memory stays bounded."""

LEAST_HALF = 32_768
"""Rows from which on the backward pass from kept tensors takes half of all rows at a time: its cotangents
have buffers of their own, which are then half as large."""

CACHE_BYTES = 24 << 20
"""Two saved tensors of a chunk in inference, so that they stay in a GPU's second-level cache."""

LEAST_CHUNK = 65_536
"""Rows of a chunk in inference, at least: with fewer a GPU waits for the host to launch the next kernel."""

DTYPES = {"float32": torch.float32, "phase16": torch.int16, "float16": torch.float16}
"""The element type of each saved format."""

_phases = False


@contextlib.contextmanager
def use_phases(on: bool = True) -> Iterator[None]:
    """Save a sine's phases in 16 bits in ``tf32`` too, inside the block (always so in ``fast``).

    It halves the activations' memory; a phase is then within 4.8e-5 rad, less than a tf32 operand's rounding.
    """
    global _phases
    before, _phases = _phases, on
    try:
        yield
    finally:
        _phases = before


class Layer(NamedTuple):
    """One linear layer.

    Attributes:
        kind: ``first`` (FMA), ``linear``, ``complex`` or ``last`` (reduction).
        act_in, act_out: the activation of the layer below (Identity for coordinates), and its own.
        fan_in, fan_out: its weight is [fan_out, fan_in].
        format_in, format_out: of the saved tensors below and above.
        columns_in, columns_out: of those tensors; planar where complex.
        first_below: whether the layer below is the first, whose pre-activations are real in a complex field.
        precision: of its forward product: ``fp32`` where coordinates enter a field in ``fast``.
    """

    kind: str
    act_in: Activation
    act_out: Activation
    fan_in: int
    fan_out: int
    format_in: str
    format_out: str
    columns_in: int
    columns_out: int
    first_below: bool
    precision: str


@dataclass(frozen=True)
class FieldPlan:
    """The layers of a field and the precision they run in."""

    layers: tuple[Layer, ...]
    precision: str

    @property
    def reduced(self) -> bool:
        """Whether the last layer is a reduction, which saves nothing of its own."""
        return self.layers[-1].kind == "last"

    @property
    def saved(self) -> tuple[Layer, ...]:
        """The layers whose pre-activations are saved for the backward pass."""
        return self.layers[:-1] if self.reduced else self.layers

    @property
    def cotangent_dtype(self) -> torch.dtype:
        """The element type of cotangents between layers."""
        return torch.bfloat16 if self.precision == "fast" else torch.float32

    @property
    def saved_bytes(self) -> int:
        """Bytes saved a row."""
        return sum(layer.columns_out * DTYPES[layer.format_out].itemsize for layer in self.saved)

    @property
    def in_place(self) -> bool:
        """Whether a cotangent has the size of what is saved, so that it may take its place."""
        return all(DTYPES[layer.format_out].itemsize == self.cotangent_dtype.itemsize for layer in self.saved)

    def saved_views(self, buffer: Tensor, rows: int) -> list[Tensor]:
        """Return the saved tensors [rows, columns] of a buffer of `saved_bytes` bytes a row."""
        views, start = [], 0
        for layer in self.saved:
            dtype = DTYPES[layer.format_out]
            size = rows * layer.columns_out * dtype.itemsize
            views.append(buffer[start : start + size].view(dtype).view(rows, layer.columns_out))
            start += size
        return views


def plan_of(
    spec: FieldSpec, shapes: tuple[tuple[int, int], ...], precision: str, saved_bytes: int | None = None
) -> FieldPlan:
    """Return the plan of a field with weights of `shapes` in `precision`.

    `saved_bytes`: of a row that was saved before, perhaps inside `use_phases` or outside of it.
    """
    plan = _plan(spec, shapes, precision, _phases)
    if saved_bytes not in (None, plan.saved_bytes):
        return _plan(spec, shapes, precision, not _phases)
    return plan


@functools.lru_cache(maxsize=256)
def _plan(spec: FieldSpec, shapes: tuple[tuple[int, int], ...], precision: str, phases: bool) -> FieldPlan:
    layers: list[Layer] = []
    act_in: Activation = Identity()
    format_in, columns_in = "float32", shapes[0][1]
    for l, (act, (fan_out, fan_in)) in enumerate(zip(spec.activations, shapes, strict=True)):
        final = l == spec.layers - 1
        is_complex = spec.complex_weights(l)
        if l == 0:
            kind = "first" if fan_in <= FMA_INPUTS else "linear"
        elif final and _is_reduced(fan_in, fan_out, is_complex):
            kind = "last"
        else:
            kind = "complex" if is_complex else "linear"
        columns = padded(fan_out) * (2 if is_complex and not final else 1)
        # What is saved of a linear output layer is its output: not in 16 bits.
        format_out = "float32" if final and act == Identity() else saved_format(act, precision, phases=phases)
        ahead = "fp32" if precision == "fast" and l == 0 and not final else precision
        sizes = (fan_in, fan_out, format_in, format_out, columns_in, columns)
        layers.append(Layer(kind, act_in, act, *sizes, first_below=l == 1, precision=ahead))
        act_in, format_in, columns_in = act, format_out, columns
    return FieldPlan(tuple(layers), precision)


def _is_reduced(fan_in: int, fan_out: int, is_complex: bool) -> bool:
    held = (2 if is_complex else 1) * fan_out * (1 << (padded(fan_in) - 1).bit_length())
    return fan_out <= REDUCED_OUTPUTS and held <= REDUCED_WEIGHTS


class Splits(NamedTuple):
    """How the rows of a call are cut: sizes in rows.

    Attributes:
        edge: of one partial sum of the first and the last layer.
        product: of one partial sum of a weight gradient; a multiple of `edge`.
        chunk: of what is computed at once; a multiple of `product`.
    """

    edge: int
    product: int
    chunk: int

    @property
    def edges(self) -> int:
        """How many partial sums of an edge are one term of the ordered sum over rows.

        They are added in parallel: a thousand terms one after the other would take as long as a kernel of
        the layers. Chunks are whole terms.
        """
        return self.product // self.edge


def splits_of(plan: FieldPlan, rows: int, processors: int, *, kept: bool = False) -> Splits:
    """Return the splits of `rows` rows on a GPU of `processors` multiprocessors.

    A chunk has about eight programs a multiprocessor at the edges, and two in a weight gradient of 128 x 128
    tiles; `kept`: the saved tensors are there already.
    """
    wanted = min(rows, max(1, CHUNK_BYTES // max(1, plan.saved_bytes)))
    if kept and wanted > LEAST_HALF:
        wanted = min(wanted, max(LEAST_HALF, -(-rows // 2)))
    edge = _round_up(-(-wanted // (8 * processors)), ROW_UNIT)
    widest = max(layer.columns_out for layer in plan.layers)
    tiles = max(1, (widest // 128) ** 2)
    programs = max(1, -(-2 * processors // tiles))
    product = edge * max(1, -(-wanted // (programs * edge)))
    return Splits(edge, product, _round_up(wanted, product))


def halved(splits: Splits) -> Splits | None:
    """Return the splits with chunks of half the rows, or None when a chunk is one split already."""
    count = splits.chunk // splits.product
    return splits._replace(chunk=(count + 1) // 2 * splits.product) if count > 1 else None


def inference_rows(plan: FieldPlan) -> int:
    """Return the rows of a chunk in inference: two saved tensors of it fit the cache where that is enough."""
    widest = max((layer.columns_out * DTYPES[layer.format_out].itemsize for layer in plan.saved), default=1)
    return max(LEAST_CHUNK, CACHE_BYTES // (2 * widest) // ROW_UNIT * ROW_UNIT)


def _round_up(value: int, unit: int) -> int:
    return max(unit, -(-value // unit) * unit)

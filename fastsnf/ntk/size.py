"""How much memory an NTK matrix takes, asked before anything is allocated."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import nn

from fastsnf.errors import InputError, check_whole, unknown
from fastsnf.nn import Field, LayeredField
from fastsnf.nn.plain import only_layers
from fastsnf.ntk.jacobian import JACOBIAN_BYTES
from fastsnf.ntk.module import describe, trainable, underlying
from fastsnf.ntk.trace import numbers_per_point
from fastsnf.ops.ntk import gram_answers

OUTPUTS = ("sum", "each", "full")
"""What is done with several outputs: their sum / sqrt(C), a matrix for each, all pairs."""

SMALL = 1 << 27
"""Bytes that are never asked after: the question would cost more than the answer is worth."""

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class SizeEstimate:
    """What the NTK of `points` points (in each of `batch` sets) takes and what there is, in bytes.

    `matrix` is the result; `work` is what the computation holds beside it: inputs and cotangents of every
    layer, or rows of a Jacobian. `available` is free on the device now. `largest` is the number of points a
    set that would fit.
    """

    points: int
    batch: int
    outputs: str
    matrix: int
    work: int
    available: int
    largest: int

    @property
    def fits(self) -> bool:
        """Whether there is memory for it."""
        return self.matrix + self.work <= self.available

    def __str__(self) -> str:
        sets = "" if self.batch == 1 else f" in each of {self.batch:,} sets"
        return (
            f"the NTK of {self.points:,} points{sets} takes {in_words(self.matrix)} and "
            f"{in_words(self.work)} beside it; {in_words(self.available)} are free, enough for "
            f"{self.largest:,} points"
        )


def size_estimate(
    field: nn.Module, points: int, *, outputs: str = "sum", channels: int | None = None, batch: int = 1
) -> SizeEstimate:
    """Return what `empirical_ntk` takes for x [batch, points, D], without allocating anything.

    Args:
        field: a field, or another module.
        points: N, in each of `batch` sets.
        outputs: ``sum``, ``each`` or ``full``.
        channels: C; read from a field, 1 by default for another module.
        batch: B.

    Raises:
        InputError: for sizes under 1, another `outputs`, or a module that has no NTK.
    """
    if outputs not in OUTPUTS:
        raise unknown("outputs", outputs, OUTPUTS)
    for what, size in (("points", points), ("batch", batch)):
        check_whole(what, size, 1)
    module, plain = underlying(field)
    return _estimate(module, plain, points, outputs, channels, batch)


def check_fits(
    field: nn.Module,
    points: int,
    *,
    outputs: str = "sum",
    channels: int | None = None,
    batch: int = 1,
    plain: bool | None = None,
) -> None:
    """Raise `InputError` unless there is memory for the NTK of x [batch, points, D]; as `size_estimate`.

    A matrix that is small by any measure costs no question. `plain` says whether the field is its layers
    alone where the caller has asked `fastsnf.nn.plain.only_layers` already.
    """
    plain = only_layers(field) if plain is None else plain
    need = _need(field, plain, outputs, channels, batch, kernel=False)  # at most
    if need.matrix(points) + need.work(points) <= SMALL:
        return
    estimate = _estimate(field, plain, points, outputs, channels, batch)
    if not estimate.fits:
        raise InputError(
            f"expected an NTK matrix that fits in memory; got: {estimate}: take fewer points, or "
            "fastsnf.ntk.NtkOperator for products without the matrix"
        )


def gram_bytes(points: int, outputs: str, channels: int, dtype: torch.dtype, batch: int = 1) -> int:
    """Return the bytes of the matrices of `batch` sets of `points` points with `channels` outputs."""
    return batch * _blocks(outputs, channels) * points**2 * dtype.itemsize


class _Need(NamedTuple):
    """Bytes as a function of the number of points n: ``square n^2``, and ``per_point n`` up to `most` beside
    ``scratch n^2``.
    """

    square: int
    per_point: int
    most: float
    scratch: int

    def matrix(self, n: int) -> int:
        return self.square * n * n

    def work(self, n: int) -> int:
        return int(min(self.per_point * n, self.most)) + self.scratch * n * n


def _need(
    module: nn.Module, plain: bool, outputs: str, channels: int | None, batch: int, *, kernel: bool
) -> _Need:
    """Return what the NTK takes, with or without an engine that needs no memory but the matrices."""
    dtype, _ = describe(module)
    if channels is None:
        channels = module.out_features if isinstance(module, Field) else 1
    square = gram_bytes(1, outputs, channels, dtype, batch)
    once = gram_bytes(1, "full" if outputs == "full" else "sum", channels, dtype)
    if not plain:
        # Rows of J for two blocks of points, and the product of a block.
        count = sum(p.numel() * (2 if p.is_complex() else 1) for p in trainable(module).values())
        rows = 1 if outputs == "sum" else channels
        return _Need(square, rows * count * dtype.itemsize, 2 * JACOBIAN_BYTES, once)
    field = cast(LayeredField, module)
    # With all pairs of outputs a point stands once for each of them, beside its traces.
    copies = channels + 1 if outputs == "full" else 1
    per_point = batch * copies * numbers_per_point(field) * dtype.itemsize
    # Plain torch keeps the products of every layer.
    scratch = 0 if kernel else (3 + field.spec.layers) * batch * once
    return _Need(square, per_point, float("inf"), scratch)


def _has_kernel(field: LayeredField) -> bool:
    """Return whether an engine takes the matrices of a plain field that needs no memory but theirs."""
    weights, _ = field.layer_tensors()
    inputs = [weight.new_empty(0, weight.shape[1]) for weight in weights]
    cotangents = [weight.new_empty(0, weight.shape[0]) for weight in weights]
    answers = gram_answers(inputs, cotangents)
    return any(not why for engine, why in answers.items() if engine != "reference")


def _estimate(
    module: nn.Module, plain: bool, points: int, outputs: str, channels: int | None, batch: int
) -> SizeEstimate:
    kernel = plain and _has_kernel(cast(LayeredField, module))
    need = _need(module, plain, outputs, channels, batch, kernel=kernel)
    available = available_bytes(describe(module)[1])
    low, high = 0, 1
    while need.matrix(high) + need.work(high) <= available:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if need.matrix(middle) + need.work(middle) <= available else (low, middle)
    return SizeEstimate(points, batch, outputs, need.matrix(points), need.work(points), available, low)


def _blocks(outputs: str, channels: int) -> int:
    return {"sum": 1, "each": channels, "full": channels**2}[outputs]


def available_bytes(device: torch.device) -> int:
    """Return the bytes that a device can give without swapping, within a container's limit.

    On a GPU what torch's allocator holds and does not use counts too.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    found = [bytes_ for bytes_ in (_meminfo(), _cgroup()) if bytes_ is not None]
    return min(found) if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def in_words(size: int) -> str:
    """Return bytes for a message.

    >>> in_words(3 << 29)
    '1.5 GiB'
    """
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"


def _meminfo() -> int | None:
    """Return the memory that Linux can give, None where it does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _cgroup() -> int | None:
    """Return what is left of a container's limit, None without one; cached files count as free."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        limit, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
        cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        return max(0, limit - used + cached)
    return None

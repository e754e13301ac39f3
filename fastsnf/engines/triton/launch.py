"""Every kernel call of the engine passes here, so that a run can be recorded instead of made.

A recorded run takes meta tensors and gives the list of its launches, each with its dtypes, constants, FLOPs
and bytes: the compile test builds exactly these, and the roofline counts them.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Grid = tuple[int, ...]


@dataclass(frozen=True)
class Launch:
    """One kernel call.

    Attributes:
        kernel: the ``@triton.jit`` function.
        grid: programs along up to three axes.
        arguments: run-time arguments by name: tensors, ints, floats or None.
        constants: compile-time constants by name.
        warps, stages: warps a program, and the depth of its software pipeline.
        flops: useful floating-point operations.
        reads, writes: tensors that cross the memory bus once.
    """

    kernel: Any
    grid: Grid
    arguments: Mapping[str, Any]
    constants: Mapping[str, Any]
    warps: int
    stages: int
    flops: int = 0
    reads: Sequence[Tensor | None] = field(default=(), repr=False)
    writes: Sequence[Tensor | None] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.kernel.__name__

    @property
    def bytes_read(self) -> int:
        """Bytes of `reads`."""
        return _bytes(self.reads)

    @property
    def bytes_written(self) -> int:
        """Bytes of `writes`."""
        return _bytes(self.writes)


INTERPRETER = "interpreter"

ARCHITECTURES = ("sm_80", "sm_89", "sm_90")
"""Those with tuned tiles; a device takes the newest that is not newer and has as little shared memory."""

RECORDED_PROCESSORS = {INTERPRETER: 2, "sm_80": 108, "sm_89": 128, "sm_90": 132}
"""Multiprocessors in a recorded run: those of an A100, an RTX 4090 and an H200."""

_record: list[Launch] | None = None
_record_architecture = ""


@contextlib.contextmanager
def recording(architecture: str) -> Iterator[list[Launch]]:
    """Note every launch inside the block, made for `architecture`, in the list it gives, and run none."""
    global _record, _record_architecture
    before, before_architecture = _record, _record_architecture
    _record, _record_architecture = [], architecture
    try:
        yield _record
    finally:
        _record, _record_architecture = before, before_architecture


def architecture() -> str:
    """Return the architecture whose tiles the current call takes."""
    if _record is not None:
        return _record_architecture
    if triton_interprets():
        return INTERPRETER
    major, minor = torch.cuda.get_device_capability()
    return architecture_of(major, minor)


def processors() -> int:
    """Return the multiprocessors of the device that the current call runs on."""
    if _record is not None:
        return RECORDED_PROCESSORS[_record_architecture]
    if triton_interprets():
        return RECORDED_PROCESSORS[INTERPRETER]
    return torch.cuda.get_device_properties(torch.cuda.current_device()).multi_processor_count


def architecture_of(major: int, minor: int) -> str:
    """Return the entry of `ARCHITECTURES` for a compute capability of 8.0 or newer."""
    if major == 8:
        return "sm_80" if minor in (0, 7) else "sm_89"  # 8.6 has 8.9's shared memory, 8.7 has 8.0's
    return "sm_90" if major < 12 else "sm_89"  # 12.x: 99 KB of shared memory


def triton_interprets() -> bool:
    """Return whether Triton runs kernels in its interpreter, on CPU tensors."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


def launch(
    kernel: Any,
    grid: Grid,
    arguments: Mapping[str, Any],
    constants: Mapping[str, Any],
    *,
    warps: int,
    stages: int = 1,
    flops: int = 0,
    reads: Sequence[Tensor | None] = (),
    writes: Sequence[Tensor | None] = (),
) -> None:
    """Run `kernel` on the current device and stream, or record it; an empty grid does nothing."""
    if math.prod(grid) == 0:
        return
    if _record is not None:
        _record.append(Launch(kernel, grid, arguments, constants, warps, stages, flops, reads, writes))
        return
    kernel[grid](**arguments, **constants, num_warps=warps, num_stages=stages)


def _bytes(tensors: Sequence[Tensor | None]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor is not None)

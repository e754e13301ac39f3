"""Kernels with the faults that the compile test is there to catch, and calls of the engine with none."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl

from fastsnf.engines.triton import tile_table
from fastsnf.engines.triton.launch import architecture, launch
from tests.engines.triton.compile_worker import Call


@triton.jit
def sound(x, y, N, ROWS: tl.constexpr):
    """y = x + 1."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    tl.store(y + rows, tl.load(x + rows, mask=rows < N) + 1.0, mask=rows < N)


@triton.jit
def slow_sine(x, y, N, ROWS: tl.constexpr):
    """y = sin(x) as Triton has it."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    tl.store(y + rows, tl.sin(tl.load(x + rows, mask=rows < N)), mask=rows < N)


@triton.jit
def product(x, y, N, ROWS: tl.constexpr, PRECISION: tl.constexpr):
    """y = x x^T for x [ROWS, ROWS]: more registers than there are when ROWS is large for the warps."""
    rows = tl.arange(0, ROWS)
    at = rows[:, None] * ROWS + rows[None, :]
    a = tl.load(x + at, mask=at < N, other=0.0)
    tl.store(y + at, tl.dot(a, tl.trans(a), input_precision=PRECISION), mask=at < N)


@triton.jit
def crowded(x, y, N, ROWS: tl.constexpr):
    """y = x x, with four products in flight: spills."""
    rows = tl.arange(0, ROWS)
    at = rows[:, None] * ROWS + rows[None, :]
    total = tl.zeros((ROWS, ROWS), dtype=tl.float32)
    first = tl.load(x + at)
    for step in range(N):
        a = tl.load(x + step * ROWS * ROWS + at)
        total = tl.dot(a, first, total, input_precision="tf32")
        first = total * a + first
    tl.store(y + at, total + first)


def run(kernel: object, warps: int = 4, **constants: object) -> None:
    """Launch a kernel on meta tensors."""
    x = torch.empty(256 * 256, device="meta")
    y = torch.empty(256 * 256, device="meta")
    launch(kernel, (1,), {"x": x, "y": y, "N": 4096}, constants, warps=warps)


def calls() -> Iterator[Call]:
    """Yield a sound call and one of every fault."""
    yield "sound", lambda: run(sound, ROWS=128)
    yield "sine", lambda: run(slow_sine, ROWS=128)
    yield "spills", lambda: run(crowded, ROWS=128)
    yield "without tensor cores", lambda: run(product, ROWS=32, PRECISION="ieee")
    yield "shared memory", lambda: run(product, warps=8, ROWS=256, PRECISION="tf32")
    yield "no entry", lambda: tile_table.find("no_such_op", "fp32", act="sine", columns=32, depth=32)
    yield "no entry here", lambda: {"sm_90": 1}[architecture()]
    yield "does not compile", lambda: run(product, ROWS=100, PRECISION="tf32")

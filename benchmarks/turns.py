"""Cases whose sides take turns: each in a process of its own, and what its record says of the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, Protocol, Self

from torch import Tensor

from benchmarks import child, machine, summary, timer
from benchmarks.sides import Run
from fastsnf import ops
from fastsnf.nn import SNF

QUICK_ROUNDS = 3


class Problem(Protocol):
    """A field, points, and the work of each side on them."""

    @property
    def field(self) -> SNF:
        """The field."""

    @property
    def x(self) -> Tensor:
        """The points [N, D]."""

    def run(self, side: str) -> Run:
        """Return one call of a side's work."""


class Case(Protocol):
    """A dataclass of what is measured."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def title(self) -> str:
        """What to say while it is measured."""

    def scaled(self) -> Self:
        """Return the case for a quick look."""


def figures(
    problem: Problem,
    sides: Sequence[str],
    flops: int,
    *,
    rounds: int,
    warmup: int = 2,
    variant: str | None = None,
) -> dict[str, Any]:
    """Return when, on which engine and machine the sides took turns in this process, and their figures.

    Args:
        problem: whose work is measured.
        sides: their names, fastsnf's or the plain one first.
        flops: useful FLOPs of one run.
        rounds: steady rounds wanted.
        warmup: runs of every side that are not timed.
        variant: the instruction set of the peak; None: the one in use.
    """
    runs = {side: problem.run(side) for side in sides}
    started = time.time()
    taken = timer.measure(runs, peak=lambda: machine.fma_peak(variant), rounds=rounds, warmup=warmup)
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "engine": ops.chosen(problem.x, *problem.field.layer_tensors(), spec=problem.field.spec),
        **summary.of_rounds(taken, sides, flops),
        "machine": machine.describe(),
    }


def in_child(module: str, case: Case, rounds: int) -> dict[str, Any]:
    """Return the record of a case from a process of its own, ``python -m module``, with the kept allocator.

    Raises:
        RuntimeError: the child failed, with its last line.
    """
    return child.run(module, {"case": asdict(case), "rounds": rounds}, child.environment(child.KEPT))


def tasks(
    module: str, cases: Sequence[Case], rounds: int, quick: bool
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the titles of the cases with calls that measure them; a quick look at smaller ones."""
    for case in cases:
        chosen, wanted = (case.scaled(), QUICK_ROUNDS) if quick else (case, rounds)
        yield chosen.title, partial(in_child, module, chosen, wanted)

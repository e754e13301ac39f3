"""Several processes that make one fit: who they are, and the few things that they tell each other.

``torchrun --nproc-per-node K -m fastsnf fit …`` starts them; torch.distributed talks between them, gloo on
CPUs and NCCL on GPUs. Every process computes the gradient of its part of each batch, the parts are added up,
and every process makes the same update. What depends on clocks, signals or files is decided by the first one.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from fastsnf.errors import InputError, RunError

SUM_TIMEOUT = timedelta(minutes=10)
"""For what all processes come to at once: the connections, and the sums of gradients."""
WAIT_TIMEOUT = timedelta(days=7)
"""For where the others wait while the first evaluates or writes. A process that dies is noticed at once."""
SETTLING = 0.05
"""Seconds before a group is taken down, in which gloo's threads let go of what was sent last."""

TELLING = 1.0
"""Seconds that the others stay when a fit fails: torchrun ends all processes when the first is gone, and one
of them is telling the user why."""

T = TypeVar("T")


class PeerLost(RunError):
    """Another process of the fit is gone."""


@dataclass(frozen=True)
class World:
    """The processes of a fit; one alone, with no cost, unless `joined` found others.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1
    _control: Any = field(default=None, repr=False)

    @classmethod
    def current(cls) -> World:
        """Return the processes that this one works with, inside `joined`; itself alone anywhere else."""
        return _current.get() or cls()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, prints and decides."""
        return self.rank == 0

    def part(self, points: int) -> tuple[int, int]:
        """Return the first and the last, exclusive, of this process's share of so many points."""
        return points * self.rank // self.size, points * (self.rank + 1) // self.size

    def add_up(self, values: Tensor) -> None:
        """Put the sum of every process's `values` in their place, the same bits in all of them."""
        if self.size > 1:
            with self._together():
                distributed.all_reduce(values)

    def largest(self, values: Sequence[float]) -> list[float]:
        """Return the largest of every process's numbers, place by place; however long the others take."""
        if self.size == 1:
            return [*values]
        tensor = torch.tensor(values, dtype=torch.float64)
        with self._together():
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX, group=self._control)
        return tensor.tolist()

    def from_first(self, work: Callable[[], T], sent: Callable[[T], T] | None = None) -> T:
        """Return what `work` returns in the first process, which alone does it; the others wait.

        Args:
            work: done as if there were one process. Its `InputError` or `RunError` is raised everywhere.
            sent: makes of the result what the others get; the result itself by default, which pickle takes.
        """
        if self.size == 1:
            return work()
        if not self.first:
            kind, value = self._broadcast(None)
            if kind != "result":
                error = _ERRORS[kind](value)
                error.told_elsewhere = True
                raise error
            return value  # type: ignore[no-any-return]
        try:
            with alone():
                result = work()
        except (InputError, RunError) as error:
            self._broadcast(("input" if isinstance(error, InputError) else "run", str(error)))
            raise
        self._broadcast(("result", result if sent is None else sent(result)))
        return result

    def each(self, work: Callable[[], T]) -> T:
        """Return what `work`, which every process does for itself, returns here, if it returns in all.

        An `InputError` or `RunError` of any of them ends them all, and the first that has one tells it.
        """
        if self.size == 1:
            return work()
        done: list[T] = []
        failed: InputError | RunError | None = None
        try:
            done.append(work())
        except (InputError, RunError) as error:
            failed = error
        # The lowest rank that failed gives the largest number.
        teller = self.size - round(self.largest([float(self.size - self.rank if failed else 0)])[0])
        if teller == self.size:
            return done[0]
        failed = failed or RunError(f"expected all processes to begin; got an error in number {teller}")
        failed.told_elsewhere = self.rank != teller
        raise failed

    def check_same(self, what: str, text: str) -> None:
        """Raise `InputError`, in every process, unless all of them have the same `text`."""
        if self.size == 1:
            return
        digest = hashlib.sha256(text.encode()).digest()
        words = [float(int.from_bytes(digest[i : i + 4], "little")) for i in range(0, 32, 4)]
        found = self.largest([*words, *(-word for word in words)])
        if found[:8] != [-word for word in found[8:]]:
            raise InputError(
                f"expected the same {what} in all {self.size} processes; got different ones: start them all "
                "with the same command, or fit inside fastsnf.train.parallel.alone() for fits of their own"
            )

    def _broadcast(self, value: tuple[str, Any] | None) -> tuple[str, Any]:
        box = [value]
        with self._together():
            distributed.broadcast_object_list(box, src=0, group=self._control)
        assert box[0] is not None, "the first process has sent it"
        return box[0]

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Turn the error of a broken connection into one that says what to do."""
        try:
            yield
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0].rpartition("] ")[2].partition(". ")[0]
            lost = PeerLost(
                f"expected all {self.size} processes; got: a process left ({reason or 'no reason given'}): "
                "start again with --resume"
            )
            lost.told_elsewhere = _another_tells()
            raise lost from error


_ERRORS: dict[str, type[InputError] | type[RunError]] = {"input": InputError, "run": RunError}
_current: ContextVar[World | None] = ContextVar("fastsnf processes", default=None)
_control: Any = None
"""The group for waiting, made once for the process."""


@contextlib.contextmanager
def joined() -> Iterator[World]:
    """Work with the other processes of this one's torch.distributed group inside the block.

    A group that is there is used. Otherwise the variables that torchrun sets (RANK, WORLD_SIZE, MASTER_ADDR
    …) make one, which stays until the process ends. Without either, and inside `alone`, there is one process.

    Raises:
        InputError: for variables that make no sense.
        RunError: when the other processes do not come.
    """
    if _current.get() is not None or not (_initialized() or _announced()):
        yield World.current()
        return
    if not _initialized():
        _join()
    token = _current.set(_world())
    try:
        yield World.current()
    finally:
        _current.reset(token)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Work as if there were no other process inside the block, for fits that every process has of its own."""
    token = _current.set(World())
    try:
        yield
    finally:
        _current.reset(token)


def check_device(device: torch.device) -> None:
    """Raise `InputError` where the processes of one machine would share a GPU, which NCCL cannot."""
    world = World.current()
    if world.size == 1 or device.type != "cuda" or distributed.get_backend() == "gloo":
        return
    local, gpus = int(os.environ.get("LOCAL_RANK", world.rank)), torch.cuda.device_count()
    if device.index is not None and device.index != torch.cuda.current_device():
        raise InputError(f"expected device cuda or cpu with several processes; got {device}")
    if local >= gpus:
        raise InputError(
            f"expected a GPU for each process of a machine; got process {local + 1} and {gpus} GPUs: lower "
            "--nproc-per-node, or take --device cpu"
        )


def leave(status: int) -> None:
    """End the process now if it joined others, once all is written; where it did not, return.

    Taking gloo down waits for its threads with Python's lock held, which one of them may be waiting for when
    a connection has just broken: the process would never end.
    """
    if not _ours:
        return
    if status and distributed.get_rank() > 0:
        time.sleep(TELLING)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


_ours: list[int] = []
"""Whether this module has made the group."""


def _initialized() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _announced() -> bool:
    """Return whether the environment says that there are other processes."""
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        return False
    try:
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        if not 0 <= rank < size:
            raise ValueError(f"RANK {rank} of WORLD_SIZE {size}")
    except ValueError as error:
        raise InputError(
            f"expected RANK and WORLD_SIZE as torchrun sets them; got {error}: unset them, or use torchrun"
        ) from None
    return size > 1


def _join() -> None:
    """Make the group that the environment describes; on a GPU of its own where there are enough."""
    if not distributed.is_available():
        raise InputError(
            "expected a torch with its distributed package for several processes; got one without"
        )
    backend, local = "gloo", int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available() and distributed.is_nccl_available():
        backend = "cpu:gloo,cuda:nccl"
        if local < torch.cuda.device_count():
            torch.cuda.set_device(local)
    try:
        distributed.init_process_group(backend, timeout=SUM_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(
            f"expected {os.environ['WORLD_SIZE']} processes that find each other; got: {reason}: check that "
            "torchrun started all of them"
        ) from error
    _ours.append(os.getpid())
    atexit.register(_take_down)


def _world() -> World:
    """Return the processes of the group that is there."""
    global _control
    size = distributed.get_world_size()
    if size == 1:
        return World()
    if _control is None:
        _control = distributed.new_group(backend="gloo", timeout=WAIT_TIMEOUT)
    return World(distributed.get_rank(), size, _control)


def _another_tells() -> bool:
    """Return whether one of the processes that are left has told the user already that one is gone."""
    try:
        store = distributed.distributed_c10d._get_default_store()  # type: ignore[attr-defined]
        return bool(store.add("fastsnf: a process left", 1) > 1)
    except Exception:  # it was kept by the process that is gone
        return False


def _take_down() -> None:
    """Take the group down when Python ends, which its threads would not survive."""
    time.sleep(SETTLING)
    with contextlib.suppress(Exception):
        distributed.destroy_process_group()

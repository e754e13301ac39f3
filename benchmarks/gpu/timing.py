"""Event-timed runs of several sides in turn, and what to do when one of them breaks the GPU's context."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks.timer import Run, Spread

ROUNDS = 50
LEAST_ROUNDS = 10
WARMUP = 3


class PoisonError(RuntimeError):
    """A side left the GPU unusable for this process: nothing more can be measured in it."""

    def __init__(self, side: str, cause: str) -> None:
        super().__init__(f"{side}: {cause}")
        self.side, self.cause = side, cause


def said(error: BaseException) -> str:
    """Return an error in one line of at most 600 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:600]


def attempt(side: str, run: Run, synchronize: Callable[[], None]) -> str | None:
    """Run a side to the end; return its error, None when there is none.

    Raises:
        PoisonError: it failed, and the GPU answers no more.
    """
    try:
        run()
        synchronize()
    except Exception as error:
        cause = said(error)
        del error
        try:
            synchronize()
            torch.cuda.empty_cache()
        except Exception as second:
            raise PoisonError(side, cause) from second
        return cause
    return None


def measure(
    makers: Mapping[str, Callable[[], Run]], *, rounds: int = ROUNDS, until: float = float("inf")
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the spread of seconds of every side that runs, and the errors of the others.

    Every timed call follows an untimed one of the same side without waiting in between, as in a loop: the
    GPU does not stand still while the host prepares the call.

    Args:
        makers: by name, what prepares a side and returns one call of it.
        rounds: timed runs of each side, in an order that rotates.
        until: `time.time` after which no round begins, once there are `LEAST_ROUNDS`.
    """
    errors: dict[str, str] = {}
    runs: dict[str, Run] = {}
    for side, make in makers.items():
        prepared: list[Run] = []

        def warm(make: Callable[[], Run] = make, prepared: list[Run] = prepared) -> None:
            prepared.append(make())
            for _ in range(WARMUP):
                prepared[0]()

        cause = attempt(side, warm, torch.cuda.synchronize)
        if cause is None:
            runs[side] = prepared[0]
        else:
            errors[side] = cause
    events: dict[str, list[tuple[torch.cuda.Event, torch.cuda.Event]]] = {side: [] for side in runs}
    names = list(runs)
    for turn in range(rounds):
        if turn >= LEAST_ROUNDS and time.time() > until:
            break
        for side in rotated(names, turn):
            if side in errors:
                continue
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

            def timed(side: str = side, start: torch.cuda.Event = start, end: torch.cuda.Event = end) -> None:
                runs[side]()
                start.record()
                runs[side]()
                end.record()

            cause = attempt(side, timed, torch.cuda.synchronize)
            if cause is None:
                events[side].append((start, end))
            else:
                errors[side] = cause
    seconds = {
        side: [start.elapsed_time(end) / 1e3 for start, end in pairs]
        for side, pairs in events.items()
        if pairs and side not in errors
    }
    return {side: Spread.of(values).to_dict() for side, values in seconds.items()}, errors


def rotated(names: list[str], turn: int) -> list[str]:
    """Return names in the order of a round."""
    start = turn % len(names) if names else 0
    return names[start:] + names[:start]

"""Learning-rate schedules: a multiplier of the base rate as a function of the step and of the run's progress.

Progress is 0 at the first step and 1 at the end of the run; `fastsnf.train.stopping` says how it is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastsnf.errors import InputError, nearest

FORMS = ("constant", "exponential:F", "step:N:F", "once:N:F", "cosine")
"""What a schedule may look like: F is a factor, N a number of steps."""


@dataclass(frozen=True)
class Schedule:
    """A parsed schedule.

    ``constant`` is 1; ``cosine`` falls from 1 to 0 as ``(1 + cos(pi p)) / 2`` (Loshchilov & Hutter 2017, Eq.
    5, without restarts); ``exponential:F`` falls to F at the end as ``F^p`` (WIRE's and FINER's 0.1^(t/T));
    ``step:N:F`` multiplies by F every N steps, ``once:N:F`` after N steps alone. p is the progress.
    """

    kind: str
    factor: float = 1.0
    every: int = 1

    @property
    def needs_horizon(self) -> bool:
        """Whether the rate depends on when the run ends."""
        return self.kind in ("cosine", "exponential")

    def multiplier(self, step: int, progress: float) -> float:
        """Return the factor on the base rate for the update after `step` updates, at `progress` in [0, 1]."""
        if self.kind == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * progress))
        if self.kind == "exponential":
            return self.factor**progress
        if self.kind == "step":
            return self.factor ** (step // self.every)
        if self.kind == "once":
            return self.factor if step >= self.every else 1.0
        return 1.0


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that one of `FORMS` describes.

    >>> parse_schedule("step:200:0.5")
    Schedule(kind='step', factor=0.5, every=200)

    Raises:
        InputError: for any other text, naming the nearest form.
    """
    kind, *values = str(text).split(":")
    try:
        if kind in ("constant", "cosine") and not values:
            return Schedule(kind)
        if kind == "exponential" and len(values) == 1:
            return Schedule(kind, factor=_factor(values[0]))
        if kind in ("step", "once") and len(values) == 2:
            return Schedule(kind, factor=_factor(values[1]), every=_steps(values[0]))
    except ValueError as error:
        raise InputError(
            f"expected the schedule as one of {', '.join(FORMS)}; got {text!r}: {error}"
        ) from None
    names = {form.partition(":")[0]: form for form in FORMS}
    hint = nearest(kind, names)
    for name, form in names.items():
        hint = hint.replace(f"'{name}'", f"'{form}'")
    raise InputError(f"expected the schedule as one of {', '.join(FORMS)}; got {text!r}{hint}")


def _factor(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"the factor must be positive, not {text}")
    return value


def _steps(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(f"the number of steps must be at least 1, not {text}")
    return value

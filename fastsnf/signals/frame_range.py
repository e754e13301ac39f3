"""Which frames of a video are meant: ``first:last:step``, as Python slices have it. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastsnf.errors import InputError


@dataclass(frozen=True)
class FrameRange:
    """The frames `first`, ``first + step``, ... before `last`, counted from 0.

    Args:
        first: the first frame.
        last: the frame before which it ends; None for the end of the file.
        step: every how many frames.
    """

    first: int = 0
    last: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        last = self.first + 1 if self.last is None else self.last
        numbers = (self.first, last, self.step)
        whole = all(type(number) is int for number in numbers)
        if not whole or self.first < 0 or last <= self.first or self.step < 1 or max(numbers) > 10**9:
            raise InputError(
                f"expected frames as first:last or first:last:step with 0 <= first < last; got {self}"
            )

    def __str__(self) -> str:
        return f"{self.first}:{'' if self.last is None else self.last}:{self.step}"

    def __contains__(self, number: int) -> bool:
        return number in self.of(number + 1)

    def of(self, count: int) -> range:
        """Return the numbers of the frames picked of `count` frames."""
        return range(self.first, count if self.last is None else min(self.last, count), self.step)

    @classmethod
    def parse(cls, text: str) -> FrameRange:
        """Return the range in a text such as ``"10:200:2"``; each part may be left out.

        >>> FrameRange.parse(":100").of(5)
        range(0, 5)

        Raises:
            InputError: another form, or numbers that pick nothing.
        """
        match = re.fullmatch(r"\s*(\d{0,10}):(\d{0,10})(?::(\d{0,10}))?\s*", text)
        if match is None:
            raise InputError(
                f"expected frames as first:last or first:last:step, for example 0:100:2; got {text!r}"
            )
        first, last, step = match.groups()
        return cls(int(first or 0), int(last) if last else None, int(step) if step else 1)

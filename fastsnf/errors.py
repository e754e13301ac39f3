"""Errors that a user can act on, with the exit status the command line gives each.

Every message says what was expected, what was got and what to do, in one line.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class InputError(ValueError):
    """The request or the input file is wrong: exit status 2.

    Attributes:
        told_elsewhere: whether another of several processes tells the user.
    """

    told_elsewhere = False

    def __init__(self, *args: object) -> None:
        # the repr of a tensor or an array, and another library's message, may have several lines
        super().__init__(*(" ".join(a.split()) if isinstance(a, str) and "\n" in a else a for a in args))


class EngineError(InputError):
    """The engine asked for cannot take this call; the message lists every reason."""


class RunError(RuntimeError):
    """The machine or the run failed (disk, memory, a loss that is NaN): exit status 1.

    Attributes:
        told_elsewhere: whether another of several processes tells the user.
    """

    told_elsewhere = False


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
"""What torch's allocators, and CUDA's libraries, say in the plain RuntimeError that they raise."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether `error` says that memory did not suffice, of the machine or of a GPU."""
    if isinstance(error, MemoryError):
        return True
    told = isinstance(error, RunError) or not isinstance(error, RuntimeError)
    return not told and any(text in str(error) for text in OUT_OF_MEMORY)


def check_whole(what: str, value: object, least: int, most: int | None = None) -> None:
    """Raise `InputError` unless `value` is a whole number from `least` to `most`, both included.

    >>> check_whole("steps", True, 1)
    Traceback (most recent call last):
    fastsnf.errors.InputError: expected steps to be a whole number of at least 1; got True
    """
    largest = math.inf if most is None else most
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= largest:
        return
    claim = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise InputError(f"expected {what} to be a whole number {claim}; got {value!r}")


def nearest(name: str, options: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the closest of `options`, or an empty string.

    >>> nearest("guassian", ["sine", "gaussian"])
    ", did you mean 'gaussian'?"
    """
    match = difflib.get_close_matches(name, list(options), n=1, cutoff=0.5)
    return f", did you mean {match[0]!r}?" if match else ""


def unknown(what: str, name: object, options: Iterable[str]) -> InputError:
    """Return the error for a value outside a set of names: all of them, and the nearest."""
    names = list(options)
    listed, hint = ", ".join(names), nearest(str(name), names)
    return InputError(f"expected {what} to be one of {listed}; got {name!r}{hint}")

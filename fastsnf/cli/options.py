"""The kinds of values that options take: each parses one string or says what it expected.

An option that is not given is ``None``: its default then comes from the one place that owns it (the trainer's
configuration, the field's constructor, the signal), and ``--resume`` can tell a choice from a default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from fastsnf.errors import InputError, nearest
from fastsnf.ntk.config import IGA, KINDS
from fastsnf.signals.frame_range import FrameRange
from fastsnf.signals.size import parse_size
from fastsnf.train.schedule import FORMS, parse_schedule

LEAST_MEMORY = 10**6
"""Bytes of the smallest limit of memory that is no slip of the keyboard."""
LARGEST = 1e30
"""Bound of real numbers: all of them must be finite in float32."""


def integer(metavar: str, minimum: int, maximum: int | None = None) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a whole number from `minimum` to `maximum`; ``1e6`` is one too."""
    claim = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"

    def parse(text: str) -> int:
        value = _float(text)
        whole = math.isfinite(value) and value == int(value)
        if not whole or value < minimum or (maximum is not None and value > maximum):
            raise InputError(f"expected a whole number {claim}; got {text!r}")
        return int(text) if text.lstrip("+-").isdecimal() else int(value)

    return _kind(metavar, parse)


def number(
    metavar: str, *, above: float = -LARGEST, least: float | None = None
) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a number greater than `above`, or of at least `least`, up to `LARGEST`."""

    def parse(text: str) -> float:
        value = _float(text)
        if least is not None:
            if not least <= value <= LARGEST:
                raise InputError(f"expected a number from {least:g} to {LARGEST:g}; got {text!r}")
            return value
        if not above < value <= LARGEST:
            raise InputError(f"expected a number above {above:g} and at most {LARGEST:g}; got {text!r}")
        return value

    return _kind(metavar, parse)


def choice(names: Iterable[str]) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of one of `names`; any other value is refused with the nearest of them."""
    allowed = tuple(names)

    def parse(text: str) -> str:
        if text not in allowed:
            raise InputError(f"expected one of {', '.join(allowed)}; got {text!r}{nearest(text, allowed)}")
        return text

    return _kind("|".join(allowed), parse)


def picture_size() -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a picture size, ``640x480``, as (width, height)."""
    return _kind("WxH", parse_size)


def frame_range() -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of frames, ``first:last:step``, checked by the parser of videos."""

    def parse(text: str) -> str:
        FrameRange.parse(text)
        return text

    return _kind("FIRST:LAST[:STEP]", parse)


def memory_size() -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a number of bytes, ``2GB``, ``512MiB`` or a whole number alone."""

    def parse(text: str) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(i?)[bB]?", text.strip())
        if match is None or (match[3] and not match[2]):
            raise InputError(f"expected bytes such as 2GB, 512MB or 1.5GiB; got {text!r}")
        size = int(float(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index(match[2].lower() or " "))
        if not LEAST_MEMORY <= size < 2**60:
            raise InputError(f"expected a size from {LEAST_MEMORY // 10**6} MB to 1 EB; got {text!r}")
        return size

    return _kind("SIZE", parse)


def lr_schedule() -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a learning-rate schedule, checked by the trainer's own parser."""

    def parse(text: str) -> str:
        parse_schedule(text)
        return text

    return _kind("|".join(FORMS), parse)


def point_group() -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of how points form groups, checked by the parser of `fastsnf.ntk.IGA`."""

    def parse(text: str) -> str:
        return str(IGA(group=text).group)

    return _kind("|".join((*(f"{kind}:N" for kind in KINDS), "N")), parse)


def whole_or(word: str, metavar: str) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a positive whole number or the one `word`."""

    def parse(text: str) -> int | str:
        if text == word:
            return word
        if text.isdecimal() and int(text):
            return int(text)
        raise InputError(f"expected a whole number of at least 1, or {word!r}; got {text!r}")

    return _kind(metavar, parse)


def number_or(
    names: Iterable[str], metavar: str, *, above: float | None = None
) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of one of `names` or a finite number, above `above` if given."""
    allowed = tuple(names)
    claim = f"from {-LARGEST:g} to" if above is None else f"above {above:g} and at most"

    def parse(text: str) -> float | str:
        if text in allowed:
            return text
        try:
            value = float(text)
        except ValueError:
            names = ", ".join(allowed)
            raise InputError(
                f"expected a number or one of {names}; got {text!r}{nearest(text, allowed)}"
            ) from None
        enough = value >= -LARGEST if above is None else value > above
        if not (enough and value <= LARGEST):
            raise InputError(f"expected a number {claim} {LARGEST:g}; got {text!r}")
        return value

    return _kind("|".join((*allowed, metavar)), parse)


def listed(metavar: str, kind: Callable[[str], Any], what: str) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a tuple of values with commas between them.

    Args:
        metavar: its name in the help text.
        kind: makes a value of a string; raises ValueError, or an InputError of its own.
        what: the values, for an error.
    """

    def parse(text: str) -> tuple[Any, ...]:
        try:
            return tuple(kind(entry.strip()) for entry in text.split(","))
        except InputError:
            raise
        except ValueError:
            raise InputError(f"expected {what} with commas between them; got {text!r}") from None

    return _kind(metavar, parse)


def span() -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a range of two numbers, ``low:high``."""

    def parse(text: str) -> tuple[float, float]:
        low, _, high = text.partition(":")
        try:
            return float(low), float(high)
        except ValueError:
            raise InputError(f"expected a range LOW:HIGH, such as 1:4; got {text!r}") from None

    return _kind("LOW:HIGH", parse)


def text(metavar: str) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a string that is not empty."""

    def parse(value: str) -> str:
        if not value:
            raise InputError(f"expected {metavar}; got an empty string")
        return value

    return _kind(metavar, parse)


def default(claim: str) -> object:
    """Return the annotation that states, in the help text, what happens without the option."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {claim})" if claim else "")


def _kind(metavar: str, parse: Callable[[str], Any]) -> PrimitiveConstructorSpec[Any]:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda values: parse(values[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
    )


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"expected a number; got {text!r}") from None

"""The kinds of values that options take: each parses one string or says what it expected.

An option that is not given is ``None``: its default then comes from the one place that owns it (the trainer's
configuration, the field's constructor, the signal), and ``--resume`` can tell a choice from a default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from fastsnf.errors import InputError, nearest
from fastsnf.train.schedule import FORMS, parse_schedule


def integer(metavar: str, minimum: int) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a whole number that is at least `minimum`; ``1e6`` is one too."""

    def parse(text: str) -> int:
        value = _float(text)
        if not math.isfinite(value) or value != int(value) or value < minimum:
            raise InputError(f"expected a whole number of at least {minimum}; got {text!r}")
        return int(text) if text.lstrip("+-").isdecimal() else int(value)

    return _kind(metavar, parse)


def number(metavar: str, *, above: float = -math.inf) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a finite number greater than `above`."""
    claim = "a finite number" if above == -math.inf else f"a finite number above {above:g}"

    def parse(text: str) -> float:
        value = _float(text)
        if not math.isfinite(value) or value <= above:
            raise InputError(f"expected {claim}; got {text!r}")
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

    def parse(text: str) -> tuple[int, int]:
        width, cross, height = text.lower().replace("×", "x").partition("x")
        if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
            raise InputError(f"expected WIDTHxHEIGHT in pixels, for example 640x480; got {text!r}")
        return int(width), int(height)

    return _kind("WxH", parse)


def lr_schedule() -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a learning-rate schedule, checked by the trainer's own parser."""

    def parse(text: str) -> str:
        parse_schedule(text)
        return text

    return _kind("|".join(FORMS), parse)


def whole_or(word: str, metavar: str) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of a positive whole number or the one `word`."""

    def parse(text: str) -> int | str:
        if text == word:
            return word
        if text.isdecimal() and int(text):
            return int(text)
        raise InputError(f"expected a whole number of at least 1, or {word!r}; got {text!r}")

    return _kind(metavar, parse)


def number_or(names: Iterable[str], metavar: str) -> PrimitiveConstructorSpec[Any]:
    """Return the annotation of one of `names` or a finite number."""
    allowed = tuple(names)

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
        if not math.isfinite(value):
            raise InputError(f"expected a finite number or one of {', '.join(allowed)}; got {text!r}")
        return value

    return _kind("|".join((*allowed, metavar)), parse)


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

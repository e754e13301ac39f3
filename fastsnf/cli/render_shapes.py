"""From the options of ``fastsnf render`` to the points that are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from fastsnf.errors import InputError

if TYPE_CHECKING:
    from fastsnf.signals import Signal

MAX_SIDE = 2**31 - 1
"""Longest side that any file can hold."""

FRAMED = frozenset(("video",))
"""Kinds whose first axis is time: a scale is that of their pictures."""


class Sized(Protocol):
    """How a rendering may be sized; at most one of them is not None."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height."""

    @property
    def scale(self) -> float | None:
        """A factor on the points along each axis."""

    @property
    def resolution(self) -> int | None:
        """Points along the longest axis, or rows of a sphere."""

    @property
    def rate(self) -> int | None:
        """Samples a second."""


SIZES = ("size", "scale", "resolution", "rate")
"""Options that size a rendering."""

S = TypeVar("S", bound="Signal")


def rendered(options: Sized, signal: S) -> tuple[S, tuple[int, ...]]:
    """Return the signal to write through, at another rate where that was asked for, and the grid to decode.

    Raises:
        InputError: for two sizes, or one that the kind of signal does not have.
    """
    asked = [name for name in SIZES if getattr(options, name) is not None]
    known = " or ".join(f"--{name}" for name in signal.sized_by)
    if len(asked) > 1:
        raise InputError(f"expected {known}; got both --{asked[0]} and --{asked[1]}: drop one")
    if asked and asked[0] not in signal.sized_by:
        raise InputError(f"expected {known} for the field of {signal.kind}; got --{asked[0]}")
    if options.size is not None:
        width, height = options.size
        return signal, (*signal.shape[:-2], height, width)
    if options.resolution is not None:
        return signal, at_resolution(signal, options.resolution)
    own = getattr(signal, "rate", None)
    if "rate" in signal.sized_by and isinstance(own, int) and (options.rate or options.scale):
        rate = options.rate or max(1, round(min(own * (options.scale or 1.0), MAX_SIDE)))
        other: S = signal.at_rate(rate)  # type: ignore[attr-defined]  # a kind sized by a rate has it
        return other, other.shape
    return signal, scaled(signal, options.scale or 1.0)


def scaled(signal: Signal, scale: float) -> tuple[int, ...]:
    """Return the points along each axis at `scale` times those of a signal; a video keeps its frames."""
    kept = 1 if signal.kind in FRAMED else 0
    sides = (max(1, round(min(side * scale, MAX_SIDE))) for side in signal.shape[kept:])
    return (*signal.shape[:kept], *sides)


def at_resolution(signal: Signal, resolution: int) -> tuple[int, ...]:
    """Return the grid with `resolution` points along the longest axis, the others at the same distances.

    That of a sphere has `resolution` rows of latitude and twice as many columns of longitude. Points on no
    grid say themselves what it is.
    """
    shape_of = getattr(signal, "shape_of", None)
    if shape_of is not None:
        sides: tuple[int, ...] = shape_of(resolution)
        return sides
    if signal.kind == "sphere":
        return resolution, 2 * resolution
    longest = max(signal.shape)
    return tuple(
        resolution if side == longest else round((resolution - 1) * (side - 1) / (longest - 1)) + 1
        for side in signal.shape
    )


def size_name(signal: Signal, shape: Sequence[int]) -> str:
    """Return the size of a rendering for people: WxH of pictures, Hz of sounds, points along each axis."""
    if "rate" in signal.sized_by:
        return f"{getattr(signal, 'rate', shape[0])}Hz"
    sides = [*shape[-2:][::-1], *shape[:-2]] if "size" in signal.sized_by else shape
    return "x".join(map(str, sides))


def default_output(run: str, signal: Signal, shape: Sequence[int]) -> Path:
    """Return the file's place without ``--output``: in the run folder, or beside the file of the field."""
    suffix, size = Path(signal.default_name).suffix, size_name(signal, shape)
    place = Path(run)
    return (
        place / f"render-{size}{suffix}"
        if place.is_dir()
        else place.with_name(f"{place.stem}-{size}{suffix}")
    )

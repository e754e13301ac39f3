"""Arrays as pictures for a report: reduced to what a page shows, coloured, encoded as PNG by Pillow."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

MOST_PIXELS = 1024
"""Longest side of a picture in a report; larger ones are reduced by a whole factor."""

ERRORS: tuple[Colour, ...] = (
    *((0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85)),
    *((227, 89, 51), (249, 140, 10), (249, 201, 50), (252, 255, 164)),
)
"""From no error to the largest one shown: matplotlib's inferno at nine places."""
VALUES: tuple[Colour, ...] = (
    *((68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141)),
    *((39, 173, 129), (92, 200, 99), (170, 220, 50), (253, 231, 37)),
)
"""From the lowest value to the highest: matplotlib's viridis at nine places."""
SIGNED: tuple[Colour, ...] = (
    (33, 102, 172),
    (146, 197, 222),
    (247, 247, 247),
    (244, 165, 130),
    (178, 24, 43),
)
"""From far below to far above, white at nothing: ColorBrewer's RdBu, turned round."""

CLIPPED = 99.8
"""Percentile of the errors that the brightest colour stands for, so that one bad point hides nothing."""


@dataclass(frozen=True)
class Scale:
    """What the colours of a picture mean: their ends in words, and the colours between them."""

    low: str
    high: str
    colours: Sequence[Colour]


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption; `wide` ones take a whole row of the page."""

    title: str
    png: bytes
    width: int
    height: int
    note: str = ""
    scale: Scale | None = None
    wide: bool = False


def picture(
    title: str, pixels: NDArray[np.uint8], *, note: str = "", scale: Scale | None = None, wide: bool = False
) -> Picture:
    """Return the picture of `pixels` uint8 `[H, W]` or `[H, W, 3]`."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    height, width = pixels.shape[:2]
    return Picture(title, file.getvalue(), width, height, note, scale, wide)


def grey(title: str, values: NDArray[np.floating], *, note: str = "") -> Picture:
    """Return the picture of `values` `[H, W]` or `[H, W, 1 or 3]` in [0, 1], clipped; NaN is black."""
    pixels = np.round(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)
    return picture(title, pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels, note=note)


def errors(title: str, error: NDArray[np.floating], *, unit: str = "", note: str = "") -> Picture:
    """Return the map of absolute errors `[H, W]`, from 0 to their `CLIPPED` percentile; NaN is grey."""
    known = error[np.isfinite(error)]
    largest = float(known.max()) if known.size else 0.0
    top = (float(np.percentile(known, CLIPPED)) if known.size else 0.0) or largest
    more = f" or more, at most {number(largest)}" if largest > top else ""
    scale = Scale(f"0{_with(unit)}", f"{number(top)}{_with(unit)}{more}", ERRORS)
    return picture(title, coloured(error, 0.0, top, ERRORS), note=note, scale=scale)


def levels(
    title: str, values: NDArray[np.floating], low: float, high: float, *, unit: str = "", note: str = ""
) -> Picture:
    """Return the map of `values` `[H, W]` between two levels; NaN is grey."""
    scale = Scale(f"{number(low)}{_with(unit)}", f"{number(high)}{_with(unit)}", VALUES)
    return picture(title, coloured(values, low, high, VALUES), note=note, scale=scale)


def signed(
    title: str, values: NDArray[np.floating], top: float, *, unit: str = "", note: str = ""
) -> Picture:
    """Return the map of `values` `[H, W]` from -top to top, white at 0; NaN is grey."""
    scale = Scale(f"{number(-top)}{_with(unit)}", f"{number(top)}{_with(unit)}", SIGNED)
    return picture(title, coloured(values, -top, top, SIGNED), note=note, scale=scale)


def coloured(
    values: NDArray[np.floating], low: float, high: float, colours: Sequence[Colour]
) -> NDArray[np.uint8]:
    """Return uint8 `[H, W, 3]`: `values` `[H, W]` on the way from `low` to `high` through `colours`."""
    span = high - low
    part = np.clip((values - low) / span, 0, 1) if span > 0 else np.zeros_like(values)
    stops = np.linspace(0, 1, len(colours))
    known = np.nan_to_num(part)
    channels = [np.interp(known, stops, [colour[c] for colour in colours]) for c in range(3)]
    pixels = np.round(np.stack(channels, axis=-1)).astype(np.uint8)
    pixels[~np.isfinite(values)] = 128
    return pixels


def factor_of(height: int, width: int, most: int = MOST_PIXELS) -> int:
    """Return the whole number by which a picture is reduced to at most `most` pixels a side."""
    return max(1, math.ceil(max(height, width) / most))


def block_means(
    rows: Callable[[int, int], NDArray[np.floating]], height: int, width: int, factor: int
) -> NDArray[np.float32]:
    """Return the means `[ceil(H / k), ceil(W / k), C]` of blocks of k x k pixels, smaller ones at the ends.

    Args:
        rows: of (first, last): the pixels `[last - first, W, C]` of those rows, so that only some are held.
        height, width: H and W.
        factor: k.
    """
    strips = []
    step = factor * max(1, (1 << 20) // max(1, width * factor))
    columns = np.arange(0, width, factor)
    for first in range(0, height, step):
        strip = np.asarray(rows(first, min(first + step, height)), dtype=np.float32)
        if factor > 1:
            lines = np.arange(0, len(strip), factor)
            sums = np.add.reduceat(np.add.reduceat(strip, lines, axis=0), columns, axis=1)
            tall = np.diff(np.append(lines, len(strip)))
            broad = np.diff(np.append(columns, width))
            strip = sums / (tall[:, None, None] * broad[None, :, None])
        strips.append(strip)
    return np.concatenate(strips)


def reduced_note(factor: int) -> str:
    """Return what a caption says of a reduced picture."""
    return "" if factor == 1 else f"shown at 1/{factor} of its size"


def number(value: float) -> str:
    """Return a number to three digits, or to one where those are more.

    >>> number(0.012345), number(1234.5), number(0.0), number(2.5e7)
    ('0.0123', '1,234', '0', '2.5e+07')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _with(unit: str) -> str:
    return f" {unit}" if unit else ""

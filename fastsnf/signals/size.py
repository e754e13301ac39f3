"""Picture sizes, width by height: parsing and crop geometry. Imports neither torch nor numpy."""

from __future__ import annotations

import re

from fastsnf.errors import InputError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels, as Pillow has them: pixel i covers [i, i + 1]."""


def parse_size(size: str | tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) of ``"WxH"`` or of a pair, both at least 1.

    >>> parse_size("512x384")
    (512, 384)
    """
    if isinstance(size, str):
        match = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", size)
        pair: tuple[object, ...] = (int(match[1]), int(match[2])) if match else ()
    else:
        pair = tuple(size) if isinstance(size, tuple | list) else ()
    match pair:
        case (int(width), int(height)) if not isinstance(width, bool) and width >= 1 and height >= 1:
            return width, height
    raise InputError(
        f"expected a size of two positive whole numbers, as in 512x384 (width x height); got {size!r}"
    )


def centre_crop(source: tuple[int, int], target: tuple[int, int]) -> Box:
    """Return the largest centred box of a (width, height) `source` with the aspect of `target`.

    The box may begin between two pixels, so that the aspect is met exactly (as in Pillow's ``ImageOps.fit``).
    """
    width, height = source
    scale = min(width / target[0], height / target[1])
    # A side that needs no crop is taken as it is: no rounding error may move its ends.
    crop_width = width if scale * target[0] > width - 1e-6 else scale * target[0]
    crop_height = height if scale * target[1] > height - 1e-6 else scale * target[1]
    left, top = (width - crop_width) / 2, (height - crop_height) / 2
    return left, top, left + crop_width, top + crop_height

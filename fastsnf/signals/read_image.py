"""Reading PNG, JPEG and TIFF files with Pillow; hostile and damaged files end in `InputError`."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from fastsnf.errors import InputError
from fastsnf.signals.decode_image import Decoder
from fastsnf.signals.native_messages import native_messages
from fastsnf.signals.opened import opened
from fastsnf.signals.picture import Picture
from fastsnf.signals.pillow import load_pillow

MAX_PIXELS = 89_478_485
"""Pictures beyond this are refused before their pixels are allocated, unless the caller raises the limit.

Pillow's own limit against decompression bombs: 256 MiB of 8-bit RGB.
"""

# Pillow's limits are global to the process; this lock keeps two reads from restoring each other's.
_LIMITS = threading.Lock()


def read_picture(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Picture:
    """Return the picture in a PNG, JPEG or TIFF file, upright (EXIF orientation applied).

    8-bit samples come out as uint8, 16-bit ones (gray or colour) as uint16, 32-bit float TIFF as float32 in
    [0, 1]. One bit becomes 0 or 255; palettes and CMYK become RGB by Pillow's conversion. Alpha and
    transparent colours become weights; 16-bit colours premultiplied by alpha come out as uint8. Of several
    frames or pages the first is read, and the picture says so.

    Args:
        path: a regular file; its content decides the format.
        max_pixels: refuse pictures of more pixels.

    Raises:
        InputError: no such file, not a picture of these kinds, damaged or truncated, too large, or empty.
    """
    name = os.fsdecode(path)
    if type(max_pixels) is not int or max_pixels < 1:
        raise InputError(f"expected max_pixels to be a positive whole number; got {max_pixels!r}")
    messages: list[str] = []
    with opened(name, "picture file") as file, _limits(max_pixels):
        # Of the three decoders libtiff alone prints its errors; they shall be part of ours.
        is_tiff = file.read(2) in (b"II", b"MM")
        try:
            with native_messages() if is_tiff else contextlib.nullcontext(messages) as messages:
                return Decoder(file, name, max_pixels).read()
        except InputError:
            raise
        # Pillow's decoders raise more than a dozen types on damaged data, from OSError to MemoryError.
        except Exception as cause:
            reason = " ".join((messages[0] if messages else str(cause)).split()) or type(cause).__name__
            raise InputError(
                f"expected a whole PNG, JPEG or TIFF picture; got {name!r}, which cannot be decoded "
                f"({reason}); the file is damaged or of another format"
            ) from cause


@contextlib.contextmanager
def _limits(max_pixels: int) -> Iterator[None]:
    """Hold Pillow to `max_pixels` and to whole files; its warnings about either become errors."""
    pillow = load_pillow()
    files: Any = import_module("PIL.ImageFile")
    with _LIMITS, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on odd metadata, which decoding does not depend on
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        before = pillow.MAX_IMAGE_PIXELS, files.LOAD_TRUNCATED_IMAGES
        pillow.MAX_IMAGE_PIXELS, files.LOAD_TRUNCATED_IMAGES = max_pixels, False
        try:
            yield
        finally:
            pillow.MAX_IMAGE_PIXELS, files.LOAD_TRUNCATED_IMAGES = before

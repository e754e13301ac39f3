"""Reading PNG, JPEG and TIFF files with Pillow; hostile and damaged files end in `InputError`."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.picture import Picture, picture_from_samples
from fastsnf.signals.pillow import load_pillow

FORMATS = ("PNG", "JPEG", "TIFF")
"""The only decoders ever tried: fewer parsers, less to attack. The content decides which, not the suffix."""

MAX_PIXELS = 89_478_485
"""Pictures beyond this are refused before their pixels are allocated, unless the caller raises the limit.

Pillow's own limit against decompression bombs: 256 MiB of 8-bit RGB.
"""

# Pillow has no 16-bit colour mode: it drops the low byte of each sample. Told the opposite byte order, the
# same decoder drops the high byte instead, so two passes give all 16 bits.
_OPPOSITE = "B" if sys.byteorder == "little" else "L"
_LOW_BYTES = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", _OPPOSITE))
}

_GRAY_ALPHA_16 = "LA;16B"  # PNG only; its four bytes a pixel are read at once, as if they were RGBA

# TIFF tags: bits of each channel, photometric interpretation (0: white is zero), planar configuration.
_BITS, _PHOTOMETRIC, _PLANAR = 258, 262, 284

_PNG_END = b"\xaeB`\x82"  # the checksum of the empty last chunk

# Values of the EXIF orientation tag (0x0112) and the transposition that undoes each.
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}

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
    with _opened(name) as file, _limits(max_pixels):
        try:
            return _Reader(file, name, max_pixels).read()
        except InputError:
            raise
        # Pillow's decoders raise more than a dozen types on damaged data, from OSError to MemoryError.
        except Exception as cause:
            reason = " ".join(str(cause).split()) or type(cause).__name__
            raise InputError(
                f"expected a whole PNG, JPEG or TIFF picture; got {name!r}, which cannot be decoded "
                f"({reason}); the file is damaged or of another format"
            ) from cause


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open the regular, non-empty file `name`; anything else is an `InputError`."""
    try:
        status = Path(name).stat()
        # Opening a pipe would wait for its writer.
        file = Path(name).open("rb") if stat.S_ISREG(status.st_mode) else None  # noqa: SIM115, closed below
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise InputError(
            f"expected a readable picture file; got {name!r}: {reason}; check the path"
        ) from cause
    if file is None:
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InputError(f"expected a picture file; got {name!r}, {what}; give the file itself")
    with file:
        if not status.st_size:
            raise InputError(
                f"expected a picture file; got {name!r}, which is empty; check how it was copied"
            )
        yield file


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


class _Reader:
    """Decodes one open file, perhaps in several passes over it."""

    def __init__(self, file: BinaryIO, name: str, max_pixels: int) -> None:
        self.file, self.name, self.max_pixels = file, name, max_pixels
        self.pillow = load_pillow()

    def read(self) -> Picture:
        """Decode the file: verify, choose the passes for its sample type, and collect samples and alpha."""
        image = self.header()
        source = f"{image.format} {image.mode}"
        many = bool(getattr(image, "is_animated", False))
        if image.format == "PNG":
            image.verify()  # every chunk's checksum, but for the last; decoding alone skips them
            if self.file.read(4) != _PNG_END:
                raise OSError("truncated PNG file")
            image = self.header()
        self.refuse_planes(image)
        white_is_zero = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0
        rawmode = _rawmode(image)
        if rawmode in _LOW_BYTES or rawmode == _GRAY_ALPHA_16:
            samples = self.wide_colour(rawmode)
            source += " 16-bit"
        else:
            samples = self.plain(image)
            if white_is_zero and samples.dtype.itemsize > 1:  # Pillow inverts up to 8 bits only
                samples = (65535 if samples.dtype.kind == "u" else 1) - samples
        samples = _with_colour_key(samples, image)
        return picture_from_samples(samples, source, many)

    def header(self) -> Any:
        """Return the lazily opened image, its size checked: no pixel is allocated yet."""
        self.file.seek(0)
        try:
            image = self.pillow.open(self.file, formats=FORMATS)
        except self.pillow.UnidentifiedImageError as cause:
            raise InputError(
                f"expected a {', '.join(FORMATS)} picture; got {self.name!r}, whose content is none of "
                "these, or a variant that Pillow does not read; convert it"
            ) from cause
        except (self.pillow.DecompressionBombError, self.pillow.DecompressionBombWarning) as cause:
            raise InputError(
                f"expected at most {self.max_pixels} pixels; got more in {self.name!r}; choose a smaller "
                "picture or, if you trust the file, raise max_pixels"
            ) from cause
        if min(image.size) < 1:
            raise InputError(f"expected a picture of at least one pixel; got {image.size} in {self.name!r}")
        return image

    def refuse_planes(self, image: Any) -> None:
        """Refuse TIFF layouts with one plane a channel, where Pillow returns wrong samples without a word."""
        if image.format != "TIFF" or image.tag_v2.get(_PLANAR) != 2:
            return
        bits = image.tag_v2.get(_BITS, (1,))
        if len(bits) > 1 and (max(bits) > 8 or image.mode not in ("RGB", "RGBA")):
            raise InputError(
                f"expected a TIFF with interleaved channels; got one plane a channel in {self.name!r}; "
                "convert it to interleaved (planar configuration 1) or to PNG"
            )

    def plain(self, image: Any) -> NDArray[Any]:
        """Decode in one pass; the samples fit one of Pillow's modes."""
        image = self.upright(image)
        has_key = "transparency" in image.info
        match image.mode:
            case "1":
                image = image.convert("L")
            case "L" if has_key:
                image = image.convert("LA")
            case "P" | "PA":
                image = image.convert("RGBA" if has_key or image.mode == "PA" else "RGB")
            case "RGB" if has_key:
                image = image.convert("RGBA")
            case "CMYK" | "YCbCr":
                image = image.convert("RGB")
            case "F" | "L" | "LA" | "RGB" | "RGBA" | "I;16" | "I;16B" | "I;16L":
                pass
            case mode:
                raise InputError(
                    f"expected gray, RGB, palette or CMYK samples of 1, 8 or 16 bits, or 32-bit float ones; "
                    f"got Pillow's mode {mode} in {self.name!r}; convert it"
                )
        return np.asarray(image)

    def wide_colour(self, rawmode: str) -> NDArray[Any]:
        """Decode 16-bit colour or gray and alpha, the high and the low bytes, into uint16 `[H, W, C]`."""
        if rawmode == _GRAY_ALPHA_16:
            raw = np.asarray(self.upright(self.header(), "RGBA")).astype(np.uint16)
            return raw[:, :, 0::2] << 8 | raw[:, :, 1::2]
        high = np.asarray(self.upright(self.header())).astype(np.uint16)
        low = np.asarray(self.upright(self.header(), _LOW_BYTES[rawmode])).astype(np.uint16)
        return high << 8 | low

    def upright(self, image: Any, rawmode: str | None = None) -> Any:
        """Decode the pixels, from `rawmode` if given, and turn them as the EXIF orientation says."""
        if rawmode is not None:
            image.tile = [_with_rawmode(tile, rawmode) for tile in image.tile]
        image.load()
        # TIFF images have been turned by Pillow and have no tag any more; in PNG it may follow the pixels.
        turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION))
        if turn is None:
            return image
        turned = image.transpose(self.pillow.Transpose[turn])
        turned.info = image.info
        return turned


def _raw_args(tile: Any) -> Any:
    """Return the raw mode in a decoder's tile: its arguments, or the first of them."""
    return tile.args[0] if isinstance(tile.args, tuple) else tile.args


def _with_rawmode(tile: Any, rawmode: str) -> Any:
    """Return the decoder's `tile` with another raw mode."""
    return tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)


def _rawmode(image: Any) -> str:
    """Return the raw mode that all tiles of an opened image share, or an empty string."""
    modes = {str(_raw_args(tile)) for tile in image.tile}
    return modes.pop() if len(modes) == 1 else ""


def _with_colour_key(samples: NDArray[Any], image: Any) -> NDArray[Any]:
    """Return 16-bit `samples` with the colour that PNG declares transparent turned into an alpha channel.

    Pillow applies the key itself where it knows the mode, that is to 8 bits.
    """
    key = image.info.get("transparency")
    if samples.dtype.kind != "u" or samples.dtype.itemsize != 2 or key is None:
        return samples
    colour = samples if samples.ndim == 3 else samples[:, :, None]
    alpha = np.where((colour == np.array(key)).all(axis=2, keepdims=True), 0, 65535).astype(np.uint16)
    return np.concatenate([colour.astype(np.uint16), alpha], axis=2)

"""Decoding PNG, JPEG and TIFF with Pillow, down to the last of 16 bits."""

from __future__ import annotations

import sys
import warnings
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.picture import Picture, picture_from_samples
from fastsnf.signals.pillow import load_pillow

FORMATS = ("PNG", "JPEG", "TIFF")
"""The only decoders ever tried: fewer parsers, less to attack. The content decides which, not the suffix."""

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
_BITS, _PHOTOMETRIC, _PLANAR, _TILE_WIDTH, _TILE_LENGTH = 258, 262, 284, 322, 323

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


class Decoder:
    """Decodes one open file, perhaps in several passes over it.

    Args:
        file: the open file.
        name: what the errors call it.
        max_pixels: refuse pictures of more pixels; Pillow must be held to the same limit (`read_picture`).
    """

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
        """Return the lazily opened image, its size and layout checked: no pixel is allocated yet."""
        self.file.seek(0)
        try:
            with warnings.catch_warnings(record=True) as remarks:
                warnings.simplefilter("always", UserWarning)
                warnings.simplefilter("error", self.pillow.DecompressionBombWarning)
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
        if image.format == "TIFF":
            self.check_tiff(image, [str(remark.message) for remark in remarks])
        return image

    def check_tiff(self, image: Any, remarks: list[str]) -> None:
        """Refuse TIFF files that Pillow would read wrongly or at any cost in memory.

        Args:
            image: the opened image.
            remarks: Pillow's warnings while it read the directory. It gives up at a damaged entry, libtiff
                goes on, and the checks here would not see the tags that libtiff obeys.
        """
        damage = next((text for text in remarks if "Corrupt" in text or "Truncated" in text), None)
        if damage is not None:
            raise OSError(damage)
        tile = image.tag_v2.get(_TILE_WIDTH, 0) * image.tag_v2.get(_TILE_LENGTH, 0)
        if tile > self.max_pixels:
            raise InputError(
                f"expected tiles of at most {self.max_pixels} pixels; got {tile} in {self.name!r}; "
                "the file is damaged or, if you trust it, raise max_pixels"
            )
        bits = image.tag_v2.get(_BITS, (1,))
        planes = image.tag_v2.get(_PLANAR) == 2 and len(bits) > 1
        # One plane a channel: Pillow returns wrong samples without a word, but for 8-bit colour.
        if planes and (max(bits) > 8 or image.mode not in ("RGB", "RGBA")):
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

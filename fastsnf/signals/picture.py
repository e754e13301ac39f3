"""Decoded pictures: samples as the source had them, a weight for each pixel; gray, crop and resize."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, unknown
from fastsnf.signals.pillow import load_pillow
from fastsnf.signals.size import Box, centre_crop

MODES = ("gray", "rgb")
"""What a picture can be turned into: one luminance channel, or red, green and blue."""

FLOAT_SLACK = 1e-6
"""How far a float sample may leave [0, 1]: rounding errors of a conversion are clipped, more is refused."""

# ITU-R 601 luminance in 16-bit fixed point, as Pillow's convert("L") has it.
_LUMINANCE = (19595, 38470, 7471)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        samples: `[H, W, C]` with C = 1 (gray) or 3 (RGB): uint8, uint16, or float32 in [0, 1].
        weights: float32 `[H, W]` in [0, 1], 0 where there is no picture; None when all are 1.
        source: what it came from, as Pillow names formats and modes, for the metadata.
        first_of_many: the file held more frames or pages, which were left alone.
    """

    samples: NDArray[Any]
    weights: NDArray[np.float32] | None
    source: str = "array"
    first_of_many: bool = False

    @property
    def maximum(self) -> float:
        """The sample that stands for 1: 255, 65535 or 1."""
        dtype = self.samples.dtype
        return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.samples.shape[1], self.samples.shape[0]

    def unit_values(self) -> NDArray[np.float32]:
        """Return the samples divided by `maximum`, float32 `[H, W, C]` in [0, 1]."""
        return self.samples.astype(np.float32) / np.float32(self.maximum)


def picture_from_samples(
    samples: NDArray[Any], source: str = "array", first_of_many: bool = False
) -> Picture:
    """Return the picture in an array; alpha and holes become weights.

    Args:
        samples: `[H, W]` or `[H, W, C]` of bool, uint8, uint16 or float; C = 1 gray, 2 gray and alpha,
            3 RGB, 4 RGB and alpha. Floats lie in [0, 1]; NaN marks holes: weight 0 and value 0.
        source: see `Picture`.
        first_of_many: see `Picture`.

    Raises:
        InputError: another shape, dtype or range, or no pixel left to fit.
    """
    if samples.ndim == 2:
        samples = samples[:, :, None]
    if samples.ndim != 3 or not 1 <= samples.shape[2] <= 4 or 0 in samples.shape:
        raise InputError(
            "expected a picture of shape [H, W] or [H, W, C] with at least one pixel and C = 1, 2 (gray and "
            f"alpha), 3 or 4 (RGB and alpha); got {list(samples.shape)}"
        )
    samples, weights = _split_holes(_plain_samples(samples))
    if samples.shape[2] in (2, 4):
        maximum = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1.0
        alpha = samples[:, :, -1].astype(np.float32) / np.float32(maximum)
        weights = alpha if weights is None else weights * alpha
        samples = samples[:, :, :-1]
    picture = Picture(np.ascontiguousarray(samples), None, source, first_of_many)
    return with_weights(picture, weights)


def with_weights(picture: Picture, weights: NDArray[Any] | None) -> Picture:
    """Return `picture` with its weights multiplied by `weights` `[H, W]` (bool or numbers in [0, 1])."""
    if weights is None:
        return picture
    expected = picture.samples.shape[:2]
    if weights.shape != expected or weights.dtype.kind not in "biuf":
        got = f"{weights.dtype} of shape {list(weights.shape)}"
        raise InputError(f"expected a mask of bools or of numbers, of shape {list(expected)}; got {got}")
    product = weights.astype(np.float32)
    if not ((product >= 0) & (product <= 1)).all():
        raise InputError(
            "expected a mask within [0, 1], 0 where there is no picture; got values outside, or NaN"
        )
    if picture.weights is not None:
        product = product * picture.weights
    if not product.any():
        raise InputError(
            "expected at least one pixel to fit; got a picture that is transparent, NaN or masked out "
            "everywhere"
        )
    return replace(picture, weights=None if (product == 1).all() else product)


def in_mode(picture: Picture, mode: str | None) -> Picture:
    """Return `picture` as ``"gray"`` (Pillow's L, at the source's bit depth) or ``"rgb"``."""
    if mode is not None and mode not in MODES:
        raise unknown("the mode", mode, MODES)
    samples = picture.samples
    channels = samples.shape[2]
    if mode == "gray" and channels == 3:
        if samples.dtype.kind == "u":
            # The sum stays below 2^32 for 16-bit samples too.
            luminance = samples.astype(np.uint32) @ np.array(_LUMINANCE, dtype=np.uint32)
            samples = ((luminance + 0x8000) >> 16).astype(samples.dtype)[:, :, None]
        else:
            gray = samples.astype(np.float64) @ (np.array(_LUMINANCE) / 65536)
            samples = gray.astype(np.float32)[:, :, None]
    elif mode == "rgb" and channels == 1:
        samples = np.repeat(samples, 3, axis=2)
    return replace(picture, samples=samples)


def resized(picture: Picture, size: tuple[int, int], squeeze: bool = False) -> Picture:
    """Return `picture` cropped to the aspect of `size` and resized with an antialiased Lanczos filter.

    Args:
        picture: the picture.
        size: (width, height) to reach.
        squeeze: resize the whole picture, without the crop.

    Opaque 8-bit pictures come out as Pillow's ``resize`` and ``ImageOps.fit`` make them. Where weights
    differ, colours are averaged with their weights, so that what is hidden does not bleed into what is seen.
    """
    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height)) if squeeze else centre_crop((width, height), size)
    if picture.size == size and box == (0, 0, width, height):
        return picture
    if picture.weights is None:
        return replace(picture, samples=_quantised(_resize(picture.samples, size, box), picture))
    weights = _resize(picture.weights[:, :, None], size, box)
    weighted = _resize(picture.samples * picture.weights[:, :, None], size, box)
    plain = _resize(picture.samples.astype(np.float32), size, box)
    # Below half of an 8-bit step of alpha the quotient is noise: such a pixel is not there.
    seen = weights >= 0.5 / 255
    samples = np.where(seen, weighted / np.where(seen, weights, 1), plain)
    weights = np.where(seen, np.minimum(weights, 1), 0)
    unweighted = replace(picture, samples=_quantised(samples, picture), weights=None)
    return with_weights(unweighted, weights[:, :, 0])


def _plain_samples(samples: NDArray[Any]) -> NDArray[Any]:
    """Return uint8, uint16 or float32 samples in the byte order of the machine; refuse other types."""
    kind, width = samples.dtype.kind, samples.dtype.itemsize
    if kind == "b":
        return samples.astype(np.uint8) * np.uint8(255)
    if kind == "f":
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes inf, which the range check refuses
            return samples.astype(np.float32)
    if kind == "u" and width in (1, 2):
        return samples.astype(np.uint8 if width == 1 else np.uint16)
    raise InputError(
        f"expected samples of uint8, uint16, float or bool; got {samples.dtype}; convert them first"
    )


def _split_holes(samples: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Check the range of float samples and return them without NaN, and the weights that NaN means."""
    if samples.dtype.kind != "f":
        return samples, None
    holes = np.isnan(samples)
    samples = np.where(holes, np.float32(0), samples)
    low, high = float(samples.min()), float(samples.max())
    if low < -FLOAT_SLACK or high > 1 + FLOAT_SLACK:
        raise InputError(
            f"expected float samples within [0, 1], or NaN for holes; got {low:g} to {high:g}; "
            "clip or rescale them"
        )
    weights = (~holes.any(axis=2)).astype(np.float32) if holes.any() else None
    return np.clip(samples, 0, 1), weights


def _resize(samples: NDArray[Any], size: tuple[int, int], box: Box) -> NDArray[Any]:
    """Resize each channel of `[H, W, C]`: bytes in Pillow's own 8-bit arithmetic, the rest in float32."""
    pillow = load_pillow()
    exact = samples.dtype == np.uint8
    planes = []
    for channel in np.moveaxis(samples if exact else samples.astype(np.float32), 2, 0):
        plane = pillow.fromarray(np.ascontiguousarray(channel))
        planes.append(np.asarray(plane.resize(size, pillow.Resampling.LANCZOS, box=box)))
    return np.stack(planes, axis=2)


def _quantised(samples: NDArray[Any], like: Picture) -> NDArray[Any]:
    """Return `samples` clipped to the range of a picture, in its sample type."""
    clipped = np.clip(samples, 0, like.maximum)
    return (np.rint(clipped) if like.samples.dtype.kind == "u" else clipped).astype(like.samples.dtype)

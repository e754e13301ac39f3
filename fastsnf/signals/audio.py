"""Sounds as signals: time in [-1, 1] -> one value in [-1, 1] for each channel."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.described import described
from fastsnf.signals.signal import Signal
from fastsnf.signals.sound.header import BITS
from fastsnf.signals.sound.read import MAX_SAMPLES, read_sound
from fastsnf.signals.sound.write import write_sound

MAX_RATE = 2**31 - 1
MAX_CHANNELS = 1024
"""What libsndfile takes."""


class Audio(Signal):
    """A sound of `shape` (n,) with C channels, its samples divided by the largest of them, max|x|.

    That is SIREN's normalisation (no mean is removed). The coordinate is t, ``linspace(-1, 1, n)`` with both
    ends: the first sample lies at -1, the last at 1, whatever the rate. Use `open` or `from_array`.

    Args:
        shape: (n,).
        out_features: C.
        values: float32 `[n, C]` in [-1, 1]; None when only described.
        weights: float32 `[n]`, or None.
        rate: samples a second of each channel.
        scale: max|x| at the source, by which the samples are divided.
        subtype: the type of a sample at the source, a key of `fastsnf.signals.sound.header.BITS`; decides how
            `write` quantises.
        source: the format at the source, for the metadata.
        start: where the sound begins in its file, in seconds, for the metadata.
    """

    kind: ClassVar[str] = "audio"
    default_name: ClassVar[str] = "reconstruction.wav"
    metrics: ClassVar[tuple[str, ...]] = ("snr",)
    unit: ClassVar[tuple[str, ...]] = ("time [s]",)
    sized_by: ClassVar[tuple[str, ...]] = ("rate", "scale")
    writes: ClassVar[tuple[str, ...]] = (".wav", ".flac")

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        values: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        rate: int,
        scale: float = 1.0,
        subtype: str = "FLOAT",
        source: str = "array",
        start: float = 0.0,
    ) -> None:
        super().__init__(shape, out_features, values, weights)
        if self.in_features != 1 or self.out_features > MAX_CHANNELS:
            raise InputError(
                f"expected a sound of shape (n,) with at most {MAX_CHANNELS} channels; "
                f"got {self.shape} with {out_features}"
            )
        if not (math.isfinite(scale) and scale > 0 and math.isfinite(start) and start >= 0):
            raise InputError(
                f"expected a scale above 0 and a start of 0 or more; got {scale!r} and {start!r}"
            )
        if subtype not in BITS:
            raise InputError(f"expected a sample type of {', '.join(BITS)}; got {subtype!r}")
        self.rate, self.scale = _checked_rate(rate), float(scale)
        self.subtype, self.source, self.start = subtype, source, float(start)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        channels: str | None = None,
        start: float | None = None,
        duration: float | None = None,
        max_samples: int = MAX_SAMPLES,
    ) -> Self:
        """Read a WAV (8 to 32 bits, float, double) or FLAC (8, 16, 24 bits) file; see `read_sound`.

        Args:
            path: the file; its content decides the format.
            channels: ``"mono"`` for the mean of the channels, as SIREN; by default as the file has them.
            start, duration: the part to read, in seconds; by default all. What is read is divided by its own
                max|x|.
            max_samples: sounds of more samples, all channels counted, are refused.

        Raises:
            InputError: the file is missing, damaged, cut short, silent, too long or of another kind, or an
                option is wrong.
        """
        if channels not in (None, "mono"):
            raise InputError(
                f"expected channels to be 'mono', or None as the file has them; got {channels!r}"
            )
        sound = read_sound(
            path, mono=channels == "mono", start=start, duration=duration, max_samples=max_samples
        )
        header, samples = sound.header, torch.from_numpy(sound.samples)
        return cls._normalised(
            samples,
            os.fsdecode(path),
            rate=header.rate,
            subtype=header.subtype,
            source=f"{header.container} {header.subtype}",
            start=sound.start / header.rate,
        )

    @classmethod
    def from_array(
        cls, samples: ArrayLike | Tensor, rate: int, *, subtype: str = "FLOAT", start: float = 0.0
    ) -> Self:
        """Return the sound in an array of `samples`, real `[n]` or `[n, C]`, at `rate` samples a second.

        Args:
            samples: of any range; they are divided by their max|x|.
            rate: samples a second.
            subtype: the type that `write` gives a sample, of `fastsnf.signals.sound.header.BITS`.
            start: where they begin, in seconds, for the metadata.

        Raises:
            InputError: another shape or dtype, no samples, NaN or infinity, or silence.
        """
        found = (
            samples.detach().cpu() if isinstance(samples, Tensor) else torch.as_tensor(np.asarray(samples))
        )
        if found.dim() not in (1, 2) or found.numel() == 0 or found.is_complex():
            raise InputError(f"expected real samples [n] or [n, C]; got {found.dtype} {list(found.shape)}")
        copy = found.reshape(len(found), -1).to(torch.float32, copy=True)
        return cls._normalised(copy, "array", rate=rate, subtype=subtype, start=start)

    @classmethod
    def _normalised(cls, samples: Tensor, name: str, **facts: Any) -> Self:
        """Return the sound of `samples`, float32 `[n, C]`, which are divided in place."""
        low, high = (float(end) for end in samples.aminmax())
        scale = max(-low, high)
        if not math.isfinite(scale):
            bad = samples.isfinite().logical_not().any(dim=1).nonzero()
            raise InputError(
                f"expected finite samples; got NaN or infinity at {len(bad)} of {len(samples)} times in "
                f"{name!r}, the first at sample {int(bad[0])}; repair the sound"
            )
        if not scale:
            raise InputError(
                f"expected a sound; got silence in {name!r}: all samples are 0, which no scale brings to 1"
            )
        samples /= scale
        return cls((len(samples),), samples.shape[1], samples, scale=scale, **facts)

    @property
    def duration(self) -> float:
        """How long the sound lasts in seconds, ``n / rate``; the last sample begins ``1 / rate`` before."""
        return self.shape[0] / self.rate

    def at_rate(self, rate: int) -> Self:
        """Return this sound at another rate, without its data: what a rendering at that rate is.

        Both ends stay where they are: it has ``round((n - 1) rate / own rate) + 1`` samples, so that the time
        between the first and the last is right to half a sample.

        >>> Audio((44101,), 1, rate=44100).at_rate(8000).shape
        (8001,)
        """
        steps = (2 * (self.shape[0] - 1) * _checked_rate(rate) + self.rate) // (2 * self.rate)
        return type(self)(
            (steps + 1,),
            self.out_features,
            rate=rate,
            scale=self.scale,
            subtype=self.subtype,
            source=self.source,
            start=self.start,
        )

    def to_coordinates(self, points: ArrayLike | Tensor) -> Tensor:
        """Return t, float32 `[..., 1]`, of `points` `[..., 1]` in seconds since the first sample.

        >>> Audio((44101,), 1, rate=44100).to_coordinates([[0.0], [0.25], [1.0]]).tolist()
        [[-1.0], [-0.5], [1.0]]
        """
        return self._grid.located(self._checked_points(points) * self.rate)

    def to_units(self, values: Tensor) -> Tensor:
        """Return `values` `[..., C]` of the field as samples of the source."""
        return values * self.scale

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: what `Signal.metadata` has, the rate, the ranges and the source."""
        return {
            **super().metadata(),
            "axes": ["time"],
            "rate": self.rate,
            "duration": self.duration,
            "range": [-1.0, 1.0],
            "divided_by": self.scale,
            "subtype": self.subtype,
            "source": self.source,
            "start": self.start,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the sound, without its values, that `metadata` describes."""
        return cls(
            described(metadata, cls.kind, "shape", list),
            described(metadata, cls.kind, "out_features", int),
            rate=described(metadata, cls.kind, "rate", int),
            scale=described(metadata, cls.kind, "divided_by", float),
            subtype=described(metadata, cls.kind, "subtype", str),
            source=described(metadata, cls.kind, "source", str),
            start=described(metadata, cls.kind, "start", float),
        )

    def to_array(self, values: Tensor | None = None, shape: Sequence[int] | None = None) -> np.ndarray:
        """Return the samples, float32 `[n, C]`, of `values` `[n, C]` (by default the sound's own).

        Values are clipped to [-1, 1] and multiplied by `scale`; NaN becomes 0.
        """
        values = self.values if values is None else values
        flat = self._checked_rendering(values, self.shape if shape is None else shape)
        return (flat.nan_to_num(nan=0.0).clamp(-1.0, 1.0) * self.scale).numpy()

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write the sound of `values` `[m, C]` with `shape` (m,) as WAV or FLAC, by the suffix.

        The rate is the sound's own for its own shape, else the whole number nearest to
        ``(m - 1) rate / (n - 1)``, with which it lasts as long; for a certain rate, write through `at_rate`.
        Samples are those of `to_array`, in the type of the source (16 bits for 8; FLAC holds at most 24); the
        file is complete or absent, never partial.

        Raises:
            InputError: another suffix, shapes that do not agree, what the format cannot hold, or a place that
                cannot be written.
            RunError: the disk is full or failed.
        """
        samples = self.to_array(values, shape)
        own, count = self.shape[0], len(samples)
        rate = self.rate if count == own or own == 1 else max(1, round((count - 1) * self.rate / (own - 1)))
        write_sound(samples, rate, self.subtype, path)


def _checked_rate(rate: int) -> int:
    """Return `rate`, or raise `InputError`."""
    if type(rate) is not int or not 1 <= rate <= MAX_RATE:
        raise InputError(f"expected a rate of 1 to {MAX_RATE} whole samples a second; got {rate!r}")
    return rate

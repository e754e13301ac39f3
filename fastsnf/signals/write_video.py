"""Writing videos with PyAV: the suffix chooses the codec, and the file appears whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, RunError
from fastsnf.signals.atomic import atomic_write
from fastsnf.signals.optional import require


@dataclass(frozen=True)
class Encoder:
    """How a suffix is written: the muxer, the codecs in the order in which they are tried, and pixels.

    Attributes:
        muxer: FFmpeg's name of the container.
        codecs: the first that the installed FFmpeg has is taken, with its options.
        lossless: samples come back bit for bit.
    """

    muxer: str
    codecs: dict[str, dict[str, str]] = field(default_factory=dict)
    lossless: bool = False


_H264 = {"libx264": {"crf": "12"}, "mpeg4": {"qmin": "2", "qmax": "2"}}

ENCODERS: dict[str, Encoder] = {
    ".mp4": Encoder("mp4", _H264),
    ".mov": Encoder("mov", _H264),
    ".webm": Encoder("webm", {"libvpx-vp9": {"crf": "15", "b": "0"}}),
    ".mkv": Encoder("matroska", {"ffv1": {"level": "3", "slicecrc": "1"}}, lossless=True),
    ".avi": Encoder("avi", {"ffv1": {"level": "3", "slicecrc": "1"}}, lossless=True),
}
"""What each suffix is written as. `.mkv` and `.avi` hold the samples as they are (FFV1, with checksums)."""


def write_video(samples: NDArray[np.uint8], rate: Fraction, path: str | os.PathLike[str]) -> None:
    """Write `samples`, uint8 `[T, H, W, C]` with C = 1 or 3, at `rate` frames a second.

    Args:
        samples: the frames.
        rate: frames a second.
        path: the file; its suffix is one of `ENCODERS`.

    Raises:
        InputError: another suffix, PyAV or the codec is missing, a place that cannot be written, or frames
            that the codec does not take.
        RunError: the disk is full or failed.
    """
    path = Path(path)
    encoder = ENCODERS.get(path.suffix.lower())
    if encoder is None:
        raise InputError(
            f"expected a video file ending in {', '.join(ENCODERS)}, or .npz; got {str(path)!r}; name it so"
        )
    av = require("av", "video", "video files")
    codec, options = _codec(av, encoder)
    with atomic_write(path) as file:
        try:
            with av.open(file, mode="w", format=encoder.muxer) as container:
                _encode(av, container, codec, options, encoder.lossless, samples, rate)
        except (InputError, RunError):
            raise
        except OSError as cause:
            if cause.errno in _OF_THE_CODEC:
                raise _refused(samples, codec, cause) from cause
            raise
        except Exception as cause:
            raise _refused(samples, codec, cause) from cause


_OF_THE_CODEC = frozenset((None, 22))
"""EINVAL, FFmpeg's answer to a size that the codec does not take, and errors of FFmpeg's own."""


def _refused(samples: NDArray[np.uint8], codec: str, cause: BaseException) -> InputError:
    frames, height, width, _ = samples.shape
    return InputError(
        f"expected frames that {codec} can hold; got {frames} of {width}x{height} ({cause}); "
        "write .mkv or .npz instead"
    )


def _codec(av: Any, encoder: Encoder) -> tuple[str, dict[str, str]]:
    """Return the first codec of `encoder` that the installed FFmpeg has."""
    for name, options in encoder.codecs.items():
        try:
            av.codec.Codec(name, "w")
        except ValueError:  # PyAV's UnknownCodecError
            continue
        return name, options
    wanted = " or ".join(encoder.codecs)
    raise InputError(f"expected a PyAV with the codec {wanted}; got one without; write .npz instead")


def _encode(
    av: Any,
    container: Any,
    codec: str,
    options: dict[str, str],
    lossless: bool,
    samples: NDArray[np.uint8],
    rate: Fraction,
) -> None:
    _, height, width, channels = samples.shape
    stream = container.add_stream(codec, rate=rate, options=dict(options))
    stream.width, stream.height = width, height
    if lossless:
        stream.pix_fmt = "gray" if channels == 1 else "bgr0"
    else:  # the format of every player has one colour for 2x2 pixels
        stream.pix_fmt = "yuv420p" if codec == "mpeg4" or not (width % 2 or height % 2) else "yuv444p"
    layout = "gray" if channels == 1 else "rgb24"
    for picture in samples:
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(picture[:, :, 0] if channels == 1 else picture), format=layout
        )
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))

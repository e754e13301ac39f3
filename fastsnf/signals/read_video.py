"""Reading video files with PyAV: every frame decoded and counted; damage that FFmpeg sees is an `InputError`.

What cannot be seen: H.264 in MP4 has no checksum, so that a flipped bit may decode to another picture without
an error. FFV1, in which `fastsnf.signals.write_video` writes ``.mkv``, has one in every slice.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, check_whole
from fastsnf.signals.faults import reading
from fastsnf.signals.frame_range import FrameRange
from fastsnf.signals.opened import opened
from fastsnf.signals.optional import require
from fastsnf.signals.picture import Picture, in_mode, resized
from fastsnf.signals.video_length import check_length

MAX_PIXELS = 1 << 28
"""Pixels of all frames together beyond which a video is refused: 768 MiB of colour."""

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""The only demuxers ever tried, as FFmpeg names them. The content decides which, not the suffix."""

_MARGIN = 1 << 20
"""Pixels that a decoder may have beyond twice the limit, around tiny pictures."""

_OPEN = {
    "format_whitelist": FORMATS,
    "protocol_whitelist": "file",  # of references to other files: none is followed, see `enable_drefs`
    "enable_drefs": "0",
    "ignore_editlist": "1",  # else frames that the container counts are dropped
    "err_detect": "crccheck+bitstream+buffer+explode",
}
_DECODE = {"err_detect": "crccheck+bitstream+buffer+explode", "ec": "0"}


@dataclass(frozen=True)
class Film:
    """Decoded frames.

    Attributes:
        samples: uint8 `[T, H, W, C]`, C = 1 or 3.
        rate: frames a second of the file, all of them counted.
        picked: which of them these are.
        source: container and codec, for the metadata.
    """

    samples: NDArray[np.uint8]
    rate: Fraction
    picked: FrameRange
    source: str


def read_video(
    path: str | os.PathLike[str],
    *,
    picked: FrameRange | None = None,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Film:
    """Return the frames of the first picture stream of an MP4, MOV, Matroska, WebM or AVI file, upright.

    Args:
        path: a regular file.
        picked: which frames; None for all. Later frames are not decoded, so not checked either.
        size: (width, height) to crop and resize each frame to, as `fastsnf.signals.picture.resized` does.
        mode: ``"gray"`` or ``"rgb"``; by default as the file has it.
        max_pixels: refuse more pixels of all frames together, and single frames of more.

    Raises:
        InputError: PyAV is missing; no such file, not a video, damaged or truncated as far as the format
            lets it be seen, too large, or without the frames asked for.
    """
    name = os.fsdecode(path)
    check_whole("max_pixels", max_pixels, 1)
    av = require("av", "video", "video files")
    with (
        opened(name, "video file") as file,
        reading(name, "MP4, MOV, MKV, WebM or AVI"),
        _complaints(av) as said,
        av.open(file, mode="r", options=dict(_OPEN)) as container,
    ):
        check_length(file, container, name)
        return _Reader(container, name, picked or FrameRange(), size, mode, max_pixels, said).read()


class _Reader:
    """Decodes one open container."""

    def __init__(
        self,
        container: Any,
        name: str,
        picked: FrameRange,
        size: tuple[int, int] | None,
        mode: str | None,
        max_pixels: int,
        complaints: list[Any],
    ) -> None:
        self.container, self.name, self.picked = container, name, picked
        self.size, self.mode, self.max_pixels = size, mode, max_pixels
        self.complaints = complaints
        self.buffer = bytearray()  # grows by doubling: the count of frames in a header is not trusted
        self.shape: tuple[int, ...] = ()
        self.side: tuple[int, int] | None = None
        self.frames = 0
        self.end = Fraction(0)

    def read(self) -> Film:
        stream = self._stream()
        complete = True
        for number, frame in enumerate(self._decoded(stream)):
            if self.picked.last is not None and number >= self.picked.last:
                complete = False
                break
            self.frames = number + 1
            self._check(frame)
            if number in self.picked:
                self._add(frame)
        if complete:
            self._check_count(stream)
        if not self.buffer:
            raise InputError(
                f"expected the frames {self.picked} of {self.name!r}; got {self.frames} frames; pick others"
            )
        samples = np.frombuffer(self.buffer, dtype=np.uint8).reshape(-1, *self.shape)
        codec = f"{self.container.format.name.split(',')[0]} {stream.codec_context.name}"
        return Film(samples, self._rate(stream), replace(self.picked, last=None), codec)

    def _stream(self) -> Any:
        """Return the picture stream, set to stop at damage, its size and count checked."""
        if not self.container.streams.video:
            raise InputError(f"expected a video; got {self.name!r}, which has no picture stream")
        stream = self.container.streams.video[0]
        context = stream.codec_context
        pixels = context.width * context.height
        self._limit(pixels)
        if self.size is not None:
            pixels = self.size[0] * self.size[1]
        self._limit(pixels * len(self.picked.of(stream.frames)))
        # A frame whose own header says another size than the container's is stopped within the decoder too,
        # which counts the pixels around a picture as well.
        most = min(2 * self.max_pixels + _MARGIN, 2**31 - 1)
        context.options = {**_DECODE, "max_pixels": str(most)}
        context.thread_count = 1  # what other threads of FFmpeg say is not heard
        return stream

    def _decoded(self, stream: Any) -> Iterator[Any]:
        for packet in self.container.demux(stream):
            if packet.is_corrupt:
                raise InputError(f"expected a whole video; got {self.name!r}, damaged at frame {self.frames}")
            frames = packet.decode()
            # A wrong checksum, for one, is told and no more: the frame comes as if nothing were.
            if self.complaints:
                reason = " ".join(str(self.complaints[0][2]).split())
                raise InputError(
                    f"expected a whole video; got {self.name!r}, damaged near frame {self.frames} ({reason})"
                )
            yield from frames

    def _check(self, frame: Any) -> None:
        side = frame.width, frame.height
        if frame.is_corrupt or (self.side is not None and side != self.side):
            raise InputError(
                f"expected whole frames of one size; got {self.name!r}, damaged at frame {self.frames - 1}"
            )
        self.side = side
        self._limit(side[0] * side[1])
        if frame.pts is not None and frame.time_base:
            self.end = max(self.end, (frame.pts + (frame.duration or 0)) * frame.time_base)

    def _add(self, frame: Any) -> None:
        gray = frame.format.name.startswith("gray")
        samples = frame.to_ndarray(format="gray" if gray else "rgb24")
        turns = round(frame.rotation / 90) % 4
        picture = Picture(
            np.ascontiguousarray(np.rot90(samples.reshape(*samples.shape[:2], -1), turns)), None
        )
        picture = in_mode(picture, self.mode)
        if self.size is not None:
            picture = resized(picture, self.size)
        self.shape = picture.samples.shape
        self.buffer += picture.samples.tobytes()
        self._limit(len(self.buffer) // self.shape[-1])

    def _limit(self, pixels: int) -> None:
        if pixels > self.max_pixels:
            raise InputError(
                f"expected a video of at most {self.max_pixels} pixels in all frames together; got {pixels} "
                f"or more in {self.name!r}; pick frames, ask for a smaller size, or raise max_pixels"
            )

    def _check_count(self, stream: Any) -> None:
        """Raise unless all the frames that the container states were decoded."""
        if stream.frames and self.frames != stream.frames:
            raise InputError(
                f"expected the {stream.frames} frames that {self.name!r} states; got {self.frames}; "
                "the file is damaged or cut short"
            )
        rate = stream.average_rate
        stated = _stated_end(stream, self.container)
        if not stream.frames and stated and rate and self.end < stated - Fraction(1, 2) / rate:
            raise InputError(
                f"expected {float(stated):.3f} s of pictures, as {self.name!r} states; got "
                f"{float(self.end):.3f} s; the file is damaged or cut short"
            )

    def _rate(self, stream: Any) -> Fraction:
        rate = stream.average_rate or stream.guessed_rate
        if not rate or not 0 < rate < 10**6:
            raise InputError(f"expected a video with a frame rate; got {self.name!r} without; convert it")
        return Fraction(rate)


def _stated_end(stream: Any, container: Any) -> Fraction | None:
    """Return when the last picture ends, in seconds, where the container states it: Matroska's tags."""
    text = stream.metadata.get("DURATION", "")
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except ValueError:
        pass
    if len(container.streams) == 1 and container.duration:
        return Fraction(container.duration, 1_000_000)
    return None


@contextlib.contextmanager
def _complaints(av: Any) -> Iterator[list[Any]]:
    """Collect what FFmpeg calls errors in this thread while the block runs, as (level, part, message)."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        av.logging.set_level(before)

"""Whether a video file is as long as its container says: what FFmpeg passes over when a file is cut short."""

from __future__ import annotations

from typing import Any, BinaryIO

from fastsnf.errors import InputError

_BOXES = 1 << 20
"""Parts of a file that are looked at, at most."""


def check_length(file: BinaryIO, container: Any, name: str) -> None:
    """Raise `InputError` unless the outermost parts of an MP4, MOV or AVI file end where the file does.

    Both are rows of parts with their sizes, boxes in one (ISO/IEC 14496-12, 4.2), RIFF chunks in the other.
    A file cut between two of them lacks a whole part, which FFmpeg does see. Matroska is left to the duration
    that it states.
    """
    formats = container.format.name.split(",")
    if not {"mov", "avi"} & set(formats):
        return
    place = file.tell()
    try:
        size = file.seek(0, 2)
        end = _end_of_boxes(file, size) if "mov" in formats else _end_of_chunks(file, size)
    finally:
        file.seek(place)
    if end != size:
        raise InputError(
            f"expected a file of {end} bytes, as its parts say; got {name!r} of {size}; "
            "the file is damaged or cut short"
        )


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Return where the last box of a file of `size` bytes ends."""
    place = 0
    for _ in range(_BOXES):
        file.seek(place)
        head = file.read(16)
        if place == size or len(head) < 8:
            break
        length = int.from_bytes(head[:4], "big")
        if length == 0:  # up to the end of the file
            return size
        length = int.from_bytes(head[8:16], "big") if length == 1 else length
        if length < 8:
            return place
        place += length
        if place > size:
            return place
    return place if place == size else place + 8


def _end_of_chunks(file: BinaryIO, size: int) -> int:
    """Return where the last RIFF chunk of a file of `size` bytes ends."""
    place = 0
    for _ in range(_BOXES):
        file.seek(place)
        head = file.read(8)
        if place >= size or len(head) < 8:
            break
        length = int.from_bytes(head[4:8], "little")
        place += 8 + length + length % 2
        if place > size:
            return place - (length % 2 if place == size + 1 else 0)
    return place if place == size else place + 8

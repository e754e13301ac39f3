"""Whether a FLAC file without an MD5 of its samples has more of them than its header says."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from fastsnf.signals.sound.header import Header, damaged

_COUNT = slice(21, 26)
"""The bytes of a file whose last 36 bits are the number of frames."""
_BLOCK = 1 << 16


class _OneMore:
    """A file whose header promises one frame more: libsndfile reads no further than it promises.

    Read at places of its own, whatever the offset of the descriptor, which libsndfile has moved.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor, self._place = file.fileno(), 0
        self._size = os.fstat(self._descriptor).st_size
        count = os.pread(self._descriptor, _COUNT.stop - _COUNT.start, _COUNT.start)
        self._count = (int.from_bytes(count, "big") + 1).to_bytes(len(count), "big")

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        start = self._place
        data = bytearray(os.pread(self._descriptor, self._size if size < 0 else size, start))
        for place, octet in zip(range(_COUNT.start, _COUNT.stop), self._count, strict=True):
            if start <= place < start + len(data):
                data[place - start] = octet
        self._place += len(data)
        return bytes(data)


def check_no_more(soundfile: Any, file: BinaryIO, name: str, header: Header) -> None:
    """Raise `InputError` for a file that goes on behind the frames that its header promises.

    Decodes the file once more: its own length is all that tells a shorter sound where there is no MD5.
    """
    if header.frames == (1 << 36) - 1:
        return  # as many as can be said
    found = 0
    with soundfile.SoundFile(_OneMore(file)) as decoder:
        try:
            while found <= header.frames:
                block = decoder.read(min(_BLOCK, header.frames + 1 - found), dtype="int32", always_2d=True)
                if not len(block):
                    return
                found += len(block)
        except soundfile.LibsndfileError:  # there is no such frame
            return
    raise damaged(name, f"{header.frames} frames, as its header says", "more")

"""The pictures that the user has, those of the Kodak set by the papers' names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fastsnf.errors import InputError
from fastsnf.signals import Image
from fastsnf.signals.kinds import FILE_KINDS
from fastsnf.studies.files import digest_of_file

NAMES = tuple(f"kodim{number:02}" for number in range(1, 9))
"""The paper's pictures, Kodak1 to Kodak8."""

SHAPE = (512, 768)
"""Rows and columns of the paper's pictures, some of which are upright."""

NO_DATA = "no data: give --data PATH, a folder with kodim01.png to kodim08.png, or one picture"


@dataclass(frozen=True)
class Picture:
    """A picture: its name, and where it is, the digest of the file, rows and columns; None without data."""

    name: str
    path: Path | None = None
    digest: str | None = None
    shape: tuple[int, int] | None = None

    def groups(self, side: int) -> int:
        """Return how many groups of so many pixels a side it has, those at the borders included.

        Raises:
            InputError: for a group larger than the picture.
        """
        shape = self.shape or SHAPE
        if side > min(shape):
            raise InputError(
                f"expected groups within {self.name}, {shape[1]}x{shape[0]} pixels; got {side}x{side}"
            )
        return math.prod(-(-length // side) for length in shape)


def pictures(data: str | None, most: int, size: str | None = None, *, mode: str = "rgb") -> list[Picture]:
    """Return the pictures to fit: a file, the first `most` of a folder, or without data those of the paper.

    Args:
        data: the path. most: of a folder. size: to which every picture will be cropped and resized.
        mode: ``rgb`` or ``gray``, in which it will be read.

    Raises:
        InputError: for a path that does not exist or holds no picture, and a picture that cannot be read.
    """
    if data is None:
        return [Picture(name) for name in NAMES[:most]]
    path = Path(data)
    if path.is_file():
        return [_picture(path, size, mode)]
    if not path.is_dir():
        raise InputError(f"expected --data to be a picture or a folder of them; got {data!r}: check the path")
    found = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in FILE_KINDS["image"])
    if not found:
        raise InputError(f"expected pictures (png, jpg, tif) in {data!r}; got none: choose another folder")
    return [_picture(entry, size, mode) for entry in found[:most]]


def path_of(found: Iterable[Picture], name: str) -> Path:
    """Return where the picture called `name` is; a row without data does not run, so it is somewhere."""
    path = next(picture.path for picture in found if picture.name == name)
    assert path is not None, f"{name} has no data"
    return path


def _picture(path: Path, size: str | None, mode: str) -> Picture:
    height, width = Image.open(path, mode=mode, size=size).shape
    return Picture(path.stem, path, digest_of_file(path), (height, width))

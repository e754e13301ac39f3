"""Zip archives: npz files, zarr stores, or one file of an array. Nothing is ever unpacked under its name."""

from __future__ import annotations

import contextlib
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

from fastsnf.errors import InputError
from fastsnf.signals.arrays.limits import MAX_ENTRIES
from fastsnf.signals.arrays.source import Source
from fastsnf.signals.arrays.unnamed import expanded

MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

INNER = (".npy", ".mat", ".h5", ".hdf5", ".nrrd")
"""What a zip may hold one of."""

ZARR = ("zarr.json", ".zarray", ".zgroup")
"""Files that say that a folder or an archive is a zarr store."""

_END_BYTES = (1 << 16) + 200
"""An archive's end, with the longest comment."""

MAX_MEMBERS = 2_000_000
"""Members of an archive: chunks of a zarr store."""


@contextlib.contextmanager
def archive_of(source: Source) -> Iterator[zipfile.ZipFile]:
    """Open the zip `source`; raise `InputError` for names, links or numbers of members that are unsafe."""
    with zipfile.ZipFile(source.file) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
            raise ValueError(f"{len(names)} members, some of one name or too many")
        if _promised(source) != len(names):
            raise ValueError(f"{len(names)} members, where its end promises {_promised(source)}")
        for member in members:
            _check_member(source.name, member)
        yield archive


def _promised(source: Source) -> int:
    """Return how many members the end of an archive promises; zipfile does not look."""
    source.file.seek(max(0, source.size - _END_BYTES))
    end = source.file.read(_END_BYTES)
    place = end.rfind(b"PK\x05\x06")
    (count,) = struct.unpack_from("<H", end, place + 10)
    large = end.rfind(b"PK\x06\x06", 0, place)
    return int(struct.unpack_from("<Q", end, large + 32)[0]) if large >= 0 and count == 0xFFFF else int(count)


def _check_member(path: str, member: zipfile.ZipInfo) -> None:
    """Raise `InputError` for a member that is a link, encrypted, or named out of the archive."""
    name = member.orig_filename  # zipfile ends its own at a NUL
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or "\0" in name or ":" in name.split("/")[0]:
        raise InputError(
            f"expected an archive whose members stay within it; got {name!r} in {path!r}; do not trust it"
        )
    if member.is_dir() and member.file_size:
        raise ValueError(f"a folder {name!r} of {member.file_size} bytes")
    mode = member.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"expected plain files in an archive; got the link or device {name!r} in {path!r}")
    if member.flag_bits & 1:
        raise InputError(f"expected an archive without a password; got {name!r} in {path!r}; unpack it first")


@contextlib.contextmanager
def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """Open a member for reading; its checksum is verified at its end."""
    with archive.open(member) as stream:
        yield stream


def kind_of_archive(source: Source, archive: zipfile.ZipFile) -> str:
    """Return what a zip holds: ``"npz"``, ``"zarr"`` or ``"file"``, or raise `InputError`."""
    names = [member.filename for member in archive.infolist() if not member.is_dir()]
    if any(PurePosixPath(name).name in ZARR for name in names):
        return "zarr"
    if names and all(name.endswith(".npy") for name in names) and len(names) <= MAX_ENTRIES:
        return "npz"
    if len(_inner(archive)) == 1:
        return "file"
    shown = ", ".join(repr(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")
    raise InputError(
        f"expected an archive of one array file ({' '.join(INNER)}), of npy files or of a zarr store; got "
        f"{len(names)} files in {source.name!r} ({shown}); unpack it and name the file"
    )


def inner_file(source: Source, archive: zipfile.ZipFile) -> Source:
    """Return the only array file of an archive, expanded."""
    (member,) = _inner(archive)
    with open_member(archive, member) as stream:
        return expanded(stream, member.file_size, source)


def _inner(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members that are files of arrays; what macOS adds is none."""
    return [
        member
        for member in archive.infolist()
        if PurePosixPath(member.filename).suffix.lower() in INNER
        and not member.filename.startswith("__MACOSX/")
        and not member.is_dir()
    ]

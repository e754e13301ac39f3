"""Bit grids in files: built once, checked whenever they are opened, never half-used.

A grid is two files: ``NAME.bits``, the octets alone, and ``NAME.bits.json``, written last, which says their
shape, their SHA-256 and what they were made from. Bits without a sidecar that fits are built again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, RunError
from fastsnf.signals.atomic import disk_errors, replacing
from fastsnf.signals.bit_sidecar import as_json, damaged, read_sidecar, sidecar_of, write_sidecar
from fastsnf.signals.bits import BitGrid, checked_voxels, octets_of, packed_octets
from fastsnf.signals.progress import Progress

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_NO_PREALLOCATION = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

Slabs = Callable[[], Iterable[NDArray[Any]]]
"""Returns the voxels of a grid in order, see `build`."""


def packed(path: str | os.PathLike[str], facts: Mapping[str, Any] | None = None) -> BitGrid:
    """Return the grid in a bit file, mapped; its size and SHA-256 are those of its sidecar.

    Args:
        path: the file that `build` wrote.
        facts: what it must have been made from; None for anything.

    Raises:
        InputError: a file or its sidecar is missing, damaged, or of something else.
        RunError: the process may not map so much.
    """
    path = Path(path)
    sidecar = read_sidecar(path)
    if facts is not None and sidecar["facts"] != as_json(facts):
        raise damaged(path, "it was made from something else")
    shape, sha256 = tuple(sidecar["shape"]), sidecar["sha256"]
    size = octets_of(math.prod(shape))
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise damaged(path, f"{found} octets instead of {size}")
            if _sha256(file) != sha256:
                raise damaged(path, "its SHA-256 is not that of its sidecar")
            # Private, so that a stray write could never reach the file; pages that nobody writes are shared.
            octets = np.memmap(file, dtype=np.uint8, mode="c", shape=(size,))
    except OSError as cause:
        if cause.errno == errno.ENOMEM:
            raise RunError(
                f"expected {size} bytes of address space to map {str(path)!r}; got: {cause.strerror}; "
                "raise the limit (ulimit -v)"
            ) from cause
        raise damaged(path, cause.strerror or str(cause)) from cause
    return BitGrid(shape, np.asarray(octets), path, mapped=True, sha256=sha256)


def notes_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the notes that were given to `build` with the bit file `path`; raises as `packed`."""
    return read_sidecar(Path(path))["notes"]


def build(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    slabs: Slabs,
    facts: Mapping[str, Any],
    progress: Progress | None = None,
    *,
    notes: Callable[[], Mapping[str, Any]] = dict,
) -> BitGrid:
    """Return the grid in the bit file `path`, built from `slabs` unless it is there already.

    Two processes that build one file take turns: the second finds it done. What a process that died has
    left is swept away, and space for the whole file is reserved before the work begins.

    Args:
        path: the file; its folder exists.
        shape: voxels along each axis.
        slabs: returns the voxels in order: bool arrays of any size, or uint8 ones of packed octets of which
            all but the last are whole.
        facts: what they are made from, JSON-able; a file of other facts is built again.
        progress: called as the work goes on.
        notes: called once the voxels are written: what else to keep beside them, JSON-able, for `notes_of`.

    Raises:
        InputError: the folder cannot be written, or `slabs` raises it.
        RunError: no space or a failing disk, nothing is left behind; or `slabs` raises it.
    """
    path, facts = Path(path), as_json(facts)
    shape = checked_voxels(shape)
    with _disk_errors(path), _locked(path) as alone:
        with contextlib.suppress(InputError):
            return packed(path, facts)
        if alone:
            _sweep(path)
        sidecar_of(path).unlink(missing_ok=True)  # first: at no time may it describe other bits
        try:
            with replacing(path) as file:
                sha256 = _fill(file, shape, slabs, progress)
            sidecar = {"shape": list(shape), "sha256": sha256, "facts": facts, "notes": as_json(notes())}
            write_sidecar(path, sidecar)
        except BaseException:
            path.unlink(missing_ok=True)  # without a sidecar nobody would use it
            raise
        return packed(path, facts)


def build_unnamed(
    folder: Path,
    shape: Sequence[int],
    slabs: Slabs,
    progress: Progress | None = None,
) -> BitGrid:
    """Return a grid in a file of `folder` that has no name and goes with the last who maps it.

    For voxels that no file describes, so that nobody could find them again; arguments and errors are those
    of `build`.
    """
    shape = checked_voxels(shape)
    with _disk_errors(folder / "unnamed"), tempfile.TemporaryFile(dir=folder) as file:
        sha256 = _fill(file, shape, slabs, progress)
        octets = np.memmap(file, dtype=np.uint8, mode="c")
    return BitGrid(shape, np.asarray(octets), mapped=True, sha256=sha256)


def unnamed(folder: Path, shape: Sequence[int]) -> BitGrid:
    """Return an empty grid in a file like that of `build_unnamed`, whose octets are to be written.

    Raises:
        InputError: the folder cannot be written.
        RunError: no space: its lack would end the process later.
    """
    size = octets_of(math.prod(checked_voxels(shape)))
    with _disk_errors(folder / "unnamed"), tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file, size)
        file.truncate(size)
        octets = np.memmap(file, dtype=np.uint8, mode="r+", shape=(size,))
    return BitGrid(shape, np.asarray(octets), mapped=True)


def filled(shape: Sequence[int], slabs: Slabs, progress: Progress | None = None) -> BitGrid:
    """Return a grid in memory, filled from `slabs`; arguments as those of `build`."""
    grid, done = BitGrid.zeros(shape), 0
    for octets in _octets(slabs()):
        part = grid.octets[done : done + len(octets)]
        part[:] = octets[: len(part)]
        done += len(octets)
        if progress is not None:
            progress(min(8 * done, grid.size), grid.size)
    _check_length(done, grid.size)
    return grid


def _fill(file: IO[bytes], shape: tuple[int, ...], slabs: Slabs, progress: Progress | None) -> str:
    """Write the octets of `slabs` to an open `file` and return their SHA-256."""
    points, done, hasher = math.prod(shape), 0, hashlib.sha256()
    size = octets_of(points)
    _reserve(file, size)
    for octets in _octets(slabs()):
        done += len(octets)
        if done > size:
            break
        file.write(octets.data)
        hasher.update(octets.data)
        if progress is not None:
            progress(min(8 * done, points), points)
    _check_length(done, points)
    file.flush()
    return hasher.hexdigest()


def _check_length(octets: int, points: int) -> None:
    if octets != octets_of(points):
        raise InputError(
            f"expected slabs of {points} voxels, {octets_of(points)} octets; got {octets} octets"
        )


def _octets(slabs: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the octets of `slabs`, which all are octets already or all are voxels."""
    rest = iter(slabs)
    first = next(rest, None)
    if first is None:
        return
    if first.dtype == np.uint8:
        yield first
        yield from rest
        return

    def voxels() -> Iterator[NDArray[np.bool_]]:
        yield first
        yield from rest

    yield from packed_octets(voxels())


def _reserve(file: IO[bytes], size: int) -> None:
    """Reserve the space for `size` octets, where the file system can, so that its lack is known at once."""
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in _NO_PREALLOCATION:
            raise


def _sha256(file: IO[bytes]) -> str:
    """Return the SHA-256 of an open file, read rather than mapped so that it does not count as memory."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Wait until no other process builds `path`; yield whether that is certain.

    The kernel drops the lock with its process, so it is never stale. Some file systems have none.
    """
    import fcntl

    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            alone = True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            alone = False
        yield alone
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    """Remove the temporary files that a process which died has left, its own and its sidecar's."""
    for name in (path.name, sidecar_of(path).name):
        for stray in path.parent.glob(f".{name}.*.tmp"):
            stray.unlink(missing_ok=True)


def _disk_errors(path: Path) -> contextlib.AbstractContextManager[None]:
    """Return `disk_errors` of the folder of bit files, which the user may choose."""
    another = "name another folder with FASTSNF_CACHE or the option cache"
    return disk_errors(path.parent, "a cache folder that can be written", another)

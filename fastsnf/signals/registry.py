"""Opening signals by what their files hold, and restoring them from what a checkpoint says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from fastsnf.errors import InputError, unknown
from fastsnf.signals.kinds import ARRAYS, KINDS, kind_of
from fastsnf.signals.signal import Signal


def open(path: str | os.PathLike[str], kind: str | None = None, **options: Any) -> Signal:  # noqa: A001
    """Open the signal in the file `path`.

    Args:
        path: the file; its suffix says the kind (`fastsnf.signals.kinds.FILE_KINDS`), of an array its values.
        kind: the kind, whatever the suffix.
        options: those of the kind's own ``open``, for an image `Image.open`.

    Raises:
        InputError: no such file, a kind that is not known, or what the kind's ``open`` raises.
    """
    path = Path(os.fsdecode(path))
    return class_of(kind_in(path, kind, options.get("key"))).open(path, **options)


def kind_in(path: str | os.PathLike[str], kind: str | None = None, key: str | None = None) -> str:
    """Return the kind of the signal in the file `path`: `kind`, else by its suffix, an array by its values.

    Args:
        path, kind: as in `open`.
        key: the name of the array, in a file with several.

    Raises:
        InputError: no such file, or a kind or a suffix that is not known.
    """
    path = Path(os.fsdecode(path))
    if not os.path.lexists(path):
        raise InputError(f"expected an input file; got {str(path)!r}, which does not exist; check the path")
    found = kind_of(path, kind)
    if kind is None and path.suffix.lower() in ARRAYS:
        from fastsnf.signals.arrays import holds_occupancy

        return "occupancy" if holds_occupancy(path, key) else "volume"
    return found


def class_of(kind: str) -> Any:
    """Return the class of the signals of a kind of `fastsnf.signals.kinds.KINDS`."""
    module, _, name = KINDS[kind].partition(":")
    return getattr(import_module(f"fastsnf.signals.{module}"), name)


def from_metadata(metadata: Mapping[str, Any]) -> Signal:
    """Return the signal, without its data, that `Signal.metadata` described."""
    kind = metadata.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise unknown("the signal kind in the metadata", kind, KINDS)
    return class_of(kind).from_metadata(metadata)

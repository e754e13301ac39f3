"""Opening signals by what their files hold, and restoring them from what a checkpoint says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastsnf.errors import InputError, unknown
from fastsnf.signals.image import Image
from fastsnf.signals.kinds import kind_of
from fastsnf.signals.samples import Samples
from fastsnf.signals.signal import Signal

SIGNALS: dict[str, type[Signal]] = {cls.kind: cls for cls in (Image, Samples)}
"""Every class of signal by the kind that its metadata name."""


def open(path: str | os.PathLike[str], kind: str | None = None, **options: Any) -> Signal:  # noqa: A001
    """Open the signal in the file `path`.

    Args:
        path: the file; its suffix says the kind (png, jpg, tif: image).
        kind: the kind, whatever the suffix.
        options: those of the kind's own ``open``, for an image `Image.open`.

    Raises:
        InputError: no such file, a kind that this version does not read, or what the kind's ``open`` raises.
    """
    path = Path(os.fsdecode(path))
    if not os.path.lexists(path):
        raise InputError(f"expected an input file; got {str(path)!r}, which does not exist; check the path")
    kind_of(path, kind)
    return Image.open(path, **options)


def from_metadata(metadata: Mapping[str, Any]) -> Signal:
    """Return the signal, without its data, that `Signal.metadata` described."""
    kind = metadata.get("kind")
    if not isinstance(kind, str) or kind not in SIGNALS:
        raise unknown("the signal kind in the metadata", kind, SIGNALS)
    return SIGNALS[kind].from_metadata(metadata)

"""A field in one file: weights, the whole spec and the conventions of the signal it was fitted to."""

from __future__ import annotations

import os
from pathlib import Path

from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.signals.signal import Signal
from fastsnf.train import container
from fastsnf.train.losses import VALUES
from fastsnf.train.rebuild import Checkpoint, describe_field, restore, state_of
from fastsnf.train.snapshot import Snapshots

FIELD_FILE = "field.safetensors"
"""Name of the field in a run folder."""


def save(
    field: Field, path: str | os.PathLike[str], signal: Signal | None = None, *, outputs: str = VALUES
) -> None:
    """Write a field to a safetensors file that is complete or absent, whatever happens meanwhile.

    Args:
        field: any field of `fastsnf.nn.FIELDS`.
        path: the file; its folder must exist.
        signal: what it was fitted to; its conventions are stored, its data are not.
        outputs: what the field returns, ``values`` or ``logits``.

    Raises:
        InputError: when the field's class is unknown to `load`, or the path cannot be written.
        RunError: when a weight is not finite, or the disk is full.
    """
    metadata = describe_field(field) | {
        "signal": None if signal is None else signal.metadata(),
        "outputs": outputs,
    }
    container.write(Path(path), state_of(field), metadata, "field")


def load(path: str | os.PathLike[str]) -> Field:
    """Return the field of a file that `save` wrote, or of a run folder; nothing in it is executed.

    Raises:
        InputError: when the file is missing, damaged, of another version or not a field.
    """
    return read(path).field


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Return the field of a file or run folder with its metadata; raises as `load`.

    A run folder without `FIELD_FILE`, which the end of a fit writes, gives its newest checkpoint.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / FIELD_FILE).exists():
            snapshot = Snapshots(path).newest()
            if snapshot is None:
                raise InputError(
                    f"expected a run folder with {FIELD_FILE} or checkpoints; got {path} without"
                )
            return snapshot.checkpoint()
        path = path / FIELD_FILE
    contents = container.read(path, "field")
    return restore(contents.tensors, contents.metadata, source=str(path))

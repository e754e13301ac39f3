"""A field in one file: weights, the whole spec and the conventions of the signal it was fitted to."""

from __future__ import annotations

import os
from pathlib import Path

from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.signals.kinds import KINDS
from fastsnf.signals.registry import from_metadata
from fastsnf.signals.signal import Signal
from fastsnf.train import container
from fastsnf.train.rebuild import Checkpoint, describe_field, restore, state_of
from fastsnf.train.snapshot import Snapshots

FIELD_FILE = "field.safetensors"
"""Name of the field in a run folder."""


def save(
    field: Field,
    path: str | os.PathLike[str],
    signal: Signal | None = None,
    *,
    outputs: str | None = None,
) -> None:
    """Write a field to a safetensors file that is complete or absent, whatever happens meanwhile.

    Args:
        field: any field of `fastsnf.nn.FIELDS`.
        path: the file; its folder must exist.
        signal: what it was fitted to; its conventions are stored, its data are not. By default the one that
            a loaded field came with.
        outputs: what the field returns, ``values`` or ``logits``; by default what the field says.

    Raises:
        InputError: when the field's class is unknown to `load`, or the path cannot be written.
        RunError: when a weight is not finite, or the disk is full.
    """
    if signal is None and isinstance(field.signal, Signal):
        signal = field.signal
    metadata = describe_field(field) | {
        "signal": None if signal is None else signal.metadata(),
        "outputs": field.outputs if outputs is None else outputs,
    }
    container.write(Path(path), state_of(field), metadata, "field")


def load(path: str | os.PathLike[str]) -> Field:
    """Return the field of a file that `save` wrote, or of a run folder; nothing in it is executed.

    Where the file has the signal that the field was fitted to, ``field.signal`` is that signal without its
    data, and the field answers in the user's units:

    ```python
    field = fastsnf.load("runs/bach")
    field.signal.unit  # ("time [s]",)
    field.at([[0.5], [1.25]])  # the sound at these seconds, in the amplitudes of its file
    ```

    Raises:
        InputError: when the file is missing, damaged, of another version or not a field.
    """
    found = read(path)
    found.field.outputs = found.outputs
    found.field.signal = _described(found, path)
    return found.field


def _described(found: Checkpoint, path: str | os.PathLike[str]) -> Signal | None:
    """Return the signal of a checkpoint; None without one, and for a kind that is the user's own."""
    if found.signal is None:
        return None
    kind = found.signal.get("kind")
    if isinstance(kind, str) and kind not in KINDS:
        return None
    signal, field = from_metadata(found.signal), found.field
    features = (signal.in_features, signal.out_features)
    if features != (field.in_features, field.out_features):
        raise InputError(
            f"expected a field of {features[0]} coordinates and {features[1]} channels for a {signal.kind}; "
            f"got one of {field.in_features} and {field.out_features} in {os.fspath(path)!r}: it was saved "
            "with a signal that is not its own"
        )
    return signal


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

"""The checkpoints of a run: everything that the next step depends on, so that a resumed fit is bitwise the
same.

One file a checkpoint, and a manifest with the SHA-256 of each, written last. Each is written to a temporary
name, flushed and renamed, so a crash at any moment leaves the previous checkpoints and their manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.signals.atomic import disk_errors
from fastsnf.train import container
from fastsnf.train.files import sweep, write_atomic
from fastsnf.train.optimizers import load_state
from fastsnf.train.rebuild import Checkpoint, restore, state_of
from fastsnf.train.tree import flatten, unflatten
from fastsnf.version import __version__

KEEP = 3
"""Checkpoints kept, newest first."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Snapshot:
    """A run after `step` updates, as read from disk.

    Attributes:
        step: updates done.
        seconds, seconds_steps: wall time spent so far, with and without previews, metrics and checkpoints.
        loss: of the last batch, None before the first step.
        identity: what the run is, `fastsnf.train.identity.identity_of`.
    """

    step: int
    seconds: float
    seconds_steps: float
    loss: float | None
    identity: dict[str, Any]
    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]

    def checkpoint(self) -> Checkpoint:
        """Return the field at this step."""
        return restore(_group(self.tensors, "model"), self.metadata, source=str(self.path))

    def restore(self, field: Field, optimizer: Optimizer) -> None:
        """Put the state of field, optimizer and torch's random generators back in place."""
        model = _group(self.tensors, "model")
        try:
            field.load_state_dict(model)
            load_state(optimizer, unflatten(self.metadata["optimizer"], self.tensors))
        except (KeyError, ValueError, RuntimeError) as error:
            raise InputError(f"cannot resume from {self.path}: {' '.join(str(error).split())}") from error
        torch.set_rng_state(self.tensors["rng.cpu"])
        if "rng.cuda" in self.tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(self.tensors["rng.cuda"])

    def state_of_updates(self) -> dict[str, Any]:
        """Return the state of `fastsnf.train.updates.Updates.state_dict`, {} where a run has none."""
        if "updates" not in self.metadata:
            return {}
        state: dict[str, Any] = unflatten(self.metadata["updates"], self.tensors)
        return state


class Snapshots:
    """The checkpoints in the folder ``checkpoints`` of a run.

    Args:
        run: the run folder.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / "checkpoints"

    def save(
        self,
        field: Field,
        optimizer: Optimizer,
        progress: Mapping[str, Any],
        description: Mapping[str, Any],
        updates: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write a checkpoint, then the manifest, then remove what the manifest no longer names.

        Args:
            field, optimizer: their state is read, not changed.
            progress: step, seconds, seconds_steps and loss.
            description: the metadata of `fastsnf.train.checkpoint.restore`, and the run's identity.
            updates: further state of the steps, `fastsnf.train.updates.Updates.state_dict`.

        Raises:
            InputError, RunError: as `fastsnf.train.container.write`; earlier checkpoints stay.
        """
        plan, optimizer_tensors = flatten(optimizer.state_dict(), "optimizer")
        tensors = {f"model.{name}": tensor for name, tensor in state_of(field).items()} | optimizer_tensors
        if updates:
            updates_plan, updates_tensors = flatten(updates, "updates")
            tensors |= updates_tensors
            description = {**description, "updates": updates_plan}
        tensors["rng.cpu"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        with disk_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
        step = progress["step"]
        entries = self._entries()
        path = self.folder / f"step-{step:08d}.safetensors"
        if any(entry["step"] == step for entry in entries):
            return path  # the state after a step is always the same
        data = container.write(path, tensors, {**description, **progress, "optimizer": plan}, "run")
        entry = {"file": path.name, "step": step, "sha256": hashlib.sha256(data).hexdigest()}
        self._commit(sorted([*entries, entry], key=lambda item: item["step"], reverse=True)[:KEEP])
        return path

    def go_back_to(self, snapshot: Snapshot) -> None:
        """Make `snapshot` the newest checkpoint: those after it failed a check, or it were not the newest."""
        entries = [entry for entry in self._entries() if entry["step"] <= snapshot.step]
        if not any(entry["step"] == snapshot.step for entry in entries):
            digest = hashlib.sha256(snapshot.path.read_bytes()).hexdigest()
            entries.insert(0, {"file": snapshot.path.name, "step": snapshot.step, "sha256": digest})
        self._commit(entries)

    def newest(self) -> Snapshot | None:
        """Return the newest checkpoint that passes every check, or None when there is none at all.

        Where the manifest is missing or damaged, the files on disk stand in for it: each holds its own
        SHA-256.

        Raises:
            InputError: when there are checkpoints and none passes, saying why.
        """
        entries = self._entries() or [
            {"file": path.name, "sha256": None}
            for path in sorted(self.folder.glob("step-*.safetensors"), reverse=True)
        ]
        failures = []
        for entry in entries:
            try:
                return self._read(entry)
            except InputError as error:
                failures.append(str(error))
        if failures:
            raise InputError(
                f"expected an undamaged checkpoint in {self.folder}; got none: {'; '.join(failures)}"
            )
        return None

    def sweep(self) -> None:
        """Remove the temporary files of a process that died."""
        if self.folder.is_dir():
            sweep(self.folder)

    def _read(self, entry: Mapping[str, Any]) -> Snapshot:
        path = self.folder / entry["file"]
        contents = container.read(path, "run", sha256=entry["sha256"])
        meta = contents.metadata
        try:
            return Snapshot(
                step=int(meta["step"]),
                seconds=float(meta["seconds"]),
                seconds_steps=float(meta["seconds_steps"]),
                loss=meta["loss"],
                identity=meta["identity"],
                path=path,
                tensors=contents.tensors,
                metadata=meta,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"cannot resume from {path}: expected the record of a run; got {error!r}"
            ) from error

    def _entries(self) -> list[dict[str, Any]]:
        """Return the manifest's entries, newest first; none when it is missing or not as `save` writes it."""
        try:
            entries = json.loads((self.folder / MANIFEST).read_text())["checkpoints"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return []
        whole = isinstance(entries, list) and all(
            isinstance(item, dict)
            and isinstance(item.get("step"), int)
            and isinstance(item.get("sha256"), str)
            and item.get("file") == f"step-{item['step']:08d}.safetensors"
            for item in entries
        )
        return entries if whole else []

    def _commit(self, entries: list[dict[str, Any]]) -> None:
        """Write the manifest, then remove what it does not name."""
        manifest = {"version": container.VERSION, "fastsnf": __version__, "checkpoints": entries}
        write_atomic(self.folder / MANIFEST, json.dumps(manifest, indent=2).encode())
        names = {entry["file"] for entry in entries}
        for path in self.folder.glob("step-*.safetensors"):
            if path.name not in names:
                with disk_errors(path):
                    path.unlink(missing_ok=True)


def _group(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors named ``{prefix}.*`` under the rest of their names."""
    return {
        name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")
    }

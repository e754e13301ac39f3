"""Which of the arrays of a file is meant."""

from __future__ import annotations

from collections.abc import Sequence

from fastsnf.errors import InputError, nearest
from fastsnf.signals.arrays.array import Entry

_LISTED = 12

_MEANT = {("lat", "lon"): "sphere", ("latitude", "longitude"): "sphere", ("points", "values"): "points"}
"""Names of arrays that other kinds of signals are read from."""


def chosen(entries: Sequence[Entry], key: str | None, path: str) -> Entry:
    """Return the entry called `key`; without one, the only array, or the only one of three axes or more.

    Raises:
        InputError: there is none, or more than one: the message lists the names with their shapes.
    """
    if not entries:
        raise InputError(f"expected an array of numbers; got none in {path!r}")
    if key is not None:
        found = next((entry for entry in entries if entry.name == key.strip("/")), None)
        if found is None:
            hint = nearest(key, [entry.name for entry in entries])
            raise InputError(
                f"expected the key of an array in {path!r}: {_listed(entries)}; got {key!r}{hint}"
            )
        return found
    solid = [entry for entry in entries if len(entry.shape) >= 3] or list(entries)
    if len(solid) > 1:
        raise InputError(
            f"expected one array, or a key that says which; got {_listed(solid)} in {path!r}; give key=, or "
            f"--key, such as {solid[0].name!r}{_other_kind({entry.name for entry in entries})}"
        )
    return solid[0]


def _other_kind(names: set[str]) -> str:
    """Return the kind that arrays of these names may be meant as instead; empty for none."""
    kind = next((kind for sets, kind in _MEANT.items() if set(sets) <= names), None)
    return "" if kind is None else f"; or say with --kind {kind} what the file holds"


def _listed(entries: Sequence[Entry]) -> str:
    more = f" and {len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
    return ", ".join(str(entry) for entry in entries[:_LISTED]) + more

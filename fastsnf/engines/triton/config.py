"""Tuned tiles: which block shapes, warps and stages a kernel takes on which architecture.

``configs.json`` holds, per architecture and op, a list of entries; the first that matches a call is taken.
An entry may restrict ``precision``, ``activations`` (names) and ``most_columns`` (the widest padded output it is
for). ``fastsnf bench --tune`` writes the file.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastsnf.engines.triton.launch import architecture

PAD = 32
"""Widths of internal buffers are multiples of this."""

FILE = Path(__file__).parent / "configs.json"


@dataclass(frozen=True)
class Tile:
    """Block shape of a program: `rows` points x `columns` outputs, `depth` of the sum a step.

    `options` are further compile-time constants of the kernel.
    """

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int
    options: Mapping[str, Any] = field(default_factory=dict)


def padded(width: int) -> int:
    """Return `width` rounded up to a multiple of `PAD`."""
    return -(-width // PAD) * PAD


def find(op: str, precision: str, *, act: str, columns: int, depth: int) -> Tile:
    """Return the tile of `op` on this architecture.

    Args:
        op: the name of the wrapper in ``layers``, ``complex_layers``, ``edges`` or ``inference``.
        precision: fp32, tf32 or fast.
        act: the name of the activation that the kernel evaluates most.
        columns: padded columns of the output.
        depth: the length of the sum; the tile's depth divides it.

    Raises:
        LookupError: when the table has no entry for the call.
    """
    return _find(architecture(), op, precision, act, columns, depth)


@functools.lru_cache(maxsize=4096)
def _find(arch: str, op: str, precision: str, act: str, columns: int, depth: int) -> Tile:
    for entry in table().get(arch, {}).get(op, ()):
        if (
            precision in entry.get("precision", (precision,))
            and act in entry.get("activations", (act,))
            and columns <= entry.get("most_columns", columns)
            and depth % entry["depth"] == 0
        ):
            names = ("rows", "columns", "depth", "warps", "stages")
            return Tile(*(entry[name] for name in names), options=entry.get("options", {}))
    raise LookupError(f"configs.json has no tile of {op} in {precision} with {act} on {arch}")


@functools.cache
def table() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return the whole table: architecture -> op -> entries."""
    loaded: dict[str, dict[str, list[dict[str, Any]]]] = json.loads(FILE.read_text(encoding="utf-8"))
    return loaded

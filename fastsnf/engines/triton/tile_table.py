"""Tuned tiles: which block shapes, warps and stages a kernel takes on which architecture.

``tiles/OP.json`` holds, per architecture, a list of entries; the first that matches a call is taken. An entry
may restrict ``precision``, ``activations`` (names) and ``most_columns`` (the widest padded output it is for);
``even``: it is for outputs of whole column tiles, whose epilogue needs no mask and fewer registers.
``fastsnf bench --tune`` writes the files.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastsnf.engines.triton.launch import architecture

PAD = 32
"""Widths of internal buffers are multiples of this."""

FOLDER = Path(__file__).parent / "tiles"


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
    if op in _forced:
        tile, asked = _forced[op]
        asked.append((precision, act, columns, depth))
        if depth % tile.depth:
            raise LookupError(f"the tile under test steps by {tile.depth}, which does not divide {depth}")
        return tile
    return _find(architecture(), op, precision, act, columns, depth)


Asked = list[tuple[str, str, int, int]]
"""Calls of `find`: precision, activation, columns and depth."""

_forced: dict[str, tuple[Tile, Asked]] = {}


@contextlib.contextmanager
def forced(op: str, tile: Tile) -> Iterator[Asked]:
    """Give `tile` for every call of `op` inside the block, whatever the table says, and list these calls."""
    before = _forced.get(op)
    asked: Asked = []
    _forced[op] = (tile, asked)
    try:
        yield asked
    finally:
        del _forced[op]
        if before is not None:
            _forced[op] = before


@functools.lru_cache(maxsize=4096)
def _find(arch: str, op: str, precision: str, act: str, columns: int, depth: int) -> Tile:
    for entry in table(op).get(arch, ()):
        if (
            precision in entry.get("precision", (precision,))
            and act in entry.get("activations", (act,))
            and columns <= entry.get("most_columns", columns)
            and not (entry.get("even") and columns % entry["columns"])
            and depth % entry["depth"] == 0
        ):
            names = ("rows", "columns", "depth", "warps", "stages")
            sizes = {name: entry[name] for name in names}
            return Tile(**sizes, options=entry.get("options", {}))
    raise LookupError(f"tiles/{op}.json has no tile in {precision} with {act} on {arch}")


@functools.cache
def table(op: str) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of an op by architecture; none where the op has no file."""
    path = FOLDER / f"{op}.json"
    if not path.is_file():
        return {}
    loaded: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    return loaded

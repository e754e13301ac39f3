"""Tiles to try for every op of the Triton engine, and the files that the best of them go to."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastsnf.engines.triton.tile_table import FOLDER, Asked, Tile, table

SIZES = ("rows", "columns", "depth", "warps", "stages")

MOST_ACCUMULATORS = 128
"""Sums a thread may hold: half of its registers."""


@dataclass(frozen=True)
class Op:
    """An op with tiles: the kernel it launches, the call it is part of, and the values to try for each field.

    Attributes:
        kernel: the name of the kernel that its tile shapes.
        call: ``step`` (training), ``forward`` (inference) or ``layered`` (inference layer by layer).
        is_complex: whether only complex fields have it.
        tiled: whether `rows` x `columns` is a tile of sums in registers.
        square: whether the tile's `depth` is its `columns`.
        by_depth: whether entries for wide layers are told by their `depth` instead of `most_columns`.
        fields: values for sizes of the tile, those for options as ``options.NAME``; the rest stays.
    """

    kernel: str
    call: str
    fields: Mapping[str, tuple[Any, ...]]
    is_complex: bool | None = None
    tiled: bool = False
    square: bool = False
    by_depth: bool = False


_PRODUCT: dict[str, tuple[Any, ...]] = {
    "rows": (64, 128, 256),
    "columns": (64, 128, 256),
    "depth": (32, 64),
    "warps": (4, 8),
    "stages": (2, 3, 4),
}
_COMPLEX: dict[str, tuple[Any, ...]] = {
    "rows": (64, 128),
    "columns": (32, 64, 128),
    "depth": (16, 32, 64),
    "warps": (4, 8),
    "stages": (1, 2, 3),
}
_REDUCTION: dict[str, tuple[Any, ...]] = {
    "options.elements": (512, 1024, 2048, 4096, 8192),
    "warps": (2, 4, 8, 16),
    "stages": (1, 2, 3, 4),
}

OPS: dict[str, Op] = {
    "linear_fwd": Op("linear_fwd", "step", {**_PRODUCT, "options.parts": (1, 2)}, False, True),
    "linear_dx": Op("linear_dx", "step", {**_PRODUCT, "options.parts": (1, 2, 4)}, False, True),
    "linear_dw": Op("linear_dw", "step", {**_PRODUCT, "options.turned": (False, True)}, False, True),
    "complex_fwd": Op("complex_fwd", "step", _COMPLEX, True, True),
    "complex_dx": Op("complex_dx", "step", {**_COMPLEX, "options.pieces": (1, 2, 4)}, True, True),
    "complex_dw": Op("complex_dw", "step", {**_COMPLEX, "options.turned": (False, True)}, True, True),
    "first_fwd": Op(
        "first_fwd", "step", {"rows": (8, 16, 32, 64), "columns": (128, 256, 512), "warps": (2, 4, 8)}
    ),
    "first_dw": Op(
        "first_dw",
        "step",
        {"rows": (4, 8, 16, 32), "columns": (64, 128, 256), "warps": (2, 4, 8), "stages": (2, 3, 4)},
    ),
    "last_step": Op("last_step", "step", _REDUCTION, by_depth=True),
    "last_fwd": Op("last_fwd", "layered", {**_REDUCTION, "rows": (64, 128, 256)}, by_depth=True),
    "network_fwd": Op(
        "network_fwd_kernel",
        "forward",
        {"rows": (64, 128, 256), "columns": (32, 64, 128), "warps": (4, 8), "stages": (1, 2, 3)},
        False,
        square=True,
    ),
}
"""Ops in the order of what they cost in a step. Packing and ordered sums are too short to matter."""

CLASSES: dict[str, tuple[str, ...]] = {
    "sine": ("sine",),
    "gaussian": ("gaussian", "finer", "relu", "tanh"),
    "sinc": ("sinc", "gabor-real"),
    "gabor": ("gabor",),
}
"""Activations that share tiles, by the one that is timed."""


def candidates(op: str, base: Tile) -> Iterator[Tile]:
    """Yield the tiles to try in place of `base`, which is not among them."""
    fields = OPS[op].fields
    for values in itertools.product(*fields.values()):
        given = dict(zip(fields, values, strict=True))
        sizes = {name: given.get(name, getattr(base, name)) for name in SIZES}
        if OPS[op].square:
            sizes["depth"] = sizes["columns"]
        options = dict(base.options)
        for name, value in given.items():
            if name.startswith("options."):
                options[name.removeprefix("options.")] = value
        tile = Tile(**sizes, options=options)
        sums = tile.rows * tile.columns * (2 if OPS[op].is_complex else 1)
        crowded = OPS[op].tiled and sums > MOST_ACCUMULATORS * 32 * tile.warps
        if not crowded and describe(tile) != describe(base):
            yield tile


EVEN_ABOVE = 128
"""Columns above which a tile is for outputs of whole tiles alone: with a mask it spills registers."""


def describe(tile: Tile) -> dict[str, Any]:
    """Return a tile as an entry has it, without options that switch nothing on."""
    entry: dict[str, Any] = {name: getattr(tile, name) for name in SIZES}
    options = {name: value for name, value in tile.options.items() if value not in (False, None)}
    if options.get("parts") == 1:
        del options["parts"]
    if options.get("pieces") == 1:
        del options["pieces"]
    return {**entry, "options": options} if options else entry


def entry_of(op: str, tile: Tile, asked: Asked, activation: str) -> dict[str, Any]:
    """Return the entry that gives `tile` to calls like those that asked: no wider, in that precision."""
    restrictions: dict[str, Any] = {
        "precision": sorted({precision for precision, _, _, _ in asked}),
        "most_columns": max(columns for _, _, columns, _ in asked),
    }
    if {act for _, act, _, _ in asked} != {"identity"}:
        restrictions["activations"] = list(CLASSES[activation])
    if OPS[op].tiled and tile.columns > EVEN_ABOVE:
        restrictions["even"] = True
    entry = {**restrictions, **describe(tile)}
    return {**entry, "depth": max(depth for _, _, _, depth in asked)} if OPS[op].by_depth else entry


def merged(op: str, entries: Sequence[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return `entries` with `new` before all that take more calls; one for the same calls is replaced.

    The first entry that matches a call is taken.
    """

    def calls(entry: Mapping[str, Any]) -> tuple[Any, ...]:
        names = (tuple(sorted(entry.get(name, ()))) for name in ("precision", "activations"))
        return (
            *names,
            entry.get("most_columns"),
            entry.get("even"),
            entry["depth"] if OPS[op].by_depth else None,
        )

    def breadth(entry: Mapping[str, Any]) -> tuple[float, ...]:
        most = entry.get("most_columns", float("inf"))
        return (
            -entry["depth"] if OPS[op].by_depth else 0,
            "precision" not in entry,
            "activations" not in entry,
            most,
        )

    return sorted([*(entry for entry in entries if calls(entry) != calls(new)), new], key=breadth)


def write(op: str, architecture: str, new: dict[str, Any], folder: Path = FOLDER) -> None:
    """Add an entry to the file of an op and leave everything else in it."""
    path = folder / f"{op}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    content[architecture] = merged(op, content.get(architecture, []), new)
    path.write_text(dumps(content), encoding="utf-8")
    table.cache_clear()


def dumps(content: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return a file of tiles, an entry a line."""
    parts = []
    for architecture, entries in content.items():
        lines = ",\n".join(f"    {json.dumps(entry)}" for entry in entries)
        parts.append(f'  "{architecture}": [\n{lines}\n  ]')
    return "{\n" + ",\n".join(parts) + "\n}\n"

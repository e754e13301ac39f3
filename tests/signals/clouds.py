"""PLY files of points, made without the code under test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TYPES = {"<f4": "float", "<f8": "double", "|u1": "uchar", "<u2": "ushort"}


def ply(columns: dict[str, np.ndarray], *, text: bool = False, order: str = "<") -> bytes:
    """A PLY file of vertices with the given properties [N]."""
    count = len(next(iter(columns.values())))
    dtypes = {name: np.dtype(column.dtype) for name, column in columns.items()}
    properties = [f"property {TYPES[dtype.str]} {name}" for name, dtype in dtypes.items()]
    kind = "ascii" if text else {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    head = ["ply", f"format {kind} 1.0", f"element vertex {count}", *properties, "end_header", ""]
    if text:
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        body = "".join(" ".join(map(repr, row)) + "\n" for row in rows).encode()
    else:
        table = np.zeros(count, [(name, dtype.newbyteorder(order)) for name, dtype in dtypes.items()])
        for name, column in columns.items():
            table[name] = column
        body = table.tobytes()
    return "\n".join(head).encode() + body


def properties(names: Sequence[str], count: int = 60, seed: int = 0) -> dict[str, np.ndarray]:
    """Random columns: bytes for colours, float32 for the rest."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(0, 256, count, dtype=np.uint8)
        if name in ("red", "green", "blue")
        else rng.normal(size=count).astype(np.float32)
        for name in names
    }

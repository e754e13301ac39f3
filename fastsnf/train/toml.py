"""A writer of simple TOML: tables of scalars and lists, read back by `tomllib`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def dumps(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return TOML text with one ``[table]`` for each entry; values that are None are left out.

    >>> print(dumps({"fit": {"steps": 3, "lr": 1e-4, "schedule": None}}), end="")
    [fit]
    steps = 3
    lr = 0.0001

    Args:
        tables: names to tables of bool, int, float, str, and lists and mappings of these.
    """
    blocks = []
    for name, table in tables.items():
        rows = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]
        blocks.append("\n".join([f"[{_key(name)}]", *rows]) + "\n")
    return "\n".join(blocks)


def _key(name: str) -> str:
    bare = name.replace("_", "").replace("-", "")
    return name if bare.isascii() and bare.isalnum() else _string(name)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL and lone surrogates, which TOML has no way to write.
    clean = text.encode("utf-8", "replace").decode()
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007F")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        rows = (f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
        return "{" + ", ".join(rows) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    raise TypeError(f"expected a value that TOML can hold; got {type(value).__name__}")


def _number(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(value)

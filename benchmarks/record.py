"""Records on disk: one JSON object a line, written as soon as it is measured, and the same figures as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JSONL = "records.jsonl"
CSV = "records.csv"


class Records:
    """The records of one run of the benchmarks, in a folder; what an earlier run left there is replaced."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        (folder / JSONL).write_text("", encoding="utf-8")

    def add(self, record: dict[str, Any]) -> None:
        """Append a record and write it."""
        self.rows.append(record)
        with (self.folder / JSONL).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self._write_csv()

    def _write_csv(self) -> None:
        flat = [dict(flatten(row)) for row in self.rows]
        names = list(dict.fromkeys(name for row in flat for name in row))
        with (self.folder / CSV).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(flat)


def flatten(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every figure of a record under its path: ``sides.eager.seconds.median``."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value

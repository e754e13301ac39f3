"""The records of a study: one JSON object a finished row, so that a study goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastsnf.signals.atomic import disk_errors
from fastsnf.train.files import write_atomic
from fastsnf.train.result import finite_or_none

RECORDS_FILE = "records.jsonl"


class Records:
    """The finished rows in a folder, by what decided them.

    Args:
        folder: where ``records.jsonl`` is or will be. Lines that a kill cut short are dropped, so that their
            rows run again.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORDS_FILE
        self._found: dict[str, dict[str, Any]] = {}
        whole = True
        text = ""
        if self.path.is_file():
            with disk_errors(self.path):
                text = self.path.read_text(encoding="utf-8", errors="replace")
            whole = not text or text.endswith("\n")
        for line in text.splitlines():
            record = _record(line)
            if record is None:
                whole = False
            else:
                self._found[_key(record["row"])] = record
        if not whole:
            lines = "".join(_line(record) for record in self._found.values())
            write_atomic(self.path, lines.encode())

    def __len__(self) -> int:
        """Return how many rows are finished."""
        return len(self._found)

    def find(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the result of the row that `facts` decide, or None when it has not been run."""
        record = self._found.get(_key(facts))
        return None if record is None else dict(record["result"])

    def add(self, facts: Mapping[str, Any], result: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Append the result of a row, and facts about the run that do not decide it."""
        record = {"row": dict(facts), "result": finite_or_none(result), "about": dict(about)}
        with disk_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
        self._found[_key(facts)] = record


def _key(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(record, dict) and all(isinstance(record.get(key), dict) for key in ("row", "result"))
    return record if whole else None

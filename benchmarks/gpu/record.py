"""GPU records on disk: a JSON object a line, appended as soon as it is measured, and never measured twice."""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch

import fastsnf
from benchmarks import machine

RECORDS = "gpu-records.jsonl"


def describe() -> dict[str, Any]:
    """Return the facts that every row carries: GPU, versions, commit."""
    found: dict[str, Any] = {
        "gpu": None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "triton": machine.package_version("triton"),
        "fastsnf": fastsnf.__version__,
        "commit": machine.commit(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(0)
        found["multiprocessors"] = torch.cuda.get_device_properties(0).multi_processor_count
    return found


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two machines' rows are of one series: GPU, versions and commit agree."""
    names = ("gpu", "torch", "triton", "fastsnf", "commit")
    return all(one.get(name) == other.get(name) for name in names)


class GpuRecords:
    """The rows of a folder; `session` marks those of one call of `make`: its failures are not tried again."""

    def __init__(self, folder: Path, session: str, where: dict[str, Any] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / RECORDS
        self.session = session
        self.machine = describe() if where is None else where

    def rows(self) -> list[dict[str, Any]]:
        """Return every row, oldest first; a line cut short by a crash is left out."""
        found = []
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def add(self, key: str, kind: str, figures: dict[str, Any]) -> dict[str, Any]:
        """Append a row and return it."""
        row = {
            "key": key,
            "kind": kind,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "session": self.session,
            **figures,
            "machine": self.machine,
        }
        before = self.path.read_bytes() if self.path.is_file() else b""
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" if before and not before.endswith(b"\n") else "")
            file.write(json.dumps(row) + "\n")
        return row

    def settled(self, key: str) -> bool:
        """Return whether a row is there: measured on this machine and version, or failed in this session."""
        for row in self.rows():
            if row["key"] != key or not same(row["machine"], self.machine):
                continue
            if row["kind"] not in ("failure", "poison") or (
                row["kind"] == "failure" and row["session"] == self.session
            ):
                return True
        return False

    def poisoned(self, key: str) -> dict[str, str]:
        """Return the sides of a row that broke the GPU's context in this session, with the cause."""
        return {
            row["side"]: row["error"]
            for row in self.rows()
            if row["kind"] == "poison" and row["key"] == key and row["session"] == self.session
        }

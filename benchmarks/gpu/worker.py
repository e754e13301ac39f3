"""Measures the rows of a suite in this process: ``python -m benchmarks.gpu.worker``, started by the runner.

It ends with `POISONED` where a side broke the GPU's context; the next worker leaves that side out.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu import cases
from benchmarks.gpu.record import GpuRecords
from benchmarks.gpu.timing import PoisonError, said

POISONED = 75
RATES = "rates"

Measure = Callable[[cases.Row, dict[str, Any], float], dict[str, Any]]


def measure_all(
    rows: Iterable[cases.Row],
    records: GpuRecords,
    kinds: dict[str, Measure],
    rates: dict[str, Any],
    until: float,
    say: Callable[[str], None] = print,
    begin: Callable[[str], object] = lambda key: None,
) -> int:
    """Measure every row that is not settled, before `until`; return the exit status.

    `begin` hears of every row before it is measured. A failing row is recorded with its cause, and the next
    one begins.
    """
    status = 0
    for row in rows:
        if records.settled(row.key):
            say(f"{row.key}: there already")
            continue
        if time.time() > until:
            say(f"{row.key}: no time left")
            continue
        say(f"{row.key} ...")
        begin(row.key)
        started = time.time()
        poisoned = records.poisoned(row.key)
        sides = tuple(side for side in row.sides if side not in poisoned)
        left = replace(row, sides=sides)
        try:
            figures = kinds[row.kind](left, rates, until)
        except PoisonError as error:
            records.add(row.key, "poison", {"side": error.side, "error": error.cause})
            say(f"{row.key}: {error}")
            return POISONED
        except Exception as error:
            status = 1
            records.add(row.key, "failure", {"error": said(error)})
            say(f"{row.key}: {said(error)}")
            continue
        figures["errors"] = {**figures.get("errors", {}), **poisoned}
        figures["spent_seconds"] = round(time.time() - started, 2)
        records.add(row.key, row.kind, {"case": row.case.to_dict(), **figures})
        say(line(figures))
        status = max(status, int(bool(figures["errors"])))
    return status


def line(figures: dict[str, Any]) -> str:
    """Return a row's medians and errors in one line."""
    parts = []
    for side, values in figures["sides"].items():
        if "seconds" in values:
            parts.append(f"{side} {1e3 * values['seconds']['median']:.3f} ms")
        elif "psnr" in values:
            parts.append(f"{side} {sum(values['psnr']) / len(values['psnr']):.2f} dB")
        else:
            parts.append(f"{side} {values['peak_bytes'] / 1e6:.0f} MB")
    parts += [f"{side}: {cause[:160]}" for side, cause in figures["errors"].items()]
    return "  " + "; ".join(parts)


def main() -> int:
    """Measure what stdin asks for: ``{"suite", "folder", "session", "current", "until"}``."""
    job = json.load(sys.stdin)
    import torch

    from benchmarks.gpu import rates, work

    records = GpuRecords(Path(job["folder"]), job["session"])
    earlier = [row for row in records.rows() if row["key"] == RATES and row["session"] == job["session"]]
    if earlier:
        measured = earlier[-1]["rates"]
    else:
        measured = rates.measure()
        records.add(RATES, RATES, {"rates": measured})
        say("rates: " + ", ".join(f"{name} {value / 1e12:.3g}e12/s" for name, value in measured.items()))
    torch.cuda.empty_cache()
    rows = cases.SUITES[job["suite"]]()
    current = Path(job["current"])
    current.write_text(RATES, encoding="utf-8")
    begin = partial(current.write_text, encoding="utf-8")
    return measure_all(rows, records, work.KINDS, measured, float(job["until"]), say, begin)


def say(message: str) -> None:
    """Print a line at once."""
    print(message, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""``fastsnf info``: what this installation can do, and why an engine cannot run here."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastsnf.cli.options import default
from fastsnf.cli.parse import parse


@dataclass(frozen=True)
class InfoOptions:
    """Print the version, the devices and the engines, and for each engine that cannot run here, why."""

    json: Annotated[bool, default("")] = False
    """Print one JSON object instead of tables."""


def main(argv: Sequence[str]) -> int:
    """Run ``fastsnf info`` and return its exit status."""
    options = parse(InfoOptions, argv, prog="fastsnf info")
    facts = collect()
    if options.json:
        print(json.dumps(facts))
    else:
        show(facts)
    return 0


def collect() -> dict[str, Any]:
    """Return what the command prints: ``fastsnf``, ``versions``, ``devices``, ``threads``, ``engines``."""
    import numpy
    import torch

    import fastsnf
    from fastsnf import ops

    return {
        "fastsnf": fastsnf.__version__,
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": numpy.__version__,
            "platform": platform.platform(),
        },
        "devices": devices(),
        "threads": torch.get_num_threads(),
        "engines": ops.engines_report(),
    }


def devices() -> list[dict[str, Any]]:
    """Return one row for each device that torch can use here: its name for ``--device`` and what it is."""
    import torch

    rows = [{"device": "cpu", "detail": f"{platform.machine()}, {os.cpu_count()} logical cores"}]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            rows.append({"device": f"cuda:{index}", "detail": torch.cuda.get_device_name(index)})
    return rows


def show(facts: dict[str, Any]) -> None:
    """Print `facts` as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"fastsnf {facts['fastsnf']}", style="bold")
    about = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts["versions"].items():
        about.add_row(name, value)
    about.add_row("threads", str(facts["threads"]))
    for row in facts["devices"]:
        about.add_row(row["device"], row["detail"])
    console.print(about)
    engines = Table("engine", "here", "detail, or why not", title_justify="left")
    for row in facts["engines"]:
        here = "yes" if row["available"] else "no"
        engines.add_row(row["engine"], here, row["detail"] if row["available"] else "; ".join(row["reasons"]))
    console.print(engines)

"""How to repeat a run and what to do with it: the exact commands, with absolute paths."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RENDER = {
    "image": ["--scale 2"],
    "audio": ["--rate 48000"],
    "occupancy": ["--resolution 512", "--resolution 768 --output mesh.ply"],
    "volume": ["--resolution 256"],
    "sphere": ["--scale 2"],
    "video": ["--scale 2"],
    "super-resolution": ["--scale 2"],
    "sdf": ["--resolution 256"],
    "points": ["--resolution 256"],
}
"""Options of ``fastsnf render`` that suit a kind of signal."""


def commands(kind: str, run: str | None, config: Mapping[str, Any]) -> list[str]:
    """Return the lines for a shell: the fit into a new folder, then what reads the run.

    Args:
        kind: of the signal.
        run: the run folder, or None for a fit without.
        config: the tables of the run's ``config.toml``, whose ``[command]`` the command line writes.
    """
    lines = []
    words = config.get("command", {}).get("arguments")
    if isinstance(words, list):
        lines.append(" ".join(["fastsnf fit", *(shlex.quote(str(word)) for word in words)]))
    if run is not None:
        place = shlex.quote(str(Path(run).absolute()))
        lines += [f"fastsnf render {place} {options}" for options in RENDER.get(kind, [])]
        lines.append(f"fastsnf analyze {place}")
    return lines


def in_python(run: str | None) -> str:
    """Return the lines that read the run in Python."""
    if run is None:
        return ""
    return f"import fastsnf\nfield = fastsnf.load({str(Path(run).absolute())!r})"

"""How to repeat a run and what to do with it: the exact commands, with absolute paths."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal

SIZES = {
    "size": "--size 1024x1024",
    "scale": "--scale 2",
    "resolution": "--resolution 512",
    "rate": "--rate 48000",
}
"""An example of each option of ``fastsnf render`` that a signal may be sized by."""


def commands(signal: Signal, run: str | None, config: Mapping[str, Any]) -> list[str]:
    """Return the lines for a shell: the fit into a new folder, then what reads the run.

    Args:
        signal: what was fitted.
        run: the run folder, or None for a fit without.
        config: the tables of the run's ``config.toml``, whose ``[command]`` the command line writes.
    """
    lines = []
    command = config.get("command")
    words = command.get("arguments") if isinstance(command, Mapping) else None
    if isinstance(words, list):
        lines.append(" ".join(["fastsnf fit", *(shlex.quote(str(word)) for word in words)]))
    if run is not None:
        place = shlex.quote(str(Path(run).absolute()))
        lines += [f"fastsnf render {place} {SIZES[name]}" for name in signal.sized_by if name in SIZES]
        lines.append(f"fastsnf analyze {place}")
    return lines


def in_python(run: str | None) -> str:
    """Return the lines that read the run in Python."""
    if run is None:
        return ""
    return f"import fastsnf\nfield = fastsnf.load({str(Path(run).absolute())!r})"

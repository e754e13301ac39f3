"""Two processes of one thread each beside one process of two threads, on the same fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.occupancy.figures import record, spread_of
from benchmarks.occupancy.fits import BATCH, WIDTH
from benchmarks.occupancy.shapes import ball_grid

LEAST = 0.85
SIDE = 128


def measure(width: int, batch: int, steps: int, rounds: int) -> dict[str, Any]:
    """Measure fits from the command line, one process and two in turn; their own seconds of steps count."""
    ratios, alone = [], []
    with tempfile.TemporaryDirectory() as folder:
        grid = Path(folder) / "ball.npy"
        save(grid)
        for turn in range(rounds):
            one, two = (seconds(processes, folder, grid, width, batch, steps, turn) for processes in (1, 2))
            ratios.append(one / two)
            alone.append(batch * steps / one / 1e6)
    bound = (width, batch) == (WIDTH, BATCH)
    figures = [
        spread_of(alone, "one process, two threads", "M points/s"),
        spread_of(ratios, "two processes, one thread each / that", "x", least=LEAST if bound else None),
    ]
    return record(
        "processes", f"fit of {SIDE}^3 by torchrun with gloo, width {width}, batches of {batch:,}", figures
    )


def save(path: Path) -> None:
    """Write the bumpy ball as an array of bools."""
    import numpy as np

    np.save(path, ball_grid(SIDE).voxels.slab(0, SIDE))


def seconds(processes: int, folder: str, grid: Path, width: int, batch: int, steps: int, turn: int) -> float:
    """Return the seconds that the steps of a fit took in so many processes.

    Raises:
        RuntimeError: the fit failed, with its last line.
    """
    out = str(Path(folder) / f"run-{processes}-{turn}")
    fit = [
        *("-m", "fastsnf", "fit", str(grid), "--out", out, "--steps", str(steps), "--batch-size", str(batch)),
        *("--hidden-features", str(width), "--json", "--no-progress", "--engine", "native"),
    ]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    threads = {"OMP_NUM_THREADS": str(2 // processes)}
    command = [sys.executable, *(launch if processes > 1 else []), *fit]
    done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{processes} processes: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1])["seconds_steps"])


if __name__ == "__main__":
    child.serve(measure)

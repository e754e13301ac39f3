"""Reads many damaged GRIB files, each in a process of its own that is forked after the slow imports.

``python -m tests.signals.latlon.grib_trials FOLDER WHOLE`` prints a line of JSON for each file of the folder:
its name, how its process ended (signal or exit status), and what it wrote. WHOLE is read before any.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def trial(path: Path, answer: Path) -> int:
    """Read a file in a forked process as `grib_worker` does, and return how it ended."""
    child = os.fork()
    if not child:
        for number, name in ((1, answer), (2, os.devnull)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        options = {"key": None, "time": None, "level": None, "max_points": 10**6}
        grib_worker.main({"path": os.fspath(path), "options": options})
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    from fastsnf.signals.latlon import grib_worker
    from fastsnf.signals.latlon.dataset import read_dataset

    folder = Path(sys.argv[1])
    # All that the libraries import on the way is there before the forks.
    read_dataset(sys.argv[2], "cfgrib", "GRIB", key=None, time=None, level=None, max_points=10**6)
    for file in sorted(folder.iterdir()):
        answer = folder.parent / "answer"
        status = trial(file, answer)
        head, _, body = answer.read_bytes().partition(b"\n")
        found = json.loads(head) if status == 0 else {}
        sys.stdout.write(
            json.dumps({"file": file.name, "status": status, **found, "bytes": len(body)}) + "\n"
        )
        sys.stdout.flush()

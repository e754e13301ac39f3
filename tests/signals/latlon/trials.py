"""Reads many damaged files, each in a process of its own that is forked after the slow imports.

``python -m tests.signals.latlon.trials ENGINE FOLDER WHOLE`` prints a line of JSON for each file of FOLDER:
how its process ended (signal or exit status), and what it wrote. WHOLE is read before any.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SECONDS = 5
OPTIONS = {"key": None, "time": None, "level": None, "max_points": 10**6}


def answers_of(engine: str, whole: bytes, damaged: list[bytes], folder: Path) -> list[dict[str, Any]]:
    """How the worker ends for the whole file, then for each damaged one, and what it answers."""
    (folder / "trials").mkdir()
    for number, data in enumerate([whole, *damaged]):
        (folder / "trials" / f"{number:04d}").write_bytes(data)
    places = [str(folder / "trials"), str(folder / "trials" / "0000")]
    command = [sys.executable, "-m", "tests.signals.latlon.trials", engine, *places]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(damaged) + 1
    return answers


def refused(answer: dict[str, Any]) -> bool:
    """Whether the file ended in an error, or in a crash or a limit, of which the parent makes one."""
    return "error" in answer or answer["status"] < 0


def trial(engine: str, path: Path, answer: Path) -> int:
    """Read a file in a forked process as `worker` does, and return how it ended."""
    child = os.fork()
    if not child:
        for number, name in ((1, answer), (2, os.devnull)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        arguments = [os.fspath(path), engine, engine]
        worker.main({"arguments": arguments, "options": OPTIONS, "seconds": SECONDS})
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    from fastsnf.signals.latlon import worker
    from fastsnf.signals.latlon.dataset import read_dataset

    engine, folder = sys.argv[1], Path(sys.argv[2])
    # All that the libraries import on the way is there before the forks.
    read_dataset(sys.argv[3], engine, engine, **OPTIONS)  # type: ignore[arg-type]
    for file in sorted(folder.iterdir()):
        status = trial(engine, file, folder.parent / "answer")
        head, _, body = (folder.parent / "answer").read_bytes().partition(b"\n")
        found = json.loads(head) if status == 0 else {}
        found |= {"status": status, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()

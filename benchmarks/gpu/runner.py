"""Build, test, measure, in that order, each in processes of its own, within a number of minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.gpu import tables
from benchmarks.gpu.record import GpuRecords
from benchmarks.gpu.worker import POISONED

ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/gpu"
DEVICE_TESTS = [f"tests/engines/triton/test_{name}.py" for name in ("sine", "activation", "operand")]
"""Tests of device functions, which run on a GPU where there is one and in the interpreter elsewhere."""

TESTS_LOG = "gpu-tests.txt"

BUILD_SECONDS = 75.0
WARM_SECONDS = 75.0
TEST_SECONDS = 150.0
LEAVE_SECONDS = 12.0
MOST_SECONDS = 86_400.0
MOST_RESTARTS = 8


def environment() -> dict[str, str]:
    """Return the environment of every process: Triton compiles, whatever the caller has set."""
    return {**os.environ, "TRITON_INTERPRET": "0", "PYTHONUNBUFFERED": "1"}


def command(arguments: list[str], seconds: float, **options: Any) -> int:
    """Run ``python ARGUMENTS`` for at most so many seconds; return its status, 124 when the time was over."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment(), timeout=max(seconds, 1.0), **options
        )
    except subprocess.TimeoutExpired:
        return 124
    return done.returncode


def build(seconds: float) -> None:
    """Build the native engine in place; without it fastsnf runs as well, so that a failure is only said."""
    say("building what can be built")
    if status := command(["setup.py", "-q", "build_ext", "--inplace"], seconds):
        say(f"the native engine was not built (status {status})")


def warm(seconds: float) -> None:
    """Compile the core's kernels in parallel, as far as the time goes."""
    import torch

    from fastsnf.engines.triton.launch import architecture_of

    architecture = architecture_of(*torch.cuda.get_device_capability())
    workers = max(1, min(16, os.cpu_count() or 1))
    say(f"compiling for {architecture} in {workers} processes")
    if status := command(["-m", "benchmarks.gpu.warm", architecture, str(workers)], seconds):
        say(f"not all was compiled ahead (status {status})")


def test(folder: Path, seconds: float) -> int:
    """Run every file of GPU tests in a process of its own, all at once; return how many failed."""
    files = [*sorted((ROOT / TESTS).glob("test_*.py")), *(ROOT / name for name in DEVICE_TESTS)]
    options = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "filterwarnings="]
    options += ["--durations=5", "--tb=short"]
    end, running, failed = time.time() + seconds, [], 0
    for file in files:
        said = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, *options, str(file.relative_to(ROOT))],
            cwd=ROOT, env=environment(), stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
        running.append((file.name, process, said))
    with (folder / TESTS_LOG).open("w", encoding="utf-8") as log:
        for name, process, said in running:
            try:
                status = process.wait(timeout=max(1.0, end - time.time()))
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
            with said:
                said.seek(0)
                text = said.read()
            failed += status not in (0, 5)  # 5: nothing to run
            log.write(f"==== {name}: status {status}\n{text}\n")
            log.flush()
            say(f"{name}: status {status}\n{shortened(text)}")
    return failed


def shortened(text: str, most: int = 2500) -> str:
    """Return the end of a text."""
    return text if len(text) <= most else "...\n" + text[-most:]


def measure(suite: str, folder: Path, session: str, until: float) -> int:
    """Run workers until one ends in order; return 1 where a row or a side has failed."""
    status, failed = POISONED, 0
    with tempfile.TemporaryDirectory() as place:
        current = Path(place) / "row"  # what a worker that dies was at
        job = {"suite": suite, "folder": str(folder), "session": session, "current": str(current)}
        text = json.dumps({**job, "until": until})
        for _ in range(MOST_RESTARTS):
            limit = MOST_SECONDS if until == float("inf") else max(20.0, until - time.time() + LEAVE_SECONDS)
            status = command(["-m", "benchmarks.gpu.worker"], limit, input=text, text=True)
            if status not in (0, 1, POISONED) and current.is_file():
                key = current.read_text(encoding="utf-8")
                cause = "stopped: no time left" if status == 124 else f"the process died (status {status})"
                GpuRecords(folder, session).add(key, "failure", {"error": cause})
            failed += status != 0
            if status in (0, 1, 124) or time.time() > until:
                break
    return int(failed > 0)


def run(suite: str, folder: Path, minutes: float | None, command_line: str) -> int:
    """Build, test, measure and write tables; exit status 1 where anything failed, 2 without a GPU."""
    import torch

    if not torch.cuda.is_available():
        say("expected an NVIDIA GPU that PyTorch can use; torch.cuda.is_available() is False")
        return 2
    started = time.time()
    until = float("inf") if minutes is None else started + 60.0 * minutes
    session = f"{int(started)}-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    records = GpuRecords(folder, session)
    say(" ".join(f"{name}={value}" for name, value in records.machine.items()))
    failed = 0
    with ThreadPoolExecutor(2) as pool:  # side by side: the native engine waits for one compiler
        steps = {"build": pool.submit(build, BUILD_SECONDS), "warm": pool.submit(warm, WARM_SECONDS)}
        for name, step in steps.items():
            if error := step.exception():  # neither is needed
                say(f"{name}: {type(error).__name__}: {error}")
    say(f"testing after {time.time() - started:.0f} s")
    failed += test(folder, TEST_SECONDS if minutes is not None else 1800.0)
    records.add("tests", "tests", {"failed_files": failed, "spent_seconds": round(time.time() - started, 1)})
    say(f"measuring after {time.time() - started:.0f} s")
    failed += measure(suite, folder, session, until)
    text = tables.write(folder, command_line)
    say(text)
    say(f"{time.time() - started:.0f} s in all; " + ("all is well" if not failed else "something failed"))
    return 1 if failed else 0


def say(message: str) -> None:
    """Print a line at once."""
    print(message, flush=True)

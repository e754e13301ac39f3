"""Build, test, measure, in that order, each in processes of its own, within a number of minutes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import EXTENSION_SUFFIXES
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

PARTS = {"test_results.py": ("fp32", "tf32", "fast", "not fp32 and not tf32 and not fast")}
"""Files whose tests run in several processes, by what pytest's ``-k`` takes of them."""

BUILD_SECONDS = 90.0
WARM_SECONDS = 90.0
TEST_SECONDS = 200.0
"""Of the core, building beside warming: what is left of its minutes, 3.5 at least, is for measuring."""

LEAVE_SECONDS = 12.0
MOST_SECONDS = 86_400.0
MOST_RESTARTS = 8


def environment() -> dict[str, str]:
    """Return the environment of every process: Triton compiles, whatever the caller has set."""
    return {**os.environ, "TRITON_INTERPRET": "0", "PYTHONUNBUFFERED": "1"}


def started(arguments: list[str], **options: Any) -> subprocess.Popen[str]:
    """Start ``python ARGUMENTS`` as the head of a group of processes, so that `end` reaches its children."""
    extra = options.pop("env", {})
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env={**environment(), **extra}, start_new_session=True,
        text=True, encoding="utf-8", errors="replace", **options,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> None:
    """End a process and all its children: compilers that go on would slow down what is timed next."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def command(arguments: list[str], seconds: float, text: str | None = None) -> int:
    """Run ``python ARGUMENTS`` for at most so many seconds; return its status, 124 when the time was over."""
    process = started(arguments, stdin=None if text is None else subprocess.PIPE)
    try:
        process.communicate(text, timeout=max(seconds, 1.0))
    except subprocess.TimeoutExpired:
        return 124
    finally:
        end(process)
    return process.returncode


MODULES = {"_native": "the native CPU engine", "_cuda": "the CUDA extension"}


def build(seconds: float) -> int:
    """Build both native modules in place; return how many of those that a GPU needs are missing."""
    say("building the native modules")
    if status := command(["setup.py", "-q", "build_ext", "--inplace"], seconds):
        say(f"the build has ended with status {status}")
    for name, what in MODULES.items():
        if cause := not_built(name):
            say(f"{'!' * 10} {what} was not built: {cause}")
    return int(bool(not_built("_cuda")))


def not_built(name: str, folder: Path = ROOT / "fastsnf") -> str:
    """Return why a module of the package is not there, nothing where it is."""
    note = folder / f"{name}_not_built.txt"
    if note.is_file():
        return note.read_text(encoding="utf-8").strip()
    built = any((folder / f"{name}{suffix}").is_file() for suffix in EXTENSION_SUFFIXES)
    return "" if built else "the build has left neither the module nor a cause"


def warm(seconds: float) -> int:
    """Compile the kernels of the core and of the tests in parallel, as far as the time goes; return 0."""
    import torch

    from fastsnf.engines.triton.launch import architecture_of

    architecture = architecture_of(*torch.cuda.get_device_capability())
    workers = max(1, min(16, os.cpu_count() or 1))
    say(f"compiling for {architecture} in {workers} processes")
    if status := command(["-m", "benchmarks.gpu.warm", architecture, str(workers)], seconds):
        say(f"not all was compiled ahead (status {status})")
    return 0


def test_runs() -> list[tuple[str, list[str]]]:
    """Return the name and pytest's arguments of every process of tests."""
    found = []
    for file in [*sorted((ROOT / TESTS).glob("test_*.py")), *(ROOT / name for name in DEVICE_TESTS)]:
        path = str(file.relative_to(ROOT))
        if file.name in PARTS:
            found += [(f"{file.name} ({part})", [path, "-k", part]) for part in PARTS[file.name]]
        else:
            found.append((file.name, [path]))
    return found


def test(folder: Path, seconds: float) -> int:
    """Run the GPU tests in several processes, all at once; return how many of those failed."""
    options = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "filterwarnings="]
    options += ["--durations=5", "--tb=short"]
    runs = test_runs()
    threads = str(max(1, 2 * (os.cpu_count() or 1) // len(runs)))  # some processes are done early
    until, running, failed = time.time() + seconds, [], 0
    with contextlib.ExitStack() as stack, (folder / TESTS_LOG).open("w", encoding="utf-8") as log:
        for name, chosen in runs:
            said = stack.enter_context(tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace"))
            process = started(
                [*options, *chosen], stdout=said, stderr=subprocess.STDOUT, env={"OMP_NUM_THREADS": threads}
            )
            stack.callback(end, process)
            running.append((name, process, said))
        for name, process, said in running:
            try:
                status = process.wait(timeout=max(1.0, until - time.time()))
            except subprocess.TimeoutExpired:
                status = 124
                end(process)
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
            status = command(["-m", "benchmarks.gpu.worker"], limit, text)
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
    began = time.time()
    until = float("inf") if minutes is None else began + 60.0 * minutes
    session = f"{int(began)}-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    records = GpuRecords(folder, session)
    say(" ".join(f"{name}={value}" for name, value in records.machine.items()))
    failed = 0
    with ThreadPoolExecutor(2) as pool:  # side by side: the native engine waits for one compiler
        steps = {"build": pool.submit(build, BUILD_SECONDS), "warm": pool.submit(warm, WARM_SECONDS)}
        for name, step in steps.items():
            if error := step.exception():
                say(f"{name}: {type(error).__name__}: {error}")
                failed += name == "build"
            else:
                failed += step.result() or 0
    say(f"testing after {time.time() - began:.0f} s")
    failed_tests = test(folder, TEST_SECONDS if minutes is not None else 1800.0)
    failed += failed_tests
    records.add(
        "tests", "tests", {"failed_files": failed_tests, "spent_seconds": round(time.time() - began, 1)}
    )
    say(f"measuring after {time.time() - began:.0f} s")
    failed += measure(suite, folder, session, until)
    text = tables.write(folder, command_line)
    say(text)
    say(f"{time.time() - began:.0f} s in all; " + ("all is well" if not failed else "something failed"))
    return 1 if failed else 0


def say(message: str) -> None:
    """Print a line at once."""
    print(message, flush=True)

"""The child process: its crash is an error of one line, and it never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsnf.errors import InputError, RunError
from fastsnf.signals import child
from fastsnf.signals.mesh.place import Placement
from fastsnf.signals.mesh.process import WindingProcess
from tests.signals.mesh.files import sphere
from tests.train.processes import join, start, wait_for

pytest.importorskip("igl")

DEADLINE = 60.0


def child_of(resolution: int = 24, level: int = 2) -> WindingProcess:
    vertices, faces = sphere(level)
    return WindingProcess(vertices, faces, Placement.of(vertices, resolution), closed=False)


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


def test_the_child_gives_the_bits_and_says_how_far_it_is() -> None:
    seen: list[tuple[int, int]] = []
    process = child_of()
    octets = np.concatenate(list(process.octets(lambda done, planned: seen.append((done, planned)))))
    inside = np.unpackbits(octets, bitorder="little").reshape(24, 24, 24)
    x = np.stack(np.meshgrid(*[np.linspace(-1, 1, 24)] * 3, indexing="ij"), -1)
    sure = np.abs(np.linalg.norm(x, axis=-1) - 0.95) > 0.02
    np.testing.assert_array_equal(inside[sure] > 0, np.linalg.norm(x, axis=-1)[sure] < 0.95)
    assert seen[-1] == (24**3, 24**3)
    assert process.result["rays_sampled"] == 4096


def with_code(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have the child run `code` before its own."""
    monkeypatch.setattr(child, "_START", f"{code}\n{child._START}")


@pytest.mark.parametrize(
    ("code", "match"),
    [
        ("import os; os.abort()", "ended by SIGABRT; choose another resolution"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "ended by SIGKILL; the machine may be out of",
        ),
        ("import sys; print('terrible thing', file=sys.stderr); sys.exit(3)", r"status 3 \(terrible thing\)"),
        ("raise MemoryError('none')", r"status 1 \(MemoryError: none\)"),
        ("import sys; sys.stdin.buffer.read(); sys.exit(0)", "status 0"),
        ("import os; os.write(1, b'B\\x10'); os._exit(0)", "status 0"),
    ],
)
def test_a_child_that_dies_is_a_run_error(monkeypatch: pytest.MonkeyPatch, code: str, match: str) -> None:
    with_code(monkeypatch, code)
    with pytest.raises(RunError, match=match) as caught:
        list(child_of().octets())
    assert "\n" not in str(caught.value)


def test_what_libraries_print_does_not_reach_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    with_code(
        monkeypatch,
        "import os, atexit; from fastsnf.signals.mesh import worker; o = worker._axis\n"
        "def noisy(*a):\n    os.write(1, b'chatter of a library')\n    return o(*a)\nworker._axis = noisy",
    )
    assert sum(map(len, child_of().octets())) == 24**3 // 8


def test_whoever_stops_reading_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def remembered(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(original(*args, **kwargs))
        return started[-1]

    original = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", remembered)
    with_code(monkeypatch, "import time; time.sleep(600)")
    frames = iter([(b"B", b"\1")])
    monkeypatch.setattr(child, "_frame", lambda _: next(frames))
    octets = child_of().octets()
    assert next(octets).tolist() == [1]
    assert started[0].poll() is None
    octets.close()
    assert started[0].poll() == -signal.SIGKILL


def evaluate_process(marker: Path) -> None:
    """What a parent does: some seconds of winding numbers."""
    marker.touch()
    list(child_of(160, 4).octets())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_child_outlives_its_parent(how: signal.Signals, tmp_path: Path) -> None:
    parent = start(evaluate_process, tmp_path / "marker")
    wait_for(tmp_path / "marker", parent)

    def children() -> list[int]:
        text = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
        return [int(word) for word in text.split()]

    try:
        wait_until(lambda: len(children()) > 0)
        (pid,) = children()
        os.kill(parent.pid or 0, how)
        assert join(parent) != 0
        wait_until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))
    finally:
        parent.kill()


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in ("Z", "X")
    except OSError:
        return True


def test_a_machine_without_libigl_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "igl", None)
    with pytest.raises(InputError, match=r"pip install 'fastsnf\[mesh\]'"):
        child_of()


def test_a_machine_without_room_for_a_process_is_a_run_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", full)
    with pytest.raises(RunError, match="Resource temporarily unavailable"):
        list(child_of().octets())

"""Exit statuses, one line for each failure, and help that answers without loading torch."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from fastsnf.cli import info
from fastsnf.cli.main import COMMANDS, Terminated, outcome
from fastsnf.errors import EngineError, InputError, RunError
from tests.cli.conftest import environment, finish, spawn

HEAVY = ("torch", "numpy", "PIL", "rich", "matplotlib", "safetensors")


@pytest.mark.parametrize(
    "args", [["--help"], ["fit", "--help"], ["render", "--help"], ["info", "-h"], ["bench", "-h"]]
)
def test_help_loads_nothing_heavy(args, tmp_path):
    probe = (
        "import sys\nfrom fastsnf.cli import main\nstatus = main(sys.argv[1:])\n"
        f"print('loaded', sorted(set(sys.modules) & set({HEAVY})), status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *args], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.stdout.startswith("usage: fastsnf")
    assert done.stdout.splitlines()[-1] == "loaded [] 0"
    assert done.stderr == ""


def test_help_lists_every_command(command):
    shown = command("--help")
    assert shown.status == 0
    assert all(f"  {name} " in shown.out for name in COMMANDS)


def test_version(command):
    import fastsnf

    assert command("--version").out == f"fastsnf {fastsnf.__version__}\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "expected a command, one of fit, render, info, bench, analyze, tune, reproduce; got nothing"),
        (["fti"], "got 'fti', did you mean 'fit'?"),
        (["--fit"], "expected the command to be one of fit"),
        (["info", "--jsn"], "did you mean '--json'?"),
        (["bench", "tran"], "did you mean 'train'?"),
        (["render"], "expected RUN; got nothing"),
    ],
)
def test_a_wrong_request_is_status_2_and_one_line(command, args, said):
    done = command(*args)
    assert done.status == 2
    assert said in done.line()
    assert done.out == ""


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("expected a; got b"), 2, "expected a; got b"),
        (EngineError("two\nlines"), 2, "two lines"),
        (RunError("loss is NaN at step 3"), 1, "loss is NaN at step 3"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), 1, "No space left on device: 'runs/a'"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 1, "Permission denied"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 1, "can't allocate"),
        (ModuleNotFoundError("No module named 'PIL'", name="PIL"), 1, "PIL"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Terminated(), 143, "interrupted"),
    ],
)
def test_every_failure_has_its_status_and_its_line(command, monkeypatch, error, status, said):
    def fail(argv):
        raise error

    monkeypatch.setattr(info, "main", fail)
    done = command("info")
    assert done.status == status
    assert said in done.line()


def test_an_internal_fault_shows_its_traceback(command, monkeypatch):
    monkeypatch.setattr(info, "main", lambda argv: {}["absent"])
    done = command("info")
    assert done.status == 1
    assert "Traceback" in done.err
    assert "KeyError: 'absent'" in done.err


def test_a_fault_inside_the_package_is_not_taken_for_a_missing_one():
    assert outcome(ModuleNotFoundError("No module named 'fastsnf.gone'", name="fastsnf.gone")) == (1, None)


def test_info_names_each_engine_and_why_it_cannot_run(command):
    facts = json.loads(command("info", "--json").out)
    assert {"fastsnf", "versions", "devices", "threads", "engines"} <= set(facts)
    engines = {row["engine"]: row for row in facts["engines"]}
    assert engines["reference"]["available"]
    assert engines["cuda"]["reasons"]
    assert engines["triton"]["available"] == (not engines["triton"]["reasons"])
    assert facts["devices"][0]["device"] == "cpu"
    table = command("info")
    assert table.status == 0
    assert all(name in table.out for name in engines)


def test_bench_outside_a_checkout_says_where_to_get_it(command, monkeypatch, tmp_path):
    import fastsnf

    monkeypatch.setattr(fastsnf, "__file__", str(tmp_path / "site-packages" / "fastsnf" / "__init__.py"))
    done = command("bench", "train")
    assert done.status == 2
    assert "clone the repository" in done.line()


def test_bench_runs_the_runner_of_the_checkout(command, monkeypatch, tmp_path):
    import fastsnf

    runner = tmp_path / "checkout" / "benchmarks"
    runner.mkdir(parents=True)
    (runner / "__init__.py").touch()
    (runner / "__main__.py").write_text(
        "import sys; open('seen', 'w').write(' '.join(sys.argv[1:])); sys.exit(7)"
    )
    monkeypatch.setattr(fastsnf, "__file__", str(tmp_path / "checkout" / "fastsnf" / "__init__.py"))
    assert command("bench", "infer", "--json").status == 7
    assert (runner.parent / "seen").read_text() == "infer --json"


def test_a_reader_that_leaves_early_is_no_fault(tmp_path):
    process = spawn("info", "--json", cwd=tmp_path)
    process.stdout.close()
    process.stdout = None
    done = finish(process)
    assert done.status == 1
    assert done.err == ""


def test_a_reader_that_leaves_a_fit_is_no_fault_either(command, monkeypatch):
    def leave(argv):
        raise SystemExit(1)  # what rich makes of a broken pipe

    monkeypatch.setattr(info, "main", leave)
    done = command("info")
    assert (done.status, done.err) == (1, "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_outside_a_fit_is_one_line_and_its_status(tmp_path, number, status):
    waiting = "import time; open('here', 'w').close(); time.sleep(60)"
    probe = (
        "import sys\nfrom fastsnf.cli import info, main\n"
        f"def wait(argv):\n    {waiting}\n"
        "info.main = wait\nsys.exit(main(['info']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", probe], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "here").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, number)
    done = finish(process)
    assert done.status == status
    assert "interrupted" in done.line()

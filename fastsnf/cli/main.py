"""The entry point: choose the command, run it, and turn every failure into an exit status and one line.

Exit statuses: 0 done; 2 the request or the input file is wrong; 1 disk, memory, a loss that is NaN; 130 after
Ctrl-C and 143 after SIGTERM. Only an internal fault prints a traceback, and ends with 1.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

from fastsnf.errors import InputError, RunError, out_of_memory, unknown

COMMANDS = {
    "fit": "fit a field to a photograph, a sound, a solid or another signal and write a run folder",
    "render": "decode a fitted field at any resolution",
    "info": "version, devices and engines, and why an engine cannot run here",
    "bench": "measure this machine, side by side with eager PyTorch",
    "analyze": "NTK, Hessian and frequency spectra of a field: tables and pictures",
    "tune": "search alpha, an omega, a scale or a rate by short fits, as the papers tuned them",
    "reproduce": "run a paper's table or figure again, beside the paper's numbers",
}
"""Every command with its one line of help; ``fastsnf.cli.<command>.main`` runs it."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived while no trainer was there to save first."""

    exit_status = 128 + signal.SIGTERM


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of the process) and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a path that the terminal cannot show must not end the run
            stream.reconfigure(errors="backslashreplace")
    status = _run(arguments)
    parallel = sys.modules.get("fastsnf.train.parallel")
    if parallel is not None:
        parallel.leave(status)  # does not come back where this process was one of several
    return status


def _run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status, whatever ends it."""
    try:
        with _sigterm_raises():
            status = dispatch(arguments)
            sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader of a pipe has left: nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        status, line = outcome(error)
        if line is None:
            traceback.print_exception(error)
        elif line and not getattr(error, "told_elsewhere", False):  # by another of several processes
            print(f"fastsnf: {line}", file=sys.stderr)
        return status


def dispatch(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` names and return its exit status."""
    if not arguments:
        raise InputError(f"expected a command, one of {', '.join(COMMANDS)}; got nothing; see fastsnf --help")
    command, *rest = arguments
    if command in ("-h", "--help", "help"):
        print(usage())
        return 0
    if command in ("-V", "--version"):
        from fastsnf import __version__

        print(f"fastsnf {__version__}")
        return 0
    if command not in COMMANDS:
        raise unknown("the command", command, COMMANDS)
    return int(import_module(f"fastsnf.cli.{command}").main(rest))


def usage() -> str:
    """Return the help text of the command line."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {line}" for name, line in COMMANDS.items())
    return (
        "usage: fastsnf COMMAND [OPTIONS]\n\n"
        "Sinusoidal neural fields on fused kernels.\n\n"
        f"commands:\n{commands}\n\n"
        "fastsnf COMMAND --help lists the options of a command; fastsnf --version prints the version."
    )


def outcome(error: BaseException) -> tuple[int, str | None]:
    """Return the exit status of `error` and its line for the user, empty where there is nothing to say.

    An internal fault is status 1 and None: it deserves its traceback.
    """
    line = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return (error.code if isinstance(error.code, int) else 0 if error.code is None else 1), ""
    if isinstance(error, KeyboardInterrupt):
        # The trainer's own interruption knows its signal too, and says what it saved.
        return getattr(error, "exit_status", 128 + signal.SIGINT), line or "interrupted; nothing was saved"
    if isinstance(error, InputError):
        return 2, line
    if isinstance(error, RunError):
        return 1, line
    if isinstance(error, OSError):
        return 1, f"{line}; check the disk, the path and its permissions"
    if out_of_memory(error):
        return 1, f"out of memory: {line or 'nothing left'}; try a smaller --batch-size, signal or field"
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("fastsnf"):
        return 1, f"expected the package {error.name!r}; it is not installed: pip install {error.name}"
    return 1, None


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that a command that no trainer guards ends with its one line too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)

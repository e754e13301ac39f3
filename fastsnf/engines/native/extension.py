"""The extension ``fastsnf._native``: loading it, the instruction set and the threads that it runs on."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch

MOST_THREADS = 1024
"""As many as the extension takes."""

NOT_BUILT = Path(__file__).parents[2] / "_native_not_built.txt"
"""Where the build leaves the compiler's message when it fails."""

_variant: contextvars.ContextVar[str] = contextvars.ContextVar("fastsnf_cpu_variant", default="")

_PROCESS = os.getpid()
"""The process that imported this module, perhaps the parent of the one that loads the extension."""


@functools.cache
def load() -> tuple[ModuleType | None, str]:
    """Return the extension and, where it is missing or does not run here, why."""
    try:
        from fastsnf import _native
    except ImportError as error:
        cause = NOT_BUILT.read_text().strip() if NOT_BUILT.exists() else str(error)
        return (
            None,
            f"the C++ extension is not built ({cause}); install a C++17 compiler and reinstall fastsnf",
        )
    try:
        _native.variant("")
    except ValueError as error:
        return None, str(error)
    if os.getpid() != _PROCESS:
        _native.own_threads()  # OpenMP's may have been torch's, in the parent
    return _native, ""


def module() -> ModuleType:
    """Return the extension module.

    Raises:
        RuntimeError: when it is not built or FASTSNF_CPU names a variant that does not run here.
    """
    native, cause = load()
    if native is None:
        raise RuntimeError(cause)
    return native


@torch.compiler.assume_constant_result
def missing() -> str:
    """Return why the engine cannot run on this machine, an empty string when it can."""
    return load()[1]


def variants() -> list[str]:
    """Return the instruction sets that run here, the widest first; none without the extension."""
    native, _ = load()
    return [] if native is None else [name for name, runs_here, _ in native.variants() if runs_here]


@contextlib.contextmanager
def use_variant(name: str) -> Iterator[None]:
    """Run the instruction set `name` inside the block instead of the widest.

    Raises:
        ValueError: for a name that is unknown or does not run on this processor.
    """
    module().variant(name)
    token = _variant.set(name)
    try:
        yield
    finally:
        _variant.reset(token)


def detail() -> str:
    """Return the instruction set and thread count in use, empty when the engine cannot run."""
    native, _ = load()
    return "" if native is None else f"{native.variant(_variant.get())}, {threads()} threads"


def variant() -> str:
    """Return the instruction set that `use_variant` asks for, "" for the widest."""
    return _variant.get()


def threads() -> int:
    """Return the number of threads of a call: torch's."""
    return min(torch.get_num_threads(), MOST_THREADS)

"""The machine: what it is, its FMA peak and its copy bandwidth now."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import fastsnf

PEAK_SECONDS = 0.03
"""Length of one measurement of the peak: long for the clock, short against the machine's moods."""

COPY_BYTES = 2**28
"""Size of the copied buffer: several times the last-level cache."""

COPY_REPEATS = 4


def native() -> ModuleType | None:
    """Return the native module, or None where it is not built."""
    try:
        return import_module("fastsnf._native")
    except ImportError:
        return None


def fma_peak(variant: str | None = None) -> float | None:
    """Return the rate of FMA loops on PyTorch's threads, in GFLOP/s; None without the native module.

    Args:
        variant: the instruction set whose vectors are used; None: the one in use.
    """
    module = native()
    if module is None:
        return None
    return float(module.fma_peak(variant or "", torch.get_num_threads(), PEAK_SECONDS)) / 1e9


def copy_bandwidth() -> float | None:
    """Return the rate of a large copy, in GB/s read plus written; None without the native module."""
    module = native()
    if module is None:
        return None
    return float(module.copy_bandwidth(torch.get_num_threads(), COPY_BYTES, COPY_REPEATS)) / 1e9


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def package_version(name: str) -> str | None:
    """Return the installed version of a package, None when it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def describe() -> dict[str, Any]:
    """Return the facts that every record carries: machine and versions."""
    module = native()
    return {
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "numpy": package_version("numpy"),
        "triton": package_version("triton"),
        "fastsnf": fastsnf.__version__,
        "commit": commit(),
        "variant": None if module is None else module.variant(""),
    }


def commit() -> str | None:
    """Return the commit of this checkout, with a + where files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def available_memory() -> int | None:
    """Return the bytes that can be allocated without swapping, None where the system does not say."""
    info = Path("/proc/meminfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    return sizes[0] if sizes else None


def variants() -> list[str]:
    """Return the instruction sets of the native engine that this machine can run, the fastest first."""
    module = native()
    return [] if module is None else [name for name, runs, _ in module.variants() if runs]

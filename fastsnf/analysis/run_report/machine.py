"""What a run was computed on: processor, cores, memory, system and versions."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsnf.train import FitResult

PACKAGES = ("torch", "numpy", "triton", "safetensors")


def machine_rows(result: FitResult, recorded: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts as (name, value).

    Args:
        result: of the fit, for engine and device.
        recorded: the table ``[fastsnf]`` of the run's configuration, whose versions are those of the fit.
    """
    from fastsnf.version import __version__

    rows = [
        ("engine", f"{result.engine} on {_device(result.device)}, {result.precision}"),
        ("processor", f"{processor()}, {_cores()}"),
        ("memory", f"{memory() / 1e9:.1f} GB"),
        ("threads", str(recorded["threads"]) if "threads" in recorded else ""),
        ("system", platform.platform()),
        ("fastsnf", str(recorded.get("version", __version__))),
        ("Python", platform.python_version()),
        *((name, _version(name, recorded)) for name in PACKAGES),
    ]
    return [(name, value) for name, value in rows if value]


def processor() -> str:
    """Return the processor's name, or its architecture where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def memory() -> int:
    """Return the bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cores() -> str:
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{here} logical cores" + ("" if here == os.cpu_count() else f" of {os.cpu_count()}")


def _device(device: str) -> str:
    import torch

    if not device.startswith("cuda") or not torch.cuda.is_available():
        return device
    return f"{device} ({torch.cuda.get_device_name(torch.device(device))})"


def _version(package: str, recorded: Mapping[str, Any]) -> str:
    if package in recorded:
        return str(recorded[package])
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

"""The CUDA engine on the CPU: the extension's own sources, compiled by g++ against the emulator's runtime."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest import mock

from torch import Tensor

from fastsnf.engines import cuda

ROOT = Path(__file__).resolve().parents[3]
EMULATOR = Path(__file__).parent / "emulator"
FLAGS = ["-std=c++17", "-O1", "-fno-strict-aliasing", "-Wno-unknown-pragmas", "-shared", "-fPIC"]
FLAGS += ["-fvisibility=hidden", '-DFASTSNF_CUDA_ARCHITECTURES="emulated"']
UNIT = "".join(f'#include "{name}"\n' for name in ("cuda/gram.cu", "cuda/eigh_small.cu", "bindings_cuda.cpp"))

LARGE_TILES, SMALL_TILES = "0", "1000000"
"""Multiprocessors of the emulated GPU with which every call takes the tiles of that size."""


def sources() -> list[Path]:
    """Return every file that the module is made of."""
    files = [*(ROOT / "csrc/cuda").iterdir(), ROOT / "csrc/bindings_cuda.cpp", *EMULATOR.iterdir()]
    return sorted(files)


def build(folder: Path) -> Path:
    """Compile the module into `folder`, unless these very sources were; return its path."""
    import pybind11

    text = UNIT + " ".join(FLAGS) + "".join(path.read_text(encoding="utf-8") for path in sources())
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    target = folder / hashlib.sha256(text.encode()).hexdigest()[:16] / f"_cuda{suffix}"
    if target.is_file():
        return target
    shutil.rmtree(folder, ignore_errors=True)
    target.parent.mkdir(parents=True)
    unit = target.with_name("emulated.cpp")
    unit.write_text(UNIT, encoding="utf-8")
    include = [EMULATOR, ROOT / "csrc", pybind11.get_include(), sysconfig.get_path("include")]
    built = target.with_suffix(".part")
    command = ["g++", *FLAGS, *(f"-I{path}" for path in include), str(unit), "-o", str(built)]
    subprocess.run(command, check=True)
    built.rename(target)
    return target


def load(path: Path) -> ModuleType:
    """Return the module of a file."""
    spec = importlib.util.spec_from_file_location("_cuda", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def place(tensor: Tensor) -> tuple[int, int]:
    """Return the emulated device and stream of a CPU tensor."""
    assert tensor.device.type == "cpu"
    return 0, 0


@contextlib.contextmanager
def running(module: ModuleType, *, processors: str = "132", order: str = "forward") -> Iterator[None]:
    """Make `fastsnf.engines.cuda` run on CPU tensors inside the block."""
    with (
        mock.patch.object(cuda, "_load", return_value=(module, "")),
        mock.patch.object(cuda, "_place", place),
        mock.patch.dict(
            os.environ, {"FASTSNF_EMULATED_PROCESSORS": processors, "FASTSNF_EMULATED_ORDER": order}
        ),
    ):
        yield

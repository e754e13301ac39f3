"""The CUDA extension compiles for every machine that it names, within its registers."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.build_script import build_script

pytest.importorskip("setuptools")

ROOT = Path(__file__).resolve().parents[3]
REGISTERS = 65536
"""Of a multiprocessor, on every machine that is compiled for."""

BLOCKS = {"64": (64, 4), "32": (128, 3), "eigh": (256, 1)}
"""Threads of a block and blocks a multiprocessor: the launch bounds of `LargeTile`, `SmallTile`, Jacobi."""


class Usage(NamedTuple):
    """What ptxas says of one kernel on one machine."""

    kernel: str
    machine: str
    stack: int
    spills: int
    registers: int


BUILD = build_script()


def nvcc() -> list[str]:
    """Return nvcc's command, or skip."""
    try:
        return BUILD.nvcc()
    except BUILD.NoCompiler as error:
        pytest.skip(str(error))


def usages(text: str) -> list[Usage]:
    """Return what ``-Xptxas -v`` printed, kernel by kernel."""
    pattern = re.compile(
        r"Compiling entry function '(\w+)' for '(\w+)'.*?"
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
        r"Used (\d+) registers",
        re.DOTALL,
    )
    return [
        Usage(kernel, machine, int(stack), int(stores) + int(loads), int(registers))
        for kernel, machine, stack, stores, loads, registers in pattern.findall(text)
    ]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[Usage]:
    """Compile both kernels for all machines, one call of nvcc."""
    folder = tmp_path_factory.mktemp("compiled")
    unit = folder / "kernels.cu"
    sources = [ROOT / part.source for part in BUILD.cuda_units() if part.source.endswith(".cu")]
    unit.write_text("".join(f'#include "{source}"\n' for source in sources), encoding="utf-8")
    command = [*nvcc(), *BUILD.CUDA_FLAGS, "-Xptxas", "-v", "--threads", "2", f"-I{ROOT / 'csrc'}"]
    done = subprocess.run(
        [*command, "-c", str(unit), "-o", str(folder / "kernels.o")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr, done.stderr
    return usages(done.stderr)


def threads_and_blocks(kernel: str) -> tuple[int, int]:
    """Return the launch bounds of a kernel by its mangled name."""
    if "eigh_small" in kernel:
        return BLOCKS["eigh"]
    tile = re.search(r"ShapeILi(\d+)E", kernel)
    assert tile is not None, kernel
    return BLOCKS[tile[1]]


def test_every_kernel_on_every_machine(compiled: Sequence[Usage]) -> None:
    expected = {f"sm_{machine}" for machine in BUILD.CUDA_MACHINES}
    kernels = {usage.kernel for usage in compiled}
    assert len(kernels) == len(BLOCKS)
    for kernel in kernels:
        assert {usage.machine for usage in compiled if usage.kernel == kernel} == expected


def test_no_stack_frame_and_no_spills(compiled: Sequence[Usage]) -> None:
    assert [usage for usage in compiled if usage.stack or usage.spills] == []


def test_registers_leave_room_for_the_blocks_that_hide_latency(compiled: Sequence[Usage]) -> None:
    for usage in compiled:
        threads, blocks = threads_and_blocks(usage.kernel)
        assert usage.registers * threads * blocks <= REGISTERS, usage


def cuobjdump() -> str:
    """Return the tool that lists what a binary holds: on the PATH, or triton's; or skip."""
    triton = importlib.util.find_spec("triton")
    folders = list((triton and triton.submodule_search_locations) or [])
    for place in ("cuobjdump", *(f"{folder}/backends/nvidia/bin/cuobjdump" for folder in folders)):
        if found := shutil.which(place):
            return found
    pytest.skip("needs cuobjdump, of CUDA or of triton")


def test_the_built_module_holds_the_machine_code_that_it_names() -> None:
    module = importlib.util.find_spec("fastsnf._cuda")
    if module is None or module.origin is None:
        pytest.skip("fastsnf._cuda is not built")
    from fastsnf import _cuda

    assert _cuda.ARCHITECTURES == BUILD.CUDA_CODE
    for option, expected in (("--list-elf", BUILD.CUDA_MACHINES), ("--list-ptx", [BUILD.CUDA_PTX])):
        listed = subprocess.run(
            [cuobjdump(), option, module.origin], capture_output=True, text=True, check=True
        )
        assert set(re.findall(r"sm_(\d+)", listed.stdout)) == set(expected)

"""Compile recorded launches for a GPU that need not be there, and read what the compiler made of them.

A `Build` is one specialisation of a kernel, made from a `Launch` by Triton's own launcher: types from the
tensors, an int that is 1 and None as constants, divisibility by 16 of pointers and ints. Its `Report` comes
from the tools of Triton's wheel (`ptxas`, `cuobjdump`), so that a machine without a GPU judges exactly what
one with a GPU runs. Needs a process in which Triton does not interpret.
"""

from __future__ import annotations

import contextlib
import functools
import io
import multiprocessing
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import create_function_from_signature

from fastsnf.engines.triton.launch import ARCHITECTURES, Launch

SHARED_MEMORY = {"sm_80": 163 * 1024, "sm_89": 99 * 1024, "sm_90": 227 * 1024}
"""Bytes of shared memory that one block may take on each architecture."""

REDUCTION_TABLE = "__cudart_i2opi_f"
"""The table of 2/pi that CUDA's sine brings along with its slow path (Payne-Hanek)."""


@dataclass(frozen=True)
class Build:
    """One specialisation of a kernel for one architecture; equal builds give equal binaries."""

    key: str
    architecture: str
    kernel: Any = field(compare=False, repr=False)
    signature: dict[str, str] = field(compare=False, repr=False)
    constants: dict[tuple[int, ...], Any] = field(compare=False, repr=False)
    attributes: dict[tuple[int, ...], Any] = field(compare=False, repr=False)
    options: dict[str, Any] = field(compare=False, repr=False)

    def named_constants(self) -> dict[str, Any]:
        """Return the compile-time constants by name, as JSON can hold them."""
        names = self.kernel.arg_names
        return {
            names[path[0]]: value
            if value is None or isinstance(value, bool | int | float | str)
            else str(value)
            for path, value in self.constants.items()
        }


@dataclass(frozen=True)
class Report:
    """What one build takes of the machine, and the instructions that decide its speed.

    Attributes:
        kernel, architecture, key: what was built.
        types: the types of its run-time arguments; constants: the others, by name.
        registers: a thread; stack, local: bytes a thread; shared: bytes a block.
        spill_stores, spill_loads: bytes of registers that a thread moves to local memory and back.
        dots: matrix products in the source as compiled (after unrolling of static loops).
        wgmma, mma: warpgroup and warp matrix instructions.
        special: instructions of the special-function unit by name: SIN, COS, EX2, RCP, ..., and the
            conversions that share it: I2F, F2I, FRND. Empty where the machine code was not asked for.
        slow_sine: whether CUDA's sine with its slow path is in it.
        serialized: whether `ptxas` says that every wgmma waits for the one before it.
        instructions: length of the machine code, 0 where it was not asked for.
    """

    kernel: str
    architecture: str
    key: str
    types: dict[str, str]
    constants: dict[str, Any]
    warps: int
    stages: int
    registers: int
    stack: int
    local: int
    shared: int
    spill_stores: int
    spill_loads: int
    dots: int
    wgmma: int
    mma: int
    special: dict[str, int]
    slow_sine: bool
    serialized: bool
    instructions: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return asdict(self)

    def faults(self) -> list[str]:
        """Return everything that must not be in a build that is fast, the spills apart."""
        limit = SHARED_MEMORY[self.architecture]
        found = []
        if self.shared > limit:
            found.append(f"takes {self.shared} bytes of shared memory of {limit}")
        if self.slow_sine:
            found.append("holds CUDA's sine with its slow path; sine belongs to kernels/sine.py")
        if self.serialized:
            found.append("has wgmma instructions that wait for each other (ptxas: serialized)")
        if self.dots and not (self.wgmma or self.mma):
            found.append(f"has {self.dots} matrix products and no tensor-core instruction")
        elif self.dots and self.architecture == "sm_90" and (self.mma or not self.wgmma):
            found.append(
                f"has {self.mma} warp and {self.wgmma} warpgroup matrix instructions, wgmma expected"
            )
        return found

    def spills(self) -> list[str]:
        """Return how registers went to memory, nothing where they did not."""
        counts = {
            "bytes of spill stores": self.spill_stores,
            "bytes of spill loads": self.spill_loads,
            "bytes of stack": self.stack,
            "bytes of local memory": self.local,
        }
        return [f"{count} {what}" for what, count in counts.items() if count]


def build_of(launch: Launch, architecture: str) -> Build:
    """Return what Triton's launcher would compile for `launch` on `architecture`."""
    kernel = launch.kernel
    backend, binder = _binder(kernel, architecture)
    given = {**launch.arguments, **launch.constants, "num_warps": launch.warps, "num_stages": launch.stages}
    bound, specialization, extra = binder(**given)
    options, signature, constants, attributes = kernel._pack_args(
        backend, {**given, "debug": False}, bound, specialization, extra
    )
    shape = [sorted(signature.items()), sorted(constants.items()), sorted(attributes.items())]
    name = f"{kernel.__module__}.{kernel.__name__}"
    key = f"{name} {architecture} {options.num_warps} {options.num_stages} {shape}"
    return Build(key, architecture, kernel, signature, constants, attributes, dict(options.__dict__))


def builds_of(launches: Iterable[Launch], architecture: str) -> list[Build]:
    """Return the different builds of `launches`, in the order they are first met."""
    return list({build.key: build for build in (build_of(one, architecture) for one in launches)}.values())


def compile_report(build: Build, *, machine_code: bool = False) -> Report:
    """Compile a build and return its report.

    Args:
        build: from `build_of`.
        machine_code: whether to count instructions of the machine code too, which takes as long again.

    Raises:
        RuntimeError: the compiler failed; its message is the cause.
    """
    source = ASTSource(build.kernel, build.signature, build.constants, build.attributes)
    said = io.StringIO()
    with knobs.compilation.scope(), knobs.nvidia.scope(), contextlib.redirect_stdout(said):
        knobs.compilation.always_compile = True  # what comes from the cache brings no log
        knobs.nvidia.dump_ptxas_log = True
        try:
            compiled = triton.compile(source, target=_target(build.architecture), options=build.options)
        except Exception as error:
            name = f"{build.kernel.__name__} on {build.architecture}, {build.named_constants()}"
            raise RuntimeError(f"{name}: does not compile: {type(error).__name__}: {error}") from error
    code = _cuobjdump("--dump-sass", compiled.asm["cubin"]) if machine_code else ""
    return _read(build, compiled, said.getvalue(), code)


def _read(build: Build, compiled: Any, log: str, code: str) -> Report:
    """Return the report of a compiled kernel, from its assembly, the log of `ptxas` and its machine code."""
    usage = _cuobjdump("--dump-resource-usage", compiled.asm["cubin"])
    resources = re.search(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage)
    spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    if resources is None or spills is None:
        raise RuntimeError(f"{build.key}: ptxas and cuobjdump say no resources: {log}{usage}")
    special: dict[str, int] = {}
    for function, conversion in re.findall(r"\bMUFU\.(\w+)|\b(I2F|F2I|FRND)\b", code):
        name = function or conversion
        special[name] = special.get(name, 0) + 1
    ptx = compiled.asm["ptx"]
    return Report(
        kernel=build.kernel.__name__,
        architecture=build.architecture,
        key=build.key,
        types={name: kind for name, kind in build.signature.items() if kind != "constexpr"},
        constants=build.named_constants(),
        warps=build.options["num_warps"],
        stages=build.options["num_stages"],
        registers=int(resources[1]),
        stack=int(resources[2]),
        local=int(resources[3]),
        shared=compiled.metadata.shared,
        spill_stores=int(spills[1]),
        spill_loads=int(spills[2]),
        dots=_count(r"\btt\.dot\b", compiled.asm["ttir"]),
        wgmma=_count(r"\bwgmma\.mma_async\b", ptx),
        mma=_count(r"\bmma\.sync\b", ptx),
        special=dict(sorted(special.items())),
        slow_sine=REDUCTION_TABLE in ptx,
        serialized="wgmma.mma_async instructions are serialized" in log,
        instructions=_count(r"\n\s+/\*[0-9a-f]{4,6}\*/", code),
    )


def compile_all(
    builds: Sequence[Build], workers: int, *, machine_code: bool = False
) -> Iterator[tuple[Build, Report | str]]:
    """Compile `builds` in `workers` processes and yield each, in order, with its report or its error.

    The processes are forks: a kernel is known by what the parent has imported.
    """
    global _queue
    _queue = list(builds)
    one = functools.partial(_compile, machine_code=machine_code)
    if workers <= 1 or len(builds) <= 1:
        yield from zip(builds, map(one, range(len(builds))), strict=True)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from zip(builds, pool.map(one, range(len(builds))), strict=True)


_queue: list[Build] = []


def _compile(index: int, *, machine_code: bool) -> Report | str:
    try:
        return compile_report(_queue[index], machine_code=machine_code)
    except RuntimeError as error:
        return str(error)


def _target(architecture: str) -> GPUTarget:
    return GPUTarget("cuda", int(architecture.removeprefix("sm_")), 32)


@functools.cache
def _binder(kernel: Any, architecture: str) -> tuple[Any, Any]:
    """Return Triton's backend for an architecture, and its function that specialises a kernel's arguments."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"expected one of {', '.join(ARCHITECTURES)}; got {architecture!r}")
    backend = make_backend(_target(architecture))
    return backend, create_function_from_signature(kernel.signature, kernel.params, backend)


def _cuobjdump(option: str, binary: bytes) -> str:
    """Return what CUDA's tool says of a binary."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        return subprocess.run([tool, option, file.name], capture_output=True, text=True, check=True).stdout


def _count(pattern: str, text: str) -> int:
    return len(re.findall(pattern, text))

"""Build of the native modules: `fastsnf._native`, the CPU engine, and `fastsnf._cuda`, the CUDA extension.

`fastsnf._native` is one binary for every CPU of an architecture. `csrc/cpu/variant.cpp` holds every kernel in
a namespace named by FASTSNF_VARIANT. It is compiled once for each instruction set, with that set's flags; the
remaining sources are compiled once, with the baseline's, and choose a variant at run time.

`fastsnf._cuda` is built where nvcc is found, which needs no GPU: machine code for CUDA_MACHINES, and PTX that
the driver of a newer GPU compiles when the module is first used. The CUDA runtime is linked in.

No torch header is used, so one build serves every torch. Both modules are optional: where one cannot be
built, the package installs without it and runs on the other engines. The cause is stored beside the package,
where the engine's reasons quote it, and said once, unless it is that there is no nvcc.

CXX, CPPFLAGS, CXXFLAGS and LDFLAGS are honoured, and for CUDA CUDACXX, CUDA_HOME, CUDA_PATH and NVCCFLAGS.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
VARIANT_SOURCE = "csrc/cpu/variant.cpp"

COMPILE_FLAGS = ["-std=c++17", "-O3", "-DNDEBUG", "-pthread", "-fPIC", "-fvisibility=hidden"]
COMPILE_FLAGS += ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
MAC_LINK_FLAGS = ["-bundle", "-undefined", "dynamic_lookup"]
LINK_FLAGS = ["-pthread", *(MAC_LINK_FLAGS if sys.platform == "darwin" else ["-shared"])]

AVX2 = ["-mavx2", "-mfma"]
AVX512 = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", *AVX2]
AMX = ["-DFASTSNF_TILES=1", "-mamx-tile", "-mamx-bf16", *AVX512]
VARIANT_FLAGS = {"amx": AMX, "avx512": AVX512, "avx2": AVX2, "baseline": []}

CUDA_MACHINES = ("80", "89", "90")
CUDA_PTX = "90"
CUDA_CODE = ", ".join([*(f"sm_{machine}" for machine in CUDA_MACHINES), f"compute_{CUDA_PTX} PTX"])
CUDA_FLAGS = ["-std=c++17", "-O3", "-DNDEBUG", "-Xcompiler", "-fPIC,-fvisibility=hidden"]
for machine in CUDA_MACHINES:
    CUDA_FLAGS += ["-gencode", f"arch=compute_{machine},code=sm_{machine}"]
CUDA_FLAGS += ["-gencode", f"arch=compute_{CUDA_PTX},code=compute_{CUDA_PTX}"]
CUDA_FLAGS += [f'-DFASTSNF_CUDA_ARCHITECTURES="{CUDA_CODE}"']
CUDA_LINK_FLAGS = ["-shared", "-nodlink", "-cudart", "static", "-Xcompiler", "-pthread"]

NATIVE_LOSS = """\
fastsnf: the native CPU engine was not built: {failure}
fastsnf: everything runs on the slower reference engine; to change that, install g++ 9 or newer (or clang) \
and install again"""
CUDA_LOSS = """\
fastsnf: the CUDA extension was not built: {failure}
fastsnf: blocks of the NTK are computed by other engines; to change that, install nvcc 12 or newer and a C++ \
compiler that it takes, and install again"""


class NoCompiler(CompileError):
    """There is no compiler for a module that nobody has to miss."""


@dataclass(frozen=True)
class Unit:
    """One object file: a source compiled with extra flags into a folder of its own."""

    source: str
    folder: str
    flags: list[str]


@functools.cache
def variants() -> list[str]:
    """Return the instruction sets compiled on this architecture, the fastest first."""
    if platform.machine().lower() not in ("x86_64", "amd64") or sys.maxsize <= 2**32:
        return ["baseline"]
    tiles = sys.platform == "linux" and compiler_takes(AMX)
    return [name for name in VARIANT_FLAGS if tiles or name != "amx"]


def compiler_takes(flags: list[str]) -> bool:
    """Return whether the compiler knows all of `flags`: AMX came with g++ 11 and clang 12."""
    try:
        command = [*compiler(), *flags, "-fsyntax-only", "-x", "c++", os.devnull]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except (CompileError, OSError):
        return False


def units() -> list[Unit]:
    """Return every object of the native module: the variants first, because they take longest."""
    kernels = [
        Unit(VARIANT_SOURCE, name, [f"-DFASTSNF_VARIANT={name}", *VARIANT_FLAGS[name]]) for name in variants()
    ]
    paths = [*sorted((ROOT / "csrc/cpu").glob("*.cpp")), ROOT / "csrc/bindings_cpu.cpp"]
    sources = [path.relative_to(ROOT).as_posix() for path in paths]
    has_variant = [f"-DFASTSNF_HAS_{name.upper()}=1" for name in variants()]
    return kernels + [Unit(source, "common", has_variant) for source in sources if source != VARIANT_SOURCE]


def pybind11_include() -> str:
    """Return the folder of pybind11's headers: the package's, or the copy that torch carries."""
    try:
        import pybind11
    except ImportError:
        torch = importlib.util.find_spec("torch")
        for folder in (torch and torch.submodule_search_locations) or []:
            if (Path(folder) / "include/pybind11/pybind11.h").is_file():
                return str(Path(folder) / "include")
        raise CompileError("pybind11 is not installed: pip install pybind11") from None
    return pybind11.get_include()


def flags_from(variable: str) -> list[str]:
    """Return the words of an environment variable."""
    return shlex.split(os.environ.get(variable, ""))


def compiler() -> list[str]:
    """Return the command of the C++ compiler: CXX, or the first of g++, c++ and clang++ that is installed."""
    if command := flags_from("CXX"):
        return command
    for name in ("g++", "c++", "clang++"):
        if shutil.which(name):
            return [name]
    raise CompileError("no C++ compiler found: looked for CXX, g++, c++ and clang++")


def first_error(output: str) -> str:
    """Return the first line of a compiler's output that names an error, else its first line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no message")


def call(command: list[str]) -> None:
    """Run a compiler's command; its output becomes the error message instead of noise on the terminal."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise CompileError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        message = first_error(done.stderr + done.stdout)
        raise CompileError(f"{command[0]}: exit status {done.returncode}: {message}")


def object_of(unit: Unit, build_folder: Path) -> Path:
    """Return where the object of a unit goes, in a folder that is there."""
    target = build_folder / unit.folder / (Path(unit.source).stem + ".o")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def include_flags() -> list[str]:
    """Return what names the folders of every header that is not the compiler's own."""
    return [f"-I{folder}" for folder in (ROOT / "csrc", pybind11_include(), sysconfig.get_path("include"))]


def compile_unit(unit: Unit, build_folder: Path) -> str:
    """Compile one object of the CPU engine and return its path."""
    target = str(object_of(unit, build_folder))
    flags = [*flags_from("CPPFLAGS"), *COMPILE_FLAGS, *unit.flags, *include_flags()]
    call([*compiler(), *flags, *flags_from("CXXFLAGS"), "-c", unit.source, "-o", target])
    return target


def link(objects: list[str], target: Path) -> None:
    """Link the CPU engine."""
    call([*compiler(), *objects, *LINK_FLAGS, *flags_from("LDFLAGS"), "-o", str(target)])


@functools.cache
def nvcc() -> list[str]:
    """Return the command of CUDA's compiler: CUDACXX, that of CUDA_HOME or CUDA_PATH, or nvcc on the PATH."""
    if command := flags_from("CUDACXX"):
        return command
    homes = [Path(os.environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    places = [str(home / "bin/nvcc") for home in homes] + ["nvcc", "/usr/local/cuda/bin/nvcc"]
    for place in places:
        if found := shutil.which(place):
            host = flags_from("CXX")
            return [found, "-ccbin", *host] if len(host) == 1 else [found]
    raise NoCompiler(f"no CUDA compiler found: looked for CUDACXX, {', '.join(places)}")


def cuda_units() -> list[Unit]:
    """Return every object of the CUDA extension, its bindings among them."""
    paths = [*sorted((ROOT / "csrc/cuda").glob("*.cu")), ROOT / "csrc/bindings_cuda.cpp"]
    return [Unit(path.relative_to(ROOT).as_posix(), "cuda", []) for path in paths]


def compile_cuda_unit(unit: Unit, build_folder: Path) -> str:
    """Compile one object of the CUDA extension, for all machines, and return its path."""
    target = str(object_of(unit, build_folder))
    call([*nvcc(), *CUDA_FLAGS, *include_flags(), *flags_from("NVCCFLAGS"), "-c", unit.source, "-o", target])
    return target


def link_cuda(objects: list[str], target: Path) -> None:
    """Link the CUDA extension with the CUDA runtime inside."""
    call([*nvcc(), *objects, *CUDA_LINK_FLAGS, "-o", str(target)])


class NativeModule(Extension):
    """A module, what it is made of, how, and what its absence means."""

    def __init__(self, name: str, headers: list[str], recipe: tuple[Any, Any, Any], loss: str) -> None:
        self.units, self.compile_unit, self.link = recipe
        sources = list(dict.fromkeys(unit.source for unit in self.units()))
        found = sorted(path for pattern in headers for path in (ROOT / "csrc").glob(pattern))
        depends = [*sources, *(path.relative_to(ROOT).as_posix() for path in found), "setup.py"]
        # optional: setuptools then accepts that there is no module to copy
        super().__init__(f"fastsnf.{name}", sources, depends=depends, optional=True)
        self.note = f"{name}_not_built.txt"
        self.loss = loss


def native_modules() -> list[NativeModule]:
    """Return the modules of the package."""
    cpu = (units, compile_unit, link)
    cuda = (cuda_units, compile_cuda_unit, link_cuda)
    return [
        NativeModule("_native", ["cpu/*.h"], cpu, NATIVE_LOSS),
        NativeModule("_cuda", ["cuda/*.h", "cuda/*.cuh"], cuda, CUDA_LOSS),
    ]


class BuildNative(build_ext):
    """Compiles one object per unit, in parallel, and links them; never fails the installation."""

    def run(self) -> None:
        """Build; where a module fails leave a note in its place, and no module of older sources."""
        self.failures: dict[str, str] = {}
        super().run()
        for module in self.extensions:
            target = Path(self.get_ext_fullpath(module.name))
            note = target.with_name(module.note)
            note.unlink(missing_ok=True)
            if failure := self.failures.get(module.name):
                target.unlink(missing_ok=True)
                note.parent.mkdir(parents=True, exist_ok=True)
                note.write_text(failure + "\n", encoding="utf-8")

    def build_extensions(self) -> None:
        """Build the modules side by side, or say once what goes without one."""
        with ThreadPoolExecutor(len(self.extensions)) as pool:
            list(pool.map(self.attempt, self.extensions))

    def attempt(self, module: NativeModule) -> None:
        """Build one module, or keep why not and say it."""
        try:
            self.build_module(module)
        except (CompileError, OSError) as error:
            failure = self.failures[module.name] = " ".join(str(error).split())
            if not isinstance(error, NoCompiler):
                print(module.loss.format(failure=failure), file=sys.stderr)

    def build_module(self, module: NativeModule) -> None:
        """Compile and link `module`, unless it is newer than all it is made of."""
        target = Path(self.get_ext_fullpath(module.name)).absolute()
        newest = max((ROOT / path).stat().st_mtime for path in module.depends)
        if not self.force and target.is_file() and target.stat().st_mtime > newest:
            return
        folder = Path(self.build_temp).absolute()
        with ThreadPoolExecutor(self.parallel or os.cpu_count()) as pool:
            objects = list(pool.map(lambda unit: module.compile_unit(unit, folder), module.units()))
        target.parent.mkdir(parents=True, exist_ok=True)
        module.link(objects, target)


if __name__ == "__main__":
    setup(ext_modules=native_modules(), cmdclass={"build_ext": BuildNative})

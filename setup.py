"""Build of the native module `fastsnf._native`: one binary for every CPU of an architecture.

`csrc/cpu/variant.cpp` holds every kernel in a namespace named by FASTSNF_VARIANT. It is compiled once for
each instruction set, with that set's flags; the remaining sources are compiled once, with the baseline's, and
choose a variant at run time. No torch header is used, so one build serves every torch.

The module is optional: where it cannot be built, the package installs as pure Python and runs on the
reference engine. The cause is said once and stored beside the package in NOT_BUILT, where the engine's
reasons quote it.

CXX, CPPFLAGS, CXXFLAGS and LDFLAGS are honoured.
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

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).resolve().parent
VARIANT_SOURCE = "csrc/cpu/variant.cpp"
NOT_BUILT = "_native_not_built.txt"

COMPILE_FLAGS = ["-std=c++17", "-O3", "-DNDEBUG", "-pthread", "-fPIC", "-fvisibility=hidden"]
COMPILE_FLAGS += ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
MAC_LINK_FLAGS = ["-bundle", "-undefined", "dynamic_lookup"]
LINK_FLAGS = ["-pthread", *(MAC_LINK_FLAGS if sys.platform == "darwin" else ["-shared"])]

AVX2 = ["-mavx2", "-mfma"]
AVX512 = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", *AVX2]
AMX = ["-DFASTSNF_TILES=1", "-mamx-tile", "-mamx-bf16", *AVX512]
VARIANT_FLAGS = {"amx": AMX, "avx512": AVX512, "avx2": AVX2, "baseline": []}


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


def compile_unit(unit: Unit, build_folder: Path) -> str:
    """Compile one object and return its path."""
    target = build_folder / unit.folder / (Path(unit.source).stem + ".o")
    target.parent.mkdir(parents=True, exist_ok=True)
    include = [str(ROOT / "csrc"), pybind11_include(), sysconfig.get_path("include")]
    flags = [*flags_from("CPPFLAGS"), *COMPILE_FLAGS, *unit.flags, *(f"-I{folder}" for folder in include)]
    call([*compiler(), *flags, *flags_from("CXXFLAGS"), "-c", unit.source, "-o", str(target)])
    return str(target)


class BuildNative(build_ext):
    """Compiles one object per unit, in parallel, and links them; never fails the installation."""

    failure: str | None = None

    def run(self) -> None:
        """Build; on failure leave a note where the module would be, and no module of older sources."""
        super().run()
        target = Path(self.get_ext_fullpath(self.extensions[0].name))
        note = target.with_name(NOT_BUILT)
        note.unlink(missing_ok=True)
        if self.failure:
            target.unlink(missing_ok=True)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(self.failure + "\n", encoding="utf-8")

    def build_extensions(self) -> None:
        """Build the one module, or say once why everything will run on the reference engine."""
        try:
            self.build_native(self.extensions[0])
        except (CompileError, OSError) as error:
            self.failure = " ".join(str(error).split())
            print(
                f"fastsnf: the native CPU engine was not built: {self.failure}\n"
                "fastsnf: everything runs on the slower reference engine; to change that, install g++ 9 or "
                "newer (or clang) and install again",
                file=sys.stderr,
            )

    def build_native(self, module: Extension) -> None:
        """Compile and link `module`, unless it is newer than all it is made of."""
        target = Path(self.get_ext_fullpath(module.name)).absolute()
        newest = max((ROOT / path).stat().st_mtime for path in module.depends)
        if not self.force and target.is_file() and target.stat().st_mtime > newest:
            return
        folder = Path(self.build_temp).absolute()
        with ThreadPoolExecutor(self.parallel or os.cpu_count()) as pool:
            objects = list(pool.map(lambda unit: compile_unit(unit, folder), units()))
        target.parent.mkdir(parents=True, exist_ok=True)
        call([*compiler(), *objects, *LINK_FLAGS, *flags_from("LDFLAGS"), "-o", str(target)])


def native_module() -> Extension:
    """Return the extension with everything that a rebuild depends on."""
    headers = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "csrc/cpu").glob("*.h"))]
    sources = list(dict.fromkeys(unit.source for unit in units()))
    # optional: setuptools then accepts that there is no module to copy
    return Extension("fastsnf._native", sources, depends=[*sources, *headers, "setup.py"], optional=True)


if __name__ == "__main__":
    setup(ext_modules=[native_module()], cmdclass={"build_ext": BuildNative})

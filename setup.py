"""Build of the native module `fastsnf._native`: one binary for every CPU of an architecture.

`csrc/cpu/variant.cpp` holds every kernel in a namespace named by FASTSNF_VARIANT. It is compiled once for each
instruction set, with that set's flags; the remaining sources are compiled once, with the baseline's, and choose
a variant at run time. No torch header is used, so one build serves every torch.

The module is optional: where it cannot be built, the package installs as pure Python and runs on the reference
engine. The cause is said once and stored beside the package in `NOT_BUILT`, where the engine's reasons quote it.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CompileError

ROOT = Path(__file__).resolve().parent
VARIANT_SOURCE = "csrc/cpu/variant.cpp"
NOT_BUILT = "_native_not_built.txt"

COMPILE_FLAGS = [
    "-std=c++17", "-O3", "-g0", "-pthread", "-fPIC", "-fvisibility=hidden",
    "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
]  # fmt: skip
LINK_FLAGS = ["-pthread"]

VARIANT_FLAGS = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx2", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "baseline": [],
}


@dataclass(frozen=True)
class Unit:
    """One object file: a source compiled with extra flags into a folder of its own."""

    source: str
    name: str
    flags: list[str]


def variants() -> list[str]:
    """Return the instruction sets compiled on this architecture, the fastest first."""
    x86_64 = platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32
    return list(VARIANT_FLAGS) if x86_64 else ["baseline"]


def units() -> list[Unit]:
    """Return every object of the native module: the variants first, because they take longest."""
    selected = [
        Unit(VARIANT_SOURCE, name, [f"-DFASTSNF_VARIANT={name}", *VARIANT_FLAGS[name]]) for name in variants()
    ]
    paths = [*sorted((ROOT / "csrc/cpu").glob("*.cpp")), ROOT / "csrc/bindings_cpu.cpp"]
    sources = [path.relative_to(ROOT).as_posix() for path in paths]
    has_variant = [f"-DFASTSNF_HAS_{name.upper()}=1" for name in variants()]
    return selected + [Unit(source, "common", has_variant) for source in sources if source != VARIANT_SOURCE]


def pybind11_include() -> str:
    """Return the folder of pybind11's headers: the package's, or the copy that torch carries.

    Raises:
        CompileError: neither is installed.
    """
    try:
        import pybind11
    except ImportError:
        spec = importlib.util.find_spec("torch")
        for folder in spec.submodule_search_locations or [] if spec else []:
            if (Path(folder) / "include/pybind11/pybind11.h").is_file():
                return str(Path(folder) / "include")
        raise CompileError("pybind11 is not installed: pip install pybind11") from None
    return pybind11.get_include()


def first_error(output: str) -> str:
    """Return the first line of a compiler's output that names an error, else its first line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no message")


def run_compiler(command: list[str], **_: object) -> None:
    """Run one compiler or linker command; its output becomes the error instead of the terminal's noise."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise CompileError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise CompileError(f"{command[0]} (exit status {done.returncode}): {first_error(done.stderr + done.stdout)}")


class BuildNative(build_ext):
    """Compiles one object per unit, in parallel, and links them; never fails the installation."""

    def run(self) -> None:
        """Build, or say once why the package is pure Python."""
        module = self.extensions[0]
        try:
            super().run()
            error = None
        except (BaseError, OSError) as raised:
            error = " ".join(str(raised).split()) or type(raised).__name__
        target = Path(self.get_ext_fullpath(module.name))
        note = target.with_name(NOT_BUILT)
        note.unlink(missing_ok=True)
        if error is None:
            return
        target.unlink(missing_ok=True)  # a module of older sources would be worse than none
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(error + "\n", encoding="utf-8")
        print(
            "fastsnf: the native CPU engine was not built; the package works without it, on the slower reference "
            f"engine.\nfastsnf: cause: {error}\nfastsnf: to get it, install g++ 9 or newer (or clang) and install again.",
            file=sys.stderr,
        )

    def build_extension(self, ext: Extension) -> None:
        """Compile and link `ext`, unless it is newer than all it is made of."""
        target = Path(self.get_ext_fullpath(ext.name))
        newest = max(Path(path).stat().st_mtime for path in ext.depends)
        if not self.force and target.is_file() and target.stat().st_mtime > newest:
            return
        include = [*ext.include_dirs, pybind11_include(), str(ROOT / "csrc")]
        self.compiler.spawn = run_compiler

        def compile_unit(unit: Unit) -> str:
            folder = Path(self.build_temp) / unit.name
            flags = [*COMPILE_FLAGS, *unit.flags]
            return self.compiler.compile(
                [unit.source], output_dir=str(folder), include_dirs=include, extra_postargs=flags
            )[0]

        with ThreadPoolExecutor(self.parallel or os.cpu_count()) as pool:
            objects = list(pool.map(compile_unit, units()))
        target.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(
            objects, str(target), extra_postargs=LINK_FLAGS, build_temp=self.build_temp, target_lang="c++"
        )


def native_module() -> Extension:
    """Return the extension with everything that a rebuild depends on."""
    headers = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "csrc").glob("cpu/*.h"))
    sources = list(dict.fromkeys(unit.source for unit in units()))
    return Extension("fastsnf._native", sources, depends=[*sources, *headers, "setup.py"], optional=True)


setup(ext_modules=[native_module()], cmdclass={"build_ext": BuildNative})

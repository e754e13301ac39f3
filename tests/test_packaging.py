"""The set-up: pins, versions, extras, and an install where there is no compiler."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fastsnf
from tests.build_script import build_script
from tests.cases import count

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "csrc", "fastsnf")

full = pytest.mark.skipif(count(10) < 10, reason="builds the package: with --all")


def pins() -> dict[str, str]:
    """Return every package of constraints.txt with its exact version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for requirement in requirements:
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), f"{requirement} is not an exact pin"
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}


def declared() -> list[Requirement]:
    """Return every requirement of pyproject.toml: build, run and all extras."""
    project = PROJECT["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    texts = [*PROJECT["build-system"]["requires"], *project["dependencies"], *extras]
    return [r for r in map(Requirement, texts) if r.name != project["name"]]


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_every_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    version = pins().get(canonicalize_name(requirement.name))
    assert version is not None, f"constraints.txt does not pin {requirement.name}"
    assert version in requirement.specifier


def test_pins_are_those_of_the_issue() -> None:
    assert (pins()["torch"], pins()["triton"]) == ("2.13.0", "3.7.1")


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "fastsnf.version.__version__"}
    assert "version" in PROJECT["project"]["dynamic"]
    assert f"## [{fastsnf.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.skipif(
    not list(distributions(name="fastsnf")), reason="fastsnf is on the path and not installed"
)
def test_the_installed_version_is_that_of_the_sources() -> None:
    assert version("fastsnf") == fastsnf.__version__


def test_every_extra_that_a_message_names_exists() -> None:
    extras = set(PROJECT["project"]["optional-dependencies"])
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "fastsnf").rglob("*.py"))
    named = {name for names in re.findall(r"fastsnf\[([\w,]+)\]", text) for name in names.split(",")}
    assert named <= extras, f"messages name extras that do not exist: {sorted(named - extras)}"


def test_all_extra_holds_every_other() -> None:
    extras = dict(PROJECT["project"]["optional-dependencies"])
    (everything,) = extras.pop("all")
    assert Requirement(everything).extras == set(extras)


def test_make_help_names_every_command() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(phony[1].split()) == set(re.findall(r"make ([\w-]+)", shown))


def sources_in(folder: Path) -> Path:
    """Copy what the package is built from, without anything built, into a path with a space."""
    copy = folder / "a copy"
    copy.mkdir()
    leave = shutil.ignore_patterns("*.so", "__pycache__", "*_not_built.txt")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


def install(source: Path, target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Install the sources with pip, offline, into a folder, and return what was printed."""
    command = [sys.executable, "-m", "pip", "install", "--verbose", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--target", str(target), str(source)]
    env = os.environ | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True)


PROBE = """
import sys
# an editable install beside it would lend its native modules
sys.meta_path = [finder for finder in sys.meta_path if "Editable" not in str(finder)]
import torch, fastsnf
field = fastsnf.SNF(2, 3, 8, 1)
out = field(torch.zeros(5, 2))
assert out.shape == (5, 3) and out.isfinite().all()
weights, biases = field.layer_tensors()
x = torch.zeros(5, 2)
print(fastsnf.__file__, fastsnf.ops.chosen(x, weights, biases, spec=field.spec))
"""


def run_probe(target: Path) -> str:
    """Return what a tiny call prints with the package of `target`."""
    env = os.environ | {"PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=env, cwd=target, capture_output=True, text=True, check=True
    )
    assert str(target) in done.stdout
    return done.stdout.split()[-1]


@full
def test_without_a_compiler_the_install_is_pure_python_and_says_so_once(tmp_path: Path) -> None:
    target = tmp_path / "site"
    done = install(sources_in(tmp_path), target, CXX="/bin/false")
    said = done.stdout + done.stderr
    assert said.count("the native CPU engine was not built") == 1
    assert "exit status 1" in said
    assert "reference engine" in said
    assert not list((target / "fastsnf").glob("_native*.so"))
    assert not list((target / "fastsnf").glob("_cuda*.so"))
    assert "/bin/false" in (target / "fastsnf/_native_not_built.txt").read_text(encoding="utf-8")
    assert (target / "fastsnf/_cuda_not_built.txt").is_file()
    assert run_probe(target) == "reference"


@full
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_with_a_compiler_the_native_module_is_built(tmp_path: Path) -> None:
    target = tmp_path / "site"
    done = install(sources_in(tmp_path), target)
    assert "was not built" not in done.stdout + done.stderr
    assert len(list((target / "fastsnf").glob("_native*.so"))) == 1
    assert len(list((target / "fastsnf").glob("_cuda*"))) == 1  # the module, or why there is none
    assert run_probe(target) == "native"


def build_cuda(folder: Path) -> Path:
    """Run setup.py's build of the CUDA extension alone; return the note that it leaves where it fails."""
    pytest.importorskip("setuptools")
    from setuptools import Distribution

    build = build_script()
    modules = [module for module in build.native_modules() if module.name == "fastsnf._cuda"]
    command = build.BuildNative(Distribution({"name": "fastsnf", "ext_modules": modules}))
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "temp")
    command.ensure_finalized()
    command.run()
    assert not list(folder.rglob("*.so"))
    return folder / "lib/fastsnf/_cuda_not_built.txt"


def test_without_nvcc_nothing_is_said_and_the_cause_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("CUDACXX", "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    note = build_cuda(tmp_path).read_text(encoding="utf-8")
    assert note.startswith("no CUDA compiler found: looked for CUDACXX, nvcc")
    assert capfd.readouterr() == ("", "")


def test_an_nvcc_that_fails_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDACXX", "/bin/false")
    note = build_cuda(tmp_path).read_text(encoding="utf-8").strip()
    assert note == "/bin/false: exit status 1: no message"
    said = capfd.readouterr().err
    assert said.count("the CUDA extension was not built") == 1
    assert note in said


@full
@pytest.mark.skipif(shutil.which("g++") is None or shutil.which("nm") is None, reason="needs g++ and nm")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="one instruction set only")
def test_a_variant_leaves_no_function_that_another_cpu_could_run(tmp_path: Path) -> None:
    """Inline functions outside the variant's namespace are weak symbols: the linker keeps one copy of each,
    which may be the AVX-512 one, and the baseline would then die of it on an older CPU."""
    import pybind11

    flags = ["-std=c++17", "-O1", "-fvisibility=hidden", "-mavx2", "-mfma", "-DFASTSNF_VARIANT=avx2"]
    include = ["-I", str(ROOT / "csrc"), "-I", pybind11.get_include()]
    target = tmp_path / "variant.o"
    source = str(ROOT / "csrc/cpu/variant.cpp")
    subprocess.run(["g++", *flags, *include, "-c", source, "-o", str(target)], check=True)
    symbols = subprocess.run(["nm", "-C", str(target)], capture_output=True, text=True, check=True).stdout
    weak_functions = [line for line in symbols.splitlines() if re.match(r"^[0-9a-f]+ W ", line)]
    assert [line for line in weak_functions if "avx2::" not in line] == []

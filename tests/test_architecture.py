"""The arrows between the rooms of the package, read from its imports, and how little importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastsnf

ROOT = Path(fastsnf.__file__).resolve().parent

LEVELS = {
    "errors": 0,
    "lazy": 0,
    "version": 0,
    "_cuda": 0,
    "_native": 0,
    "spec": 1,
    "encodings": 1,
    "presets": 2,
    "reference": 2,
    "engines": 2,
    "ops": 3,
    "nn": 4,
    "signals": 4,
    "ntk": 5,
    "train": 6,
    "analysis": 7,
    "studies": 8,
    "cli": 9,
    "__main__": 10,
}
"""An import points to a strictly lower level."""

ONLY_FROM = {"reference": "ops", "engines": "ops", "_native": "engines", "_cuda": "engines"}
"""Rooms that one other room alone imports: the judge shares no code with the judged."""

HEAVY = ("torch", "numpy", "safetensors", "PIL", "tyro", "rich", "matplotlib", "scipy", "skimage", "triton")
"""What ``import fastsnf`` does not load."""

EXTRAS = ("PIL", "tyro", "rich", "matplotlib", "skimage", "triton")
"""What no name of the package needs before its use."""

FILES = sorted(ROOT.rglob("*.py"))
CONFIGS = [
    path
    for path in FILES
    if (path.stem in ("config", "encodings", "errors", "version") or path.parent.name in ("spec", "presets"))
    and "engines" not in path.parts
]
"""Descriptions and settings, which the command line reads before anything heavy."""


def module_of(path: Path) -> str:
    """Return the dotted name of a file of the package."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """Return the first part under the package of a dotted name, "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def imports(tree: ast.Module, path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every import, in functions too; the last part may be an attribute."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            yield from (
                (node.lineno, str(arg.value)) for arg in node.args[:1] if isinstance(arg, ast.Constant)
            )


def called(node: ast.Call) -> str:
    """Return the last name of what a call calls."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def broken_arrow(source: str, target: str) -> str:
    """Return what is wrong with an import of `target` in module `source`, "" if nothing is."""
    here, there = room(source), room(target)
    if target.split(".")[0] != "fastsnf" or here == there:
        return ""
    if not there or there not in LEVELS:
        return "" if here in ("cli", "__main__", "") else "a name of the package's root hides where it lives"
    if here == "":
        return "" if there in ("lazy", "version") else "the package's root resolves names on first use"
    if here != ONLY_FROM.get(there, here):
        return f"only {ONLY_FROM[there]} imports {there}"
    return "" if LEVELS[there] < LEVELS[here] else f"{here} is level {LEVELS[here]}, {there} {LEVELS[there]}"


def python(code: str) -> str:
    """Run `code` in a new interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_room_has_a_level() -> None:
    rooms = {room(module_of(path)) for path in FILES} - {""}
    assert rooms <= set(LEVELS), "a new room: give it a level here and in the layout"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_down(path: Path) -> None:
    source = module_of(path)
    found = list(imports(ast.parse(path.read_text()), path))
    broken = [
        f"{path}:{line}: imports {name}: {why}" for line, name in found if (why := broken_arrow(source, name))
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("fastsnf.reference.field", "fastsnf.engines.native"),
        ("fastsnf.engines.native", "fastsnf.reference"),
        ("fastsnf.nn.snf", "fastsnf.reference.forward"),
        ("fastsnf.ops.field", "fastsnf._native"),
        ("fastsnf.nn.snf", "fastsnf.signals.image"),
        ("fastsnf.signals.image", "fastsnf.nn.SNF"),
        ("fastsnf.train.loop", "fastsnf.analysis.plots"),
        ("fastsnf.train.loop", "fastsnf.SNF"),
        ("fastsnf.train.loop", "fastsnf"),
        ("fastsnf.spec", "fastsnf.ops"),
        ("fastsnf", "fastsnf.spec.Sine"),
    ],
)
def test_a_broken_arrow_is_seen(source: str, target: str) -> None:
    assert broken_arrow(source, target)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import fastsnf.ops", "fastsnf.ops"),
        ("from fastsnf import ops", "fastsnf.ops"),
        ("from fastsnf.ops import field", "fastsnf.ops.field"),
        ("from .. import ops", "fastsnf.ops"),
        ("from ..ops import field", "fastsnf.ops.field"),
        ("from . import snf", "fastsnf.nn.snf"),
        ("def f():\n    import fastsnf.cli", "fastsnf.cli"),
        ("import importlib\nimportlib.import_module('fastsnf.train')", "fastsnf.train"),
    ],
)
def test_every_form_of_import_is_read(code: str, expected: str) -> None:
    assert expected in [name for _, name in imports(ast.parse(code), ROOT / "nn" / "snf.py")]


@pytest.mark.parametrize("path", CONFIGS, ids=module_of)
def test_config_modules_import_nothing_heavy(path: Path) -> None:
    names = {name.split(".")[0] for _, name in imports(ast.parse(path.read_text()), path)}
    assert not names & set(HEAVY)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_modules_are_named_after_what_they_hold(path: Path) -> None:
    assert not {"utils", "util", "common", "misc", "helpers"} & set(module_of(path).split("."))


@pytest.mark.parametrize("module", ["fastsnf", "fastsnf.cli", *map(module_of, CONFIGS)])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert python(code) == ""


def test_public_names_resolve_without_the_extras() -> None:
    """torch, numpy and safetensors do for all but reading pictures, drawing and the command line."""
    code = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None  # importing it raises ImportError
import fastsnf
from fastsnf import _HOMES
print(*[name for name in _HOMES if getattr(fastsnf, name) is None])
fastsnf.signals.Image, fastsnf.FitConfig()
"""
    assert python(code) == ""


def test_public_names_are_listed() -> None:
    names = {
        "SNF",
        "Siren",
        "accelerate",
        "init",
        "fit",
        "FitConfig",
        "FitResult",
        "save",
        "load",
        "use_engine",
        "use_precision",
    }
    names |= {
        "Sine",
        "Gaussian",
        "Sinc",
        "Gabor",
        "RealGabor",
        "Finer",
        "ReLU",
        "Tanh",
        "explain",
        "Sigmoid",
        "Custom",
    }
    names |= {"signals", "ops", "nn", "train", "spec", "__version__"}
    assert names <= set(dir(fastsnf))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Sin'"):
        _ = fastsnf.Sin


def test_version_is_that_of_the_file() -> None:
    from fastsnf.version import __version__

    assert fastsnf.__version__ == __version__

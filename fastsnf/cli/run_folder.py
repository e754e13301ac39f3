"""Where a run lives: the default folder, and the command line that a run folder keeps for ``--resume``."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from fastsnf.cli.fit_options import AUTO, FitOptions
from fastsnf.cli.parse import option_name, parse
from fastsnf.errors import InputError

RUNS = Path("runs")
CONFIG = "config.toml"
RECORD = ("command", "arguments")
"""Table and key of `CONFIG` with the arguments of the run."""
SEARCH = "alpha_search"
"""Key of that table with what ``--alpha auto`` found; the arguments hold the number."""

NEVER_KEPT = ("out", "resume", "json", "no_progress")
"""Options that say how to run the command and nothing about the run."""

PATHS = ("from_", "cache")
"""Options beside the input that name a place, which is kept as an absolute path."""

FREE = ("input", "steps", "epochs", "target_psnr", "time_limit", "cache", "memory_limit")
"""Options that a resumed run may take anew: the trainer itself refuses what would change its steps."""


def given(options: FitOptions) -> dict[str, Any]:
    """Return the options that were given, by field name: flags that are set, all else that is not None."""
    return {name: value for name, value in vars(options).items() if value is not None and value is not False}


def is_folder(path: Path | str) -> bool:
    """Return whether a path is a folder that may be a run's: a zarr array is a folder too, and an input."""
    return Path(path).is_dir() and Path(path).suffix.lower() != ".zarr"


def new_folder(options: FitOptions) -> Path:
    """Return the folder for a new run: ``--out``, or the first free one of runs/<name>, runs/<name>-2, …"""
    if options.out is not None:
        return Path(options.out)
    return next(folder for folder in _numbered(options) if not folder.exists())


def resume_folder(options: FitOptions) -> Path:
    """Return the folder of the run to go on with: ``--out``, INPUT, or the newest of those named after INPUT.

    Raises:
        InputError: when there is none, or both INPUT and ``--out`` are folders.
    """
    named = options.input is not None and is_folder(options.input)
    if named and options.out is not None:
        raise InputError(f"expected one run folder to resume; got {options.input} and --out {options.out}")
    if options.out is not None or named:
        return Path(str(options.out or options.input))
    if options.input is None:
        raise InputError("expected a run folder after --resume; got nothing; see fastsnf fit --help")
    newest = None
    for folder in _numbered(options):
        if not folder.exists():
            break
        newest = folder
    if newest is None:
        raise InputError(
            f"expected a run of {options.input} to resume; there is no {next(_numbered(options))}: "
            "name its folder with --out"
        )
    return newest


def arguments(options: FitOptions) -> list[str]:
    """Return the arguments that give `options` again from any folder, without those of `NEVER_KEPT`."""
    kept = {name: value for name, value in given(options).items() if name not in NEVER_KEPT}
    words = [str(Path(kept.pop("input")).absolute())] if "input" in kept else []
    for name in PATHS:
        if name in kept:
            kept[name] = Path(kept[name]).absolute()
    for name, value in kept.items():
        if value is True:
            words.append(option_name(name))
        else:
            words.append(f"{option_name(name)}={shown(value)}")
    return words


def record(options: FitOptions, search: Sequence[str] | None = None) -> dict[str, Any]:
    """Return what `CONFIG` keeps of the command line: `arguments`, and how alpha was searched."""
    kept: dict[str, Any] = {RECORD[1]: arguments(options)}
    return kept if search is None else {**kept, SEARCH: list(search)}


def search_of(folder: Path) -> list[str] | None:
    """Return what the run's search of alpha found, line by line; None for a run without one."""
    try:
        lines = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))[RECORD[0]][SEARCH]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return [str(line) for line in lines] if isinstance(lines, list) else None


def recorded(folder: Path) -> FitOptions:
    """Return the options that a run folder keeps, checked as if they had just been typed.

    Raises:
        InputError: when the folder is no run folder of this command, or its configuration is damaged.
    """
    path = folder / CONFIG
    table, key = RECORD
    try:
        words = tomllib.loads(path.read_text(encoding="utf-8"))[table][key]
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"expected a run folder to resume; got {str(folder)!r}, without {CONFIG}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"expected the options of a run in {path}; got {error!r}: the file is damaged"
        ) from None
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise InputError(f"expected {table}.{key} in {path} to be a list of strings; got {words!r}")
    return parse(FitOptions, words, prog=f"{path}: fastsnf fit")


def merged(now: FitOptions, before: FitOptions, folder: Path) -> FitOptions:
    """Return the options of a resumed run: those it records, and those given now that may change.

    Raises:
        InputError: for an option given now that contradicts the run.
    """
    old, new = given(before), given(now)
    if now.input is not None and is_folder(now.input):
        del new["input"]
    if new.get("alpha") == AUTO and search_of(folder) is not None:
        del new["alpha"]  # what it found holds for the whole run
    for name, value in new.items():
        if name not in (*FREE, *NEVER_KEPT) and name in old and old[name] != value:
            raise InputError(
                f"expected {option_name(name)} {shown(old[name])}, as the run in {folder} has it; got "
                f"{shown(value)}: drop the option, or start a new run"
            )
    return dataclasses.replace(before, **new)


def shown(value: Any) -> str:
    """Return the value of an option as it is typed."""
    if not isinstance(value, tuple):
        return str(value)
    return ("," if any(isinstance(part, float) for part in value) else "x").join(map(str, value))


def _numbered(options: FitOptions) -> Iterator[Path]:
    """Yield runs/<name>, runs/<name>-2, runs/<name>-3, …"""
    name = Path(str(options.input)).stem or "run"
    yield RUNS / name
    for number in count(2):
        yield RUNS / f"{name}-{number}"

"""From options to two of the three things that a fit takes: a signal and a configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.fit_signal_options import MONO
from fastsnf.cli.iga_options import make_iga
from fastsnf.cli.parse import option_name
from fastsnf.cli.run_folder import given, is_folder
from fastsnf.errors import InputError
from fastsnf.train.config import FitConfig

if TYPE_CHECKING:
    from fastsnf.signals import Signal


TELLING = ("occupancy", "sdf")
"""Kinds whose ``open`` may take long and tells its ``progress``."""

READ_BY: dict[str, tuple[str, ...]] = {
    "size": ("image", "video", "super-resolution"),
    "squeeze": ("image", "super-resolution"),
    "mode": ("image", "video", "super-resolution"),
    "resolution": ("occupancy", "sdf"),
    "key": ("occupancy", "volume", "sphere", "points"),
    "threshold": ("occupancy",),
    "crop": ("occupancy",),
    "axes": ("occupancy",),
    "time": ("sphere",),
    "level": ("sphere",),
    "channels": ("audio", "volume"),
    "start": ("audio",),
    "duration": ("audio",),
    "frames": ("video",),
    "pooling": ("super-resolution",),
    "small": ("super-resolution",),
    "samples": ("sdf",),
    "near": ("sdf",),
    "spread": ("sdf",),
    "cache": ("occupancy",),
}
"""Every option of reading and the kinds of signals whose ``open`` takes it; see `PARAMETERS`."""

PARAMETERS = {
    ("pooling", "super-resolution"): "factor",
    ("samples", "sdf"): "points",
    ("key", "points"): "values",
}
"""What ``open`` of a kind calls an option that has another name on the command line."""


def open_signal(options: FitOptions, progress: Callable[[int, int], None] | None = None) -> Signal:
    """Open the input as the options say.

    Args:
        options: what was typed.
        progress: told (points done, points) while the points of a mesh are found inside or outside.

    Raises:
        InputError: when there is none, it cannot be read, or the options contradict each other.
    """
    from fastsnf.signals.registry import class_of, kind_in

    path = input_path(options)
    if options.squeeze and options.size is None:
        raise InputError("expected --size WxH with --squeeze; got --squeeze alone")
    kind = kind_in(path, options.kind, options.key)
    chosen = {name: value for name, value in given(options).items() if name in READ_BY}
    for name, value in chosen.items():
        _check_read_by(name, value, kind, path)
    keywords = {PARAMETERS.get((name, kind), name): value for name, value in chosen.items()}
    if progress is not None and kind in TELLING:
        keywords["progress"] = progress
    signal: Signal = class_of(kind).open(path, **keywords)
    return signal


def _check_read_by(name: str, value: Any, kind: str, path: Path) -> None:
    """Raise `InputError` unless signals of a kind are read by an option, with values of this type."""
    if kind not in READ_BY[name]:
        raise InputError(
            f"expected no {option_name(name)} for the {kind} in {str(path)!r}; got {value}: it is for "
            f"{' and '.join(READ_BY[name])}; drop it, or say with --kind what the input is"
        )
    if name == "channels" and (value == MONO) != (kind == "audio"):
        wanted = MONO if kind == "audio" else "a whole number"
        raise InputError(f"expected {wanted} after --channels for the {kind} in {str(path)!r}; got {value}")


def input_path(options: FitOptions) -> Path:
    """Return the file to fit; raises `InputError` when there is none, and for a folder that is no array."""
    if options.input is None:
        raise InputError("expected INPUT, the file to fit; got nothing; see fastsnf fit --help")
    path = Path(options.input)
    if is_folder(path):
        raise InputError(
            f"expected a file to fit; got the folder {options.input!r}: a run folder goes on with --resume"
        )
    return path


def make_config(options: FitOptions) -> FitConfig:
    """Return the trainer's configuration: what was given, and its own defaults for the rest."""
    names = {field.name for field in dataclasses.fields(FitConfig)}
    values = {name: value for name, value in given(options).items() if name in names}
    return FitConfig(**{**values, "iga": make_iga(options)})

"""From options to two of the three things that a fit takes: a signal and a configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.iga_options import make_iga
from fastsnf.cli.run_folder import given
from fastsnf.errors import InputError
from fastsnf.train.config import FitConfig

if TYPE_CHECKING:
    from fastsnf.signals import Signal


def open_signal(options: FitOptions) -> Signal:
    """Open the input as the options say.

    Raises:
        InputError: when there is none, it cannot be read, or the options contradict each other.
    """
    from fastsnf import signals

    if options.input is None:
        raise InputError("expected INPUT, the file to fit; got nothing; see fastsnf fit --help")
    if Path(options.input).is_dir():
        raise InputError(
            f"expected a file to fit; got the folder {options.input!r}: a run folder goes on with --resume"
        )
    if options.squeeze and options.size is None:
        raise InputError("expected --size WxH with --squeeze; got --squeeze alone")
    return signals.open(
        options.input, kind=options.kind, size=options.size, squeeze=options.squeeze, mode=options.mode
    )


def make_config(options: FitOptions) -> FitConfig:
    """Return the trainer's configuration: what was given, and its own defaults for the rest."""
    names = {field.name for field in dataclasses.fields(FitConfig)}
    values = {name: value for name, value in given(options).items() if name in names}
    return FitConfig(**{**values, "iga": make_iga(options)})

"""From an argument vector to a dataclass of options, with every usage error as one line.

tyro turns a dataclass into options and help text; its error boxes are caught before they are printed and
become an `InputError` that names the nearest option.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import tyro
from tyro import _errors as tyro_errors

from fastsnf.errors import InputError, nearest

Options = TypeVar("Options")


def parse(options: type[Options], argv: Sequence[str], *, prog: str) -> Options:
    """Return the dataclass `options` filled from `argv`.

    Args:
        options: A dataclass; its docstring and those of its fields are the help text.
        argv: The arguments after the name of the command.
        prog: What the user typed before them, as help and errors show it.

    Raises:
        InputError: for an unknown option, a missing argument or a value out of range.
        SystemExit: with status 0 after ``--help``.
    """

    def reject(event: tyro_errors.ParseErrorEvent) -> None:
        message = describe(event, option_names(options))
        if message is not None:
            raise InputError(f"{message}; see {prog} --help")

    with tyro_errors.on_parse_error(reject):
        return tyro.cli(options, args=list(argv), prog=prog, config=(tyro.conf.FlagCreatePairsOff,))


def describe(event: tyro_errors.ParseErrorEvent, names: Iterable[str]) -> str | None:
    """Return one line for a rejected command line, or None for an event that is left to tyro."""
    if isinstance(event, tyro_errors.UnrecognizedArgs):
        token = event.tokens[0].partition("=")[0]
        if not token.startswith("-"):
            return f"expected no further argument; got {token!r}"
        return f"expected a known option; got {token}{nearest(token, names)}"
    if isinstance(event, tyro_errors.MissingArgs):
        missing = " and ".join(_metavar(context.arg) for context in event.missing_arguments)
        return f"expected {missing}; got nothing"
    if isinstance(event, tyro_errors.BadValue):
        return f"expected a value after {event.argument.display_name()}; got nothing"
    if isinstance(event, tyro_errors.InvalidChoice):
        choices = ", ".join(event.choices)
        return (
            f"expected {event.argument.display_name()} to be one of {choices}; "
            f"got {event.value!r}{nearest(event.value, event.choices)}"
        )
    if isinstance(event, tyro_errors.InstantiationFailure):
        where = f"{event.argument.display_name()}: " if event.argument is not None else ""
        return where + " ".join(str(event.message).split())
    return None


def option_names(options: type[Any]) -> list[str]:
    """Return the long options of a dataclass of options, ``--help`` included.

    >>> @dataclasses.dataclass
    ... class Example:
    ...     batch_size: int = 1
    >>> option_names(Example)
    ['--batch-size', '--help']
    """
    return [*(option_name(field.name) for field in dataclasses.fields(options)), "--help"]


def option_name(name: str) -> str:
    """Return the option of a field of a dataclass of options, as the user types it.

    >>> option_name("batch_size"), option_name("from_")
    ('--batch-size', '--from')
    """
    return f"--{name.rstrip('_').replace('_', '-')}"


def _metavar(argument: Any) -> str:
    return str(argument.lowered.metavar) if argument.is_positional() else str(argument.display_name())

"""Options of ``fit`` that other commands take over: their kinds, defaults and help, stated once."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import tyro

from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.fit_signal_options import SignalOptions
from fastsnf.cli.options import default

SIGNAL = tuple(field.name for field in dataclasses.fields(SignalOptions) if field.name != "holdout")
"""Options of ``fit`` that say how a signal is read."""
FLAGS = tuple(field.name for field in dataclasses.fields(SignalOptions) if field.default is False)
"""Those of them without a value."""


def with_fit_options(
    own: type[Any], name: str, shared: Iterable[str], defaults: Mapping[str, str] = MappingProxyType({})
) -> type[Any]:
    """Return a dataclass of a command's own options and some of ``fit``'s.

    Args:
        own: the dataclass of the command's own options, whose docstring is the command's help.
        name: of the class that is made.
        shared: names of `FitOptions`.
        defaults: what happens without an option, where it is not what ``fit`` does.
    """
    known = {field.name: field for field in dataclasses.fields(FitOptions)}
    hints = typing.get_type_hints(FitOptions, include_extras=True)
    helps = documented(FitOptions)
    fields = []
    for option in shared:
        kind, *extra = typing.get_args(hints[option]) or (hints[option],)
        if option in defaults:
            extra.append(default(defaults[option]))
        note = tyro.conf.arg(help=helps.get(option, ""))
        fields.append((option, Annotated[(kind, *extra, note)], known[option].default))
    made = dataclasses.make_dataclass(name, fields, bases=(own,), frozen=True)
    made.__doc__ = own.__doc__
    return made


def documented(options: type[Any]) -> Mapping[str, str]:
    """Return the strings below the fields of a dataclass and of those that it extends, by field."""
    found: dict[str, str] = {}
    for base in options.__bases__:
        if dataclasses.is_dataclass(base):
            found |= documented(base)
    body = ast.parse(textwrap.dedent(inspect.getsource(options))).body[0]
    assert isinstance(body, ast.ClassDef), "the source of a class"
    for entry, after in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[entry.target.id] = str(after.value.value)
    return found

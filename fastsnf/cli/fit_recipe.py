"""From ``--recipe`` to the options that it stands for; those that are given beside it come first."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from fastsnf.cli.fit_field import FRESH, OF_INITIALIZER
from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.parse import option_name, parse
from fastsnf.cli.run_folder import given, shown
from fastsnf.errors import InputError
from fastsnf.presets.recipes import RECIPES
from fastsnf.signals.kinds import ARRAYS

OF_GRIDS = ("crop", "threshold", "key")
"""Options of a recipe that say how an array is read, and nothing of a mesh."""
MAKES = ("field", "activation", "init")
"""Options that make another field of a recipe's, whose numbers then mean nothing."""


def with_recipe(options: FitOptions) -> FitOptions:
    """Return the options with all that their recipe sets and they do not.

    Raises:
        InputError: for a kind of signal that the recipe is not for.
    """
    if options.recipe is None:
        return options
    recipe = RECIPES[options.recipe]
    if options.kind not in (None, recipe.kind):
        raise InputError(
            f"expected --kind {recipe.kind} with --recipe {recipe.name}; got {options.kind}: drop one of them"
        )
    return dataclasses.replace(_settings(options), **given(options))


def recipe_line(options: FitOptions) -> str:
    """Return what a recipe is and what it sets, in one line; nothing without one."""
    if options.recipe is None:
        return ""
    recipe = RECIPES[options.recipe]
    has = given(options)
    sets = [
        option_name(name) if value is True else f"{option_name(name)} {shown(value)}"
        for name, value in given(_settings(options)).items()
        if has.get(name) == value and name != "kind"
    ]
    return f"{recipe.name}: {recipe.line}; {' '.join(sets)}"


def _settings(options: FitOptions) -> FitOptions:
    """Return what the recipe sets for the input, and beside the choices of the options, as if typed."""
    recipe = RECIPES[str(options.recipe)]
    iga = None if recipe.iga is None else {f"iga_{name}": value for name, value in recipe.iga.items()}
    field = dict(recipe.field)
    if any(getattr(options, name) not in (None, field.get(name)) for name in MAKES):
        field = {name: value for name, value in field.items() if name not in (*FRESH, *MAKES)}
    for name, reader in OF_INITIALIZER.items():
        if field.get("init", reader) != reader:
            field.pop(name, None)  # it says what no other initializer reads
    opened = {name: value for name, value in recipe.open.items() if _reads(name, options.input)}
    sets: dict[str, Any] = {"kind": recipe.kind, **opened, **field, **recipe.fit}
    sets |= {} if iga is None else {"iga": True, **iga}
    words = [_word(name, value) for name, value in sets.items() if value is not False]
    return parse(FitOptions, words, prog=f"recipe {recipe.name}: fastsnf fit")


def _reads(name: str, path: str | None) -> bool:
    """Return whether an option of a recipe says something of the input: of a mesh none of arrays does."""
    return name not in OF_GRIDS or path is None or Path(path).suffix.lower() in ARRAYS


def _word(name: str, value: Any) -> str:
    return option_name(name) if value is True else f"{option_name(name)}={shown(value)}"

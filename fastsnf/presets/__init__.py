"""The published fields by name: what each is made of, and the settings its authors or its rivals used.

A preset is data: constructor arguments of a class of `fastsnf.nn`, what changes with the kind of signal, and
how it was trained. `fastsnf.nn.make_field` builds the field; explicit arguments override the preset. Nothing
heavy is imported here, so that the command line reads it at once.

A recipe (`recipes`) is a whole published training: the signal's preparation, the field, the fit.

`published` holds the data, `preset` their form, `arguments` what becomes of them beside a user's own choices.
"""

from __future__ import annotations

from fastsnf.presets.arguments import (
    HIDDEN_FEATURES,
    NONE,
    OF_ACTIVATION,
    make_encoding,
    nyquist,
    preset_called,
    resolve,
)
from fastsnf.presets.preset import Arguments, Preset
from fastsnf.presets.published import PRESETS
from fastsnf.presets.recipe import Recipe
from fastsnf.presets.recipes import RECIPES

__all__ = [
    "Arguments",
    "HIDDEN_FEATURES",
    "NONE",
    "OF_ACTIVATION",
    "PRESETS",
    "Preset",
    "RECIPES",
    "Recipe",
    "make_encoding",
    "nyquist",
    "preset_called",
    "resolve",
]

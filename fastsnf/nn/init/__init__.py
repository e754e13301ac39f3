"""Initializers: in place, on any field, by a generator of one's own when wanted.

Each is ``name_(field, *, ..., bias_init="default", generator=None) -> field``. `INITIALIZERS` holds them by
the names of the command line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch

from fastsnf.errors import unknown
from fastsnf.nn.init.bias import BIAS_SCHEMES, BiasInit
from fastsnf.nn.init.default import default_
from fastsnf.nn.init.weight_scaling import siren_, takes_weight_scaling, weight_scaling_
from fastsnf.nn.layered import LayeredField
from fastsnf.spec import FieldSpec

INITIALIZERS: dict[str, Callable[..., LayeredField]] = {
    "weight-scaling": weight_scaling_,
    "siren": siren_,
    "default": default_,
}
"""Every initializer by its name on the command line; underscores serve as well as dashes."""


def initializer_name(name: str) -> str:
    """Return the key of `INITIALIZERS` that `name` means.

    Raises:
        InputError: for a name that is no initializer's.
    """
    key = str(name).replace("_", "-")
    if key not in INITIALIZERS:
        raise unknown("init", name, INITIALIZERS)
    return key


def default_initializer(spec: FieldSpec) -> str:
    """Return the initializer that the papers use for a spec's activations.

    Weight scaling for sine and FINER, which start from SIREN's bounds; PyTorch's default for the others, as
    WIRE, GaussNet and the sinc baseline have it.
    """
    return "weight-scaling" if takes_weight_scaling(spec) else "default"


def initialize_(
    field: LayeredField,
    name: str,
    *,
    alpha: float = 2.37,
    sigma_p: float | None = None,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Run the initializer called `name` with the options that it takes of these; return the field."""
    function = INITIALIZERS[initializer_name(name)]
    taken = inspect.signature(function).parameters
    extra = {key: value for key, value in {"alpha": alpha, "sigma_p": sigma_p}.items() if key in taken}
    return function(field, **extra, bias_init=bias_init, generator=generator)


__all__ = [
    "BIAS_SCHEMES",
    "BiasInit",
    "INITIALIZERS",
    "default_",
    "default_initializer",
    "initialize_",
    "initializer_name",
    "siren_",
    "weight_scaling_",
]

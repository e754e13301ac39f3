"""Initializers: in place, on any field, by a generator of one's own when wanted.

Each is ``name_(field, *, ..., bias_init="default", generator=None) -> field``. `INITIALIZERS` holds them by
the names of the command line.

One file a family: `weight_scaling` (SIREN and frequency tuning too), `nfsl`, `vi3nr`, `fan` (Xavier, Kaiming,
LeCun), `kumar`, `random_normal`, `default`. Below them `draw` walks the layers, `bias` has the schemes of the
biases. VI3NR's weights come of the `moment`s of an activation, by `closed_form` or `quadrature` over its
`slopes`; `sigma_p` solves for the deviation, `grid_search` as the paper did. `pytorch` has PyTorch's gains.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch

from fastsnf.errors import unknown
from fastsnf.nn.init.bias import BIAS_SCHEMES, BiasInit
from fastsnf.nn.init.default import default_
from fastsnf.nn.init.fan import (
    kaiming_normal_,
    kaiming_uniform_,
    lecun_normal_,
    lecun_uniform_,
    xavier_normal_,
    xavier_uniform_,
)
from fastsnf.nn.init.kumar import kumar_gain, kumar_normal_
from fastsnf.nn.init.moment import Moments, gain, moments
from fastsnf.nn.init.nfsl import nfsl_normal_, nfsl_sine_, nfsl_uniform_
from fastsnf.nn.init.pytorch import pytorch_gain
from fastsnf.nn.init.random_normal import random_normal_
from fastsnf.nn.init.sigma_p import condition, solve_sigma_p
from fastsnf.nn.init.slopes import ActivationLike
from fastsnf.nn.init.vi3nr import vi3nr_
from fastsnf.nn.init.weight_scaling import (
    frequency_tuning_,
    siren_,
    takes_weight_scaling,
    weight_scaling_,
)
from fastsnf.nn.layered import LayeredField
from fastsnf.spec import FieldSpec

INITIALIZERS: dict[str, Callable[..., LayeredField]] = {
    "weight-scaling": weight_scaling_,
    "siren": siren_,
    "frequency-tuning": frequency_tuning_,
    "nfsl-normal": nfsl_normal_,
    "nfsl-uniform": nfsl_uniform_,
    "nfsl-sine": nfsl_sine_,
    "vi3nr": vi3nr_,
    "xavier-uniform": xavier_uniform_,
    "xavier-normal": xavier_normal_,
    "kaiming-uniform": kaiming_uniform_,
    "kaiming-normal": kaiming_normal_,
    "lecun-uniform": lecun_uniform_,
    "lecun-normal": lecun_normal_,
    "random-normal": random_normal_,
    "kumar-normal": kumar_normal_,
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
    "ActivationLike",
    "BIAS_SCHEMES",
    "BiasInit",
    "INITIALIZERS",
    "Moments",
    "condition",
    "default_",
    "default_initializer",
    "frequency_tuning_",
    "gain",
    "initialize_",
    "initializer_name",
    "kaiming_normal_",
    "kaiming_uniform_",
    "kumar_gain",
    "kumar_normal_",
    "lecun_normal_",
    "lecun_uniform_",
    "moments",
    "nfsl_normal_",
    "nfsl_sine_",
    "nfsl_uniform_",
    "pytorch_gain",
    "random_normal_",
    "siren_",
    "solve_sigma_p",
    "vi3nr_",
    "weight_scaling_",
    "xavier_normal_",
    "xavier_uniform_",
]

"""Activations and the static description of a field: the one place where omega and scale live.

An activation is a function of the pre-activation ``u = W x + b`` *as given*: ``Sine(30)`` is ``sin(30 u)``.
The specs are frozen, hashable and import nothing, so that they serve as keys of kernels, of custom operators
and of files alike.
"""

from fastsnf.spec.activations import (
    ACTIVATIONS,
    Activation,
    Custom,
    Finer,
    Gabor,
    Gaussian,
    Identity,
    RealGabor,
    ReLU,
    Sigmoid,
    Sinc,
    Sine,
    Tanh,
    activation_from_dict,
    make_activation,
)
from fastsnf.spec.field import FieldSpec

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Custom",
    "FieldSpec",
    "Finer",
    "Gabor",
    "Gaussian",
    "Identity",
    "ReLU",
    "RealGabor",
    "Sigmoid",
    "Sinc",
    "Sine",
    "Tanh",
    "activation_from_dict",
    "make_activation",
]

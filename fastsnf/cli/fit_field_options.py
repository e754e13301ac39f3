"""The options of ``fastsnf fit`` that say what field is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastsnf.cli.options import choice, default, integer, number, number_or
from fastsnf.encodings import ENCODINGS
from fastsnf.presets import NONE, PRESETS
from fastsnf.spec import ACTIVATIONS, Identity

ACTIVATION_NAMES = tuple(name for name in ACTIVATIONS if name != Identity.name)
ENCODING_NAMES = (NONE, *ENCODINGS)
NORMS = ("batch", "cross")
AUTO = "auto"
"""The value of ``--alpha`` that searches it."""
INITS = (
    *("weight-scaling", "siren", "frequency-tuning", "nfsl-normal", "nfsl-uniform", "nfsl-sine", "vi3nr"),
    *(
        "xavier-uniform",
        "xavier-normal",
        "kaiming-uniform",
        "kaiming-normal",
        "lecun-uniform",
        "lecun-normal",
    ),
    *("random-normal", "kumar-normal", "default"),
)
ALPHAS = "2.37 for images, 3.7 occupancy, 2.5 sphere and volume, 2 audio"
FIRST_OMEGAS = "30; 10 for occupancy, 3000 audio; 20 for gabor"
HIDDEN_OMEGAS = "30; 10 for occupancy; 20 for gabor"
"""Defaults by the kind of signal, in the words of the help."""
BIAS_INITS = ("default", "zero", "like-weights")
MAX_FEATURES, MAX_LAYERS = 1_000_000, 10_000
"""Bounds against slips of the keyboard: memory ends long before them."""


@dataclass(frozen=True)
class FieldOptions:
    """What is fitted to the signal: activation, initializer, encoding, width and depth."""

    field: Annotated[str | None, choice(PRESETS), default("snf")] = None
    """A published field; other options override it. Of F features wire makes F / sqrt 2 complex ones."""
    activation: Annotated[str | None, choice(ACTIVATION_NAMES), default("sine")] = None
    """Activation of the field; gabor is WIRE's complex one."""
    first_omega: Annotated[float | None, number("W", above=0), default(FIRST_OMEGAS)] = None
    """Frequency factor of the first layer."""
    hidden_omega: Annotated[float | None, number("W", above=0), default(HIDDEN_OMEGAS)] = None
    """Frequency factor of the layers after it."""
    scale: Annotated[float | None, number("S", above=0), default("10")] = None
    """Width parameter of gaussian and gabor activations."""
    init: Annotated[str | None, choice(INITS), default("weight-scaling for sine, finer")] = None
    """Initializer of the weights."""
    alpha: Annotated[float | str | None, number_or((AUTO,), "A", above=0), default(ALPHAS)] = None
    """Factor of weight scaling; auto searches it before the fit."""
    sigma_p: Annotated[float | None, number("S", above=0), default("solved from Eq. 13")] = None
    """With --init vi3nr: deviation of the pre-activations."""
    bias_init: Annotated[float | str | None, number_or(BIAS_INITS, "VALUE"), default("default")] = None
    """Initializer of the biases; default is PyTorch's uniform one."""
    first_bias: Annotated[float | None, number("K", above=0), default("as --bias-init")] = None
    """First biases between -K and K, as FINER starts them."""
    encoding: Annotated[str | None, choice(ENCODING_NAMES), default("none")] = None
    """What the coordinates become before the first layer."""
    frequencies: Annotated[int | None, integer("K", 1, MAX_FEATURES), default("by resolution; 256")] = None
    """Frequencies of the encoding: octaves of the positional one, rows of the Fourier one."""
    sigma: Annotated[float | None, number("S", above=0), default("10")] = None
    """Deviation of the frequencies of the Fourier encoding."""
    norm: Annotated[str | None, choice(NORMS), default("batch")] = None
    """With --field bn: what the layers are normalised over."""
    factor: Annotated[float | None, number("A", above=0), default("0.01 for sine")] = None
    """With --field fr: amplitude of the Fourier bases."""
    input_scale: Annotated[float | None, number("S", above=0), default("256")] = None
    """With --field mfn-fourier, mfn-gabor: frequency scale of the filters."""
    hidden_features: Annotated[int | None, integer("F", 1, MAX_FEATURES), default("256")] = None
    """Width of the hidden layers."""
    hidden_layers: Annotated[int | None, integer("L", 0, MAX_LAYERS), default("3")] = None
    """Hidden layers after the first: the field has L + 2 linear layers."""

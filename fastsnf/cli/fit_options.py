"""The options of ``fastsnf fit``: one dataclass that is the parser, the help text and the record of a run.

Every option but the flags is ``None`` unless given, so that defaults live where they are used and
``--resume`` can refuse a choice that contradicts the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from fastsnf.cli.options import (
    choice,
    default,
    integer,
    lr_schedule,
    number,
    number_or,
    picture_size,
    point_group,
    text,
    whole_or,
)
from fastsnf.encodings import ENCODINGS
from fastsnf.ntk.config import FORMS, SAMPLES
from fastsnf.presets import NONE, PRESETS
from fastsnf.signals.kinds import FROM_FILES
from fastsnf.spec import ACTIVATIONS, Identity
from fastsnf.train.config import LOSSES, OPTIMIZERS, PRECISIONS, PSNRS

ACTIVATION_NAMES = tuple(name for name in ACTIVATIONS if name != Identity.name)
ENCODING_NAMES = (NONE, *ENCODINGS)
NORMS = ("batch", "cross")
AUTO = "auto"
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
BIAS_INITS = ("default", "zero", "like-weights")
MAX_FEATURES, MAX_LAYERS = 1_000_000, 10_000
"""Bounds against slips of the keyboard: memory ends long before them."""
ENGINES = ("auto", "native", "triton", "cuda", "reference")


@dataclass(frozen=True)
class FitOptions:
    """Fit a field to a photograph and write a run folder: weights, reconstruction, curve, configuration.

    Without options: 256 features, 3 hidden layers, sine with omega 30, weight scaling with alpha 2.37, Adam
    on mini-batches of 32,768 points at 1e-3 with a cosine schedule, 1,000 steps.
    """

    input: Annotated[str | None, tyro.conf.Positional, text("INPUT"), default("")] = None
    """The photograph to fit: png, jpg or tif. With --resume, the run folder."""

    out: Annotated[str | None, text("DIR"), default("runs/<name>, numbered when taken")] = None
    """The run folder to write."""
    resume: Annotated[bool, default("")] = False
    """Go on from the last checkpoint of the run folder, with the options that it records."""
    from_: Annotated[str | None, tyro.conf.arg(name="from"), text("RUN"), default("fresh weights")] = None
    """Start from the weights of another run, a folder or a .safetensors file."""

    steps: Annotated[int | None, integer("N", 1), default("1000 when no other rule is given")] = None
    """Stop after N steps."""
    epochs: Annotated[float | None, number("N", above=0), default("")] = None
    """Stop when N times the points of the signal have been seen."""
    target_psnr: Annotated[float | None, number("DB"), default("")] = None
    """Stop when the PSNR reaches DB decibels."""
    time_limit: Annotated[float | None, number("S", above=0), default("")] = None
    """Stop after S seconds."""

    kind: Annotated[str | None, choice(FROM_FILES), default("from the file")] = None
    """What the input is."""
    size: Annotated[tuple[int, int] | None, picture_size(), default("as it is")] = None
    """Crop the picture at its centre to this aspect ratio, then resize it."""
    squeeze: Annotated[bool, default("")] = False
    """With --size: resize without the crop."""
    mode: Annotated[str | None, choice(("rgb", "gray")), default("as it is")] = None
    """Convert the picture to colour or to gray."""
    holdout: Annotated[int | None, integer("K", 2), default("train on all points")] = None
    """Train on every K-th point of each axis and report PSNR on the others too."""

    field: Annotated[str | None, choice(PRESETS), default("snf")] = None
    """A published field; other options override it. Of F features wire makes F / sqrt 2 complex ones."""
    activation: Annotated[str | None, choice(ACTIVATION_NAMES), default("sine")] = None
    """Activation of the field; gabor is WIRE's complex one."""
    first_omega: Annotated[float | None, number("W", above=0), default("30; 20 for gabor")] = None
    """Frequency factor of the first layer."""
    hidden_omega: Annotated[float | None, number("W", above=0), default("30; 20 for gabor")] = None
    """Frequency factor of the layers after it."""
    scale: Annotated[float | None, number("S", above=0), default("10")] = None
    """Width parameter of gaussian and gabor activations."""
    init: Annotated[str | None, choice(INITS), default("weight-scaling for sine, finer")] = None
    """Initializer of the weights."""
    alpha: Annotated[float | str | None, number_or((AUTO,), "A", above=0), default("2.37 for images")] = None
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

    optimizer: Annotated[str | None, choice(OPTIMIZERS), default("adam")] = None
    """Optimizer."""
    lr: Annotated[float | None, number("LR", above=0), default("1e-3; 1e-4 with --batch-size full")] = None
    """Learning rate at the first step."""
    schedule: Annotated[str | None, lr_schedule(), default("cosine; constant when full")] = None
    """How the learning rate changes over the run."""
    loss: Annotated[str | None, choice(LOSSES), default("mse")] = None
    """Loss."""
    batch_size: Annotated[int | str | None, whole_or("full", "N|full"), default("32768")] = None
    """Points a step; full takes the whole signal each step."""
    iga: Annotated[bool, default("")] = False
    """Adjust gradients inductively: attenuate leading eigenvalues of the NTK, or with sgd amplify others."""
    iga_group: Annotated[str | None, point_group(), default("patch:32 for images")] = None
    """With --iga: which points form a group; a number is a size."""
    iga_start: Annotated[int | None, integer("I", 0), default("0")] = None
    """With --iga: first eigenvalue that is adjusted, the largest being 0."""
    iga_end: Annotated[int | None, integer("I", 0), default("20")] = None
    """With --iga: first eigenvalue after it that is not adjusted."""
    iga_target: Annotated[int | None, integer("I", 0), default("end; start with sgd")] = None
    """With --iga: eigenvalue that the adjusted ones become."""
    iga_form: Annotated[str | None, choice(FORMS), default("auto, by the optimizer")] = None
    """With --iga: sgd amplifies towards --iga-start, adam attenuates to --iga-end."""
    iga_sample: Annotated[str | None, choice(SAMPLES), default("argmax_lagged")] = None
    """With --iga: which point stands for its group."""
    iga_refresh: Annotated[int | None, integer("K", 1), default("1")] = None
    """With --iga: steps between two computations of the adjustment."""
    seed: Annotated[int | None, integer("N", 0, 2**63 - 1), default("0")] = None
    """Seed of the weights and of the batches."""

    device: Annotated[str | None, text("DEVICE"), default("auto, cuda when there is one")] = None
    """Where to fit, as torch names it."""
    precision: Annotated[str | None, choice(PRECISIONS), default("auto")] = None
    """Arithmetic of the matrix products; auto follows torch.get_float32_matmul_precision()."""
    engine: Annotated[str | None, choice(ENGINES), default("auto, the fastest that can")] = None
    """Implementation of the field."""

    psnr: Annotated[str | None, choice(PSNRS), default("plain")] = None
    """Which PSNR to report; published adds the paper's own variant."""
    json: Annotated[bool, default("")] = False
    """Print the summary as one JSON object on the last line of stdout, and all else on stderr."""
    no_progress: Annotated[bool, default("")] = False
    """Print no progress."""

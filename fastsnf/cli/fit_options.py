"""The options of ``fastsnf fit``: one dataclass that is the parser, the help text and the record of a run.

Every option but the flags is ``None`` unless given, so that defaults live where they are used and
``--resume`` can refuse a choice that contradicts the run. What belongs together has a file of its own:
`fit_signal_options`, `fit_field_options`, `fit_training_options`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from fastsnf.cli.fit_field_options import AUTO, FieldOptions
from fastsnf.cli.fit_signal_options import SignalOptions
from fastsnf.cli.fit_training_options import TrainingOptions
from fastsnf.cli.options import choice, default, integer, memory_size, number, text
from fastsnf.presets.recipes import RECIPES
from fastsnf.train.config import IOUS, PRECISIONS, PSNRS

__all__ = ["AUTO", "ENGINES", "FitOptions"]

ENGINES = ("auto", "native", "triton", "cuda", "reference")


@dataclass(frozen=True)
class RunOptions:
    """What is fitted, where the run goes, and when it stops."""

    input: Annotated[str | None, tyro.conf.Positional, text("INPUT"), default("")] = None
    """The file to fit: photograph, sound, mesh, array, map, video. With --resume, the run folder."""

    out: Annotated[str | None, text("DIR"), default("runs/<name>, numbered when taken")] = None
    """The run folder to write."""
    resume: Annotated[bool, default("")] = False
    """Go on from the last checkpoint of the run folder, with the options that it records."""
    from_: Annotated[str | None, tyro.conf.arg(name="from"), text("RUN"), default("fresh weights")] = None
    """Start from the weights of another run, a folder or a .safetensors file."""

    recipe: Annotated[str | None, choice(RECIPES), default("none")] = None
    """The settings of a paper for a kind of signal; other options override them."""

    steps: Annotated[int | None, integer("N", 1), default("1000 when no other rule is given")] = None
    """Stop after N steps."""
    epochs: Annotated[float | None, number("N", above=0), default("")] = None
    """Stop when N times the points of the signal have been seen."""
    target_psnr: Annotated[float | None, number("DB"), default("")] = None
    """Stop when the PSNR reaches DB decibels."""
    time_limit: Annotated[float | None, number("S", above=0), default("")] = None
    """Stop after S seconds."""


@dataclass(frozen=True)
class MachineOptions:
    """What computes, in how much memory, and what is reported."""

    device: Annotated[str | None, text("DEVICE"), default("auto, cuda when there is one")] = None
    """Where to fit, as torch names it."""
    precision: Annotated[str | None, choice(PRECISIONS), default("auto")] = None
    """Arithmetic of the matrix products; auto follows torch.get_float32_matmul_precision()."""
    engine: Annotated[str | None, choice(ENGINES), default("auto, the fastest that can")] = None
    """Implementation of the field."""

    memory_limit: Annotated[int | None, memory_size(), default("none")] = None
    """Memory that the fit may take, for example 2GB: points are then computed in smaller chunks."""

    psnr: Annotated[str | None, choice(PSNRS), default("plain")] = None
    """Which PSNR to report; published adds the paper's own variant."""
    iou: Annotated[str | None, choice(IOUS), default("plain")] = None
    """Which IoU to report; published adds that of WIRE's loop, measured while it trains."""
    json: Annotated[bool, default("")] = False
    """Print the summary as one JSON object on the last line of stdout, and all else on stderr."""
    no_progress: Annotated[bool, default("")] = False
    """Print no progress."""


# Options of the last base come first.
@dataclass(frozen=True)
class FitOptions(MachineOptions, TrainingOptions, FieldOptions, SignalOptions, RunOptions):
    """Fit a field to a photograph, a sound, a solid or another signal and write a run folder.

    The folder holds weights, reconstruction, curve, configuration and report.html. Without options: 256
    features, 3 hidden layers, sine with omega 30, weight scaling with alpha 2.37, Adam on mini-batches of
    32,768 points at 1e-3 with a cosine schedule, 1,000 steps; other kinds of signals than pictures have an
    alpha and omegas of their own.
    """

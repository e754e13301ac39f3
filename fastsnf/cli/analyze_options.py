"""The options of ``fastsnf analyze``: its own, and those of ``fit`` that name signal and field."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import tyro

from fastsnf.analysis.config import (
    DEFAULT_PARTS,
    HESSIAN_POINTS,
    HESSIAN_STEPS,
    NTK_STEPS,
    PARTS,
    POINTS,
)
from fastsnf.cli.fit_field import FIELD
from fastsnf.cli.fit_options import AUTO, FitOptions
from fastsnf.cli.options import default, integer, listed, text
from fastsnf.cli.parse import option_name
from fastsnf.cli.shared_options import SIGNAL, with_fit_options
from fastsnf.errors import InputError, unknown

FRESH = ("field", *FIELD)
"""Options of ``fit`` that say what a fresh field is."""
MOST_POINTS = 1_000_000


def part(name: str) -> str:
    """Return the name of a part of the analysis; raises `InputError` for another."""
    if name not in PARTS:
        raise unknown("a part of the analysis", name, PARTS)
    return name


@dataclasses.dataclass(frozen=True)
class OwnOptions:
    """Explain a field: NTK spectrum, condition numbers, alignment, frequencies, distributions per layer.

    Of a run folder (or a .safetensors file) it is the fitted field; of an input file a fresh one, as fit
    would start from.
    """

    input: Annotated[str, tyro.conf.Positional, text("RUN|INPUT")]
    """A run folder, a .safetensors file of a field, or an input file."""
    signal: Annotated[str | None, text("FILE"), default("the file that the run records")] = None
    """With a run: the file that it was fitted to. Without it, what needs no target is left."""
    out: Annotated[str | None, text("DIR"), default("RUN/analysis; runs/<name>-analysis")] = None
    """Where analysis.json and the pictures go."""
    only: Annotated[
        tuple[str, ...] | None, listed("PART,...", part, "parts"), default(",".join(DEFAULT_PARTS))
    ] = None
    """Parts: ntk, spectrum, hessian, layers; ntk-all takes products over all points."""
    points: Annotated[int | None, integer("N", 1, MOST_POINTS), default(str(POINTS))] = None
    """Sampled points of the NTK and the layers; time grows as N cubed."""
    hessian_points: Annotated[int | None, integer("N", 1), default(str(HESSIAN_POINTS))] = None
    """Sampled points of the loss."""
    hessian_steps: Annotated[int | None, integer("M", 6), default(str(HESSIAN_STEPS))] = None
    """Lanczos steps on the Hessian, unless the field is so small that all of it is computed."""
    ntk_steps: Annotated[int | None, integer("M", 1), default(str(NTK_STEPS))] = None
    """Lanczos steps of ntk-all."""
    seed: Annotated[int, integer("N", 0, 2**63 - 1), default("0")] = 0
    """Seed of the points, the start vectors and a fresh field."""
    device: Annotated[str, text("DEVICE"), default("auto, cuda when there is one")] = "auto"
    """Where to compute, as torch names it."""
    json: Annotated[bool, default("")] = False
    """Print one JSON object on the last line of stdout, and the tables on stderr."""


def options_class() -> type[Any]:
    """Return the dataclass of all options: the command's own and those that it shares with ``fit``."""
    return with_fit_options(OwnOptions, "AnalyzeOptions", (*SIGNAL, *FRESH))


def fit_options(options: Any, path: str) -> FitOptions:
    """Return what ``fit PATH`` would be given to make the signal and the field of these options.

    Raises:
        InputError: for ``--alpha auto``, a search that is no part of an analysis.
    """
    if options.alpha == AUTO:
        raise InputError("expected --alpha A as a number; got auto: fastsnf tune searches it")
    shared = {name: getattr(options, name) for name in (*SIGNAL, *FRESH)}
    return FitOptions(input=path, seed=options.seed, **shared)


def refuse_fresh(options: Any, source: str) -> None:
    """Raise `InputError` for an option of a fresh field beside a run, which brings its own."""
    for name in FRESH:
        if getattr(options, name) is not None:
            raise InputError(
                f"expected no {option_name(name)} with the field of {source}, which is what it is: drop it"
            )

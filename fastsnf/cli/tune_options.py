"""The options of ``fastsnf tune``: its own, and those of ``fit`` that say what is fitted and how."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import tyro

from fastsnf.cli.fit_field import FIELD
from fastsnf.cli.fit_options import AUTO, FitOptions
from fastsnf.cli.options import choice, default, integer, listed, number, span, text
from fastsnf.cli.shared_options import SIGNAL, with_fit_options
from fastsnf.errors import InputError
from fastsnf.studies.tune.knobs import OVER

SHARED = (
    *SIGNAL,
    *("field", *FIELD),
    *("optimizer", "lr", "schedule", "loss", "batch_size"),
    *("iga", "iga_group", "iga_start", "iga_end", "iga_target", "iga_form", "iga_sample", "iga_refresh"),
    *("device", "precision", "engine"),
)
"""Options of ``fit`` that mean the same here."""
OTHER_DEFAULTS = {"schedule": "constant", "alpha": "searched; 2.37 for images"}
"""What happens here without an option, where it is not what ``fit`` does."""


@dataclasses.dataclass(frozen=True)
class OwnOptions:
    """Search the value of one number by short fits: the fastest that does not cost the points in between.

    Maximizes the speed to a target PSNR, with a test PSNR on held-out points of at least 0.95 times that of
    alpha = 1 (or of the value that the other options give): Eq. 10 of the weight-scaling paper. Options of
    fit say what is fitted; a fit's settings are its defaults, but for a constant schedule.
    """

    inputs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="INPUT [INPUT ...]", help_behavior_hint=""),
    ] = ()
    """The files to fit; each is searched, unless with --transfer."""
    over: Annotated[str, choice(OVER), default("alpha")] = "alpha"
    """The number that is searched."""
    values: Annotated[tuple[float, ...] | None, listed("V,...", float, "numbers"), default("spread")] = None
    """The very values that are tried, beside the reference."""
    range: Annotated[
        tuple[float, float] | None, span(), default("alpha 1:4; others a factor around their value")
    ] = None
    """The range that values are spread over, evenly in their logarithm."""
    candidates: Annotated[int, integer("N", 2, 1000), default("5")] = 5
    """How many values are spread over the range."""
    rounds: Annotated[int | None, integer("N", 0, 100), default("2; 0 with --values")] = None
    """How often two more are tried around the best."""
    steps: Annotated[int | None, integer("N", 1), default("1000")] = None
    """Budget of a candidate."""
    target_psnr: Annotated[float | None, number("DB"), default("50")] = None
    """PSNR over the training points whose steps are counted."""
    holdout: Annotated[int | None, integer("K", 2), default("2")] = None
    """Train on every K-th point of each axis, test on the others."""
    share: Annotated[float, number("S", above=0), default("0.95")] = 0.95
    """Least test PSNR, as a share of the reference's."""
    complete: Annotated[bool, default("")] = False
    """Run every candidate to its end, for a whole curve: those that cannot win stop otherwise."""
    transfer: Annotated[bool, default("")] = False
    """Search on the first INPUT alone, and try what was found on the others."""
    seeds: Annotated[tuple[int, ...] | None, listed("N,...", int, "whole numbers"), default("0")] = None
    """Seeds of weights and batches, a fit each; figures are means."""
    out: Annotated[str | None, text("DIR"), default("runs/tune-NAME")] = None
    """Where records, tables and pictures go; a fit that is there is not run again."""
    json: Annotated[bool, default("")] = False
    """Print the summary as one JSON object on the last line of stdout, and all else on stderr."""
    no_progress: Annotated[bool, default("")] = False
    """Print no lines while fits run."""


def options_class() -> type[Any]:
    """Return the dataclass of all options: the command's own and those that it shares with ``fit``."""
    return with_fit_options(OwnOptions, "TuneOptions", SHARED, OTHER_DEFAULTS)


def fit_options(options: Any, path: str) -> FitOptions:
    """Return what ``fit PATH`` would be given for a candidate, the searched number aside.

    Raises:
        InputError: for ``--alpha`` where it is what is searched, or where it is no number.
    """
    if options.over == "alpha" and options.alpha is not None:
        raise InputError(
            f"expected no --alpha with --over alpha, which searches it; got {options.alpha}: drop it, or "
            "name values with --values"
        )
    if options.alpha == AUTO:
        raise InputError("expected --alpha A as a number with --over of something else; got auto")
    shared = {name: getattr(options, name) for name in SHARED}
    limits = {name: getattr(options, name) for name in ("steps", "target_psnr", "holdout")}
    return FitOptions(input=path, **shared, **limits)

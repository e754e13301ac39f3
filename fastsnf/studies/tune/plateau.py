"""Whether a field leaves the plateau on which it predicts a constant, and an alpha with which it does.

Table 2's alpha of occupancy, 3.7, is for long fits: in a short one, or on a coarse grid, initial waves are so
short that a batch says nothing about the next one, and the loss stays at the variance of the voxels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fastsnf.errors import RunError
from fastsnf.signals import Occupancy
from fastsnf.studies.tune.race import MakeField
from fastsnf.train.config import FitConfig
from fastsnf.train.loop import Loop
from fastsnf.train.metrics import psnr_of
from fastsnf.train.placement import as_configured, as_placed
from fastsnf.train.plan import make_plan
from fastsnf.train.stopping import StopRule

STEPS = 24
"""Steps of a trial: with a fitting alpha a field of width 256 is 6 dB above a constant by then."""
SHARE = 0.1
"""Of the fit's steps that one trial may take; a shorter fit has none. Of its time likewise."""
STEP_S = 0.25
"""Seconds that a step may take, where only the time of a fit is known."""
LEAST_GAIN = 1.0
"""Decibels above a constant that count as learning."""
INSTEAD = (2.0, 1.5)
"""What is tried where the default does not learn."""


def learning_alpha(
    signal: Occupancy, make_field: MakeField, config: FitConfig, alphas: Sequence[float]
) -> tuple[float, list[str]]:
    """Return the first alpha with which a few steps learn anything, and lines that say so for the others.

    Args:
        signal: the grid.
        make_field: of overrides (``alpha``) and a seed, a field in its initial state.
        config: the fit's settings.
        alphas: the default, then what to try instead.

    Returns:
        (alpha, lines): the default and no lines where it learns, where none does, or where the fit is too
        short for trials.
    """
    default, *others = alphas
    if not worth_it(signal, config):
        return default, []
    share = signal.voxels.count() / signal.size
    constant = psnr_of(share * (1.0 - share))
    before = _psnr(signal, make_field, config, default) - constant
    if before >= LEAST_GAIN:
        return default, []
    for alpha in others:
        gain = _psnr(signal, make_field, config, alpha) - constant
        if gain >= LEAST_GAIN:
            return alpha, [
                f"alpha {alpha:g}: with {default:g}, the default of occupancy, {STEPS} steps learned nothing "
                f"({before:+.1f} dB beside a constant), with {alpha:g} {gain:+.1f} dB; "
                f"--alpha {default:g} keeps it"
            ]
    return default, []


def worth_it(signal: Occupancy, config: FitConfig) -> bool:
    """Return whether a fit is long enough for trials of `STEPS` steps."""
    stop = StopRule.of(config, max(1, signal.size // config.points_per_step(signal.size)))
    if stop.max_steps is not None and SHARE * stop.max_steps < STEPS:
        return False
    return stop.time_limit is None or SHARE * stop.time_limit >= STEPS * STEP_S


def _psnr(signal: Occupancy, make_field: MakeField, config: FitConfig, alpha: float) -> float:
    """Return the PSNR after `STEPS` steps at a constant rate, at all points or a sample of them."""
    short = dataclasses.replace(
        config,
        steps=STEPS,
        epochs=None,
        time_limit=None,
        target_psnr=None,
        schedule="constant",
        preview_every=0,
    )
    with as_configured(short):
        plan = make_plan(make_field({"alpha": alpha}, config.seed), signal, short)
        with as_placed(short, plan.place):
            try:
                Loop(plan.start(), plan, (), None).run()
            except RunError:  # a loss that is not finite
                return float("-inf")
            found = plan.preview()
    assert found is not None, "nothing stops it"
    return found.psnr

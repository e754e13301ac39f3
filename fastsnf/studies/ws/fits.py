"""Fields of the weight-scaling experiments, and fits of them to a picture until a PSNR is reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fastsnf.nn import SNF, Field
from fastsnf.signals import Signal
from fastsnf.spec import Sine
from fastsnf.studies.fitting import curve_of, fit_in, full_batch, run_folder
from fastsnf.studies.means import mean
from fastsnf.studies.study import Progress, silent
from fastsnf.studies.ws.config import FitsSettings, HeldSettings
from fastsnf.train import Callback, FitConfig, FitResult
from fastsnf.train.placement import resolve_device

ROWS = 100
"""Points of a fit's curve, unless a study asks for others."""
WEIGHTS, FREQUENCY = "alpha", "first omega"
"""Weight scaling, and frequency tuning, which scales the first omega alone (Sec. 3.2)."""


def field_of(facts: Mapping[str, Any], *, in_features: int = 2) -> Field:
    """Return the field of a row in its initial state; the same seed draws the same numbers for every factor.

    ``facts["method"]`` says of what ``facts["factor"]`` is the factor: `WEIGHTS` or `FREQUENCY`. The hidden
    layers' omega stays what it is: SIREN's bounds cancel it at the start, but Adam's steps grow with it.
    """
    alpha = facts["factor"] if facts["method"] == WEIGHTS else 1.0
    first = facts.get("first_omega", facts["omega"])
    first *= facts["factor"] if facts["method"] == FREQUENCY else 1.0
    return SNF(
        in_features,
        1,
        facts["hidden_features"],
        facts["hidden_layers"],
        activation=Sine(facts["omega"]),
        first_activation=Sine(first),
        init="weight-scaling",
        alpha=alpha,
        bias_init=facts.get("bias", "default"),
        generator=torch.Generator().manual_seed(facts["seed"]),
    )


def name_of(method: str, factor: float, omega: float) -> str:
    """Return the name of a training.

    >>> name_of("alpha", 1.0, 30.0), name_of("alpha", 2.37, 30.0), name_of("first omega", 2.0, 30.0)
    ('SIREN', 'alpha 2.37', 'first omega 60')
    """
    if factor == 1.0:
        return "SIREN"
    return f"alpha {factor:g}" if method == WEIGHTS else f"first omega {factor * omega:g}"


def methods(alphas: Sequence[float], tuned: Sequence[float]) -> list[tuple[str, float]]:
    """Return what is trained: every factor of the weights, then those of the first omega that are not 1."""
    return [*((WEIGHTS, a) for a in alphas), *((FREQUENCY, w) for w in tuned if w != 1.0)]


def shared_facts(settings: FitsSettings) -> dict[str, Any]:
    """Return the settings that decide a fit, whatever is compared."""
    names = ["size", "steps", "lr", "omega", "hidden_features", "hidden_layers"]
    if isinstance(settings, HeldSettings):
        names += ["holdout", "target"]
    facts = {name: getattr(settings, name) for name in names}
    return {**facts, "device": str(resolve_device(settings.device))}


def config_of(facts: Mapping[str, Any], **options: Any) -> FitConfig:
    """Return the settings of a row's fit: Adam at a constant rate on all training pixels (App. E.1).

    `options` of `FitConfig` replace them; an optimizer callable owns its learning rates.
    """
    if "optimizer" in options:
        options["lr"] = None
    held = {"target_psnr": facts.get("target"), "holdout": facts.get("holdout")}
    return full_batch(facts, ROWS, **held, **options)


def fit_row(
    facts: Mapping[str, Any],
    make_field: Callable[[], Field],
    signal: Signal,
    config: FitConfig,
    folder: Path,
    progress: Progress = silent,
    callbacks: Sequence[Callback] = (),
) -> FitResult:
    """Fit in a folder of its own below `folder`, named by the facts; an interrupted fit goes on there.

    Raises:
        InputError, RunError, fastsnf.train.Interrupted: as `fastsnf.fit`.
    """
    return fit_in(run_folder(folder, facts), make_field, signal, config, progress, callbacks)


def course_of(result: FitResult, target: float) -> dict[str, Any]:
    """Return what a fit gave: steps to the target or None, both PSNRs, and the PSNR over the steps."""
    return {
        "reached": result.psnr >= target,
        "made": result.steps,
        "psnr": result.psnr,
        "psnr_test": result.psnr_holdout,
        "engine": result.engine,
        **curve_of(result),
    }


def steps_to_target(results: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the mean steps of fits to the target, None where there are none or one did not reach it.

    >>> steps_to_target([{"made": 10, "reached": True}, {"made": 20, "reached": True}])
    15.0
    """
    return mean([r["made"] if r["reached"] else None for r in results])

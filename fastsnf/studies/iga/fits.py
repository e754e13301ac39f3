"""One fit of a picture as IGA's Sec. 6.1 has it, plain or adjusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fastsnf.encodings import Encoding, Positional
from fastsnf.errors import InputError
from fastsnf.nn import SNF, Field, FourierReparameterized, NormalizedField
from fastsnf.ntk.config import IGA
from fastsnf.signals import Image
from fastsnf.spec import Activation, ReLU, Sine
from fastsnf.studies.fitting import curve_of, fit_in, full_batch, run_folder, seconds_a_step
from fastsnf.studies.iga.heads import widen_head_
from fastsnf.studies.perceptual import lpips_alex
from fastsnf.studies.study import Progress, silent
from fastsnf.train import FitConfig, FitResult
from fastsnf.train.metrics import ssim

ROWS = 500
"""Rows of metrics of a fit; the best PSNR is the best of them."""


@dataclass(frozen=True)
class Model:
    """An architecture with the released code's settings.

    Attributes:
        title: the paper's name. activation, init, encoding: of the layers.
        lr, iga_lr: learning rates of plain training and of IGA. end: lambda_0 .. lambda_(end - 1) become
            lambda_end; so does the code, though Eq. 5 counts one fewer.
        rivals: what decides a rival's field and training, as facts of its rows: ``lr``, and the height of the
            bases (``factor``) of FR, or where the normalisation is (``order``) of BN.
    """

    title: str
    activation: Activation
    init: str
    lr: float
    iga_lr: float
    end: int
    rivals: Mapping[str, Mapping[str, Any]]
    encoding: Encoding | None = None


MODELS = {
    "siren": Model(
        "SIREN",
        Sine(30.0),
        "siren",
        lr=1e-3,
        iga_lr=1e-3,
        end=20,
        rivals={"fr": {"lr": 1e-3, "factor": 0.004}, "bn": {"lr": 1e-3, "order": "before"}},
    ),
    "relu": Model(
        "ReLU",
        ReLU(),
        "default",
        lr=1e-3,
        iga_lr=5e-3,
        end=25,
        rivals={"fr": {"lr": 5e-3, "factor": 0.001}, "bn": {"lr": 1e-3, "order": "after"}},
    ),
    "pe": Model(
        "PE",
        ReLU(),
        "default",
        lr=1e-3,
        iga_lr=5e-3,
        end=20,
        rivals={"fr": {"lr": 1e-3, "factor": 0.05}, "bn": {"lr": 3e-3, "order": "before"}},
        encoding=Positional(6),
    ),
}
"""The released code has no settings for SIREN with batch normalisation: its rate here is SIREN's."""


def field_of(facts: Mapping[str, Any]) -> Field:
    """Return the field of a row, in its initial state: the same for plain training and IGA of a seed."""
    model, rival = MODELS[facts["model"]], facts.get("rival")
    sizes = (2, 3, facts["hidden_features"], facts["hidden_layers"])
    shared: dict[str, Any] = {
        "activation": model.activation,
        "encoding": model.encoding,
        "generator": torch.Generator().manual_seed(facts["seed"]),
    }
    if rival == "fr":
        return FourierReparameterized(*sizes, factor=facts["factor"], **shared)
    field: SNF | NormalizedField
    if rival == "bn":
        field = NormalizedField(*sizes, order=facts["order"], **shared)
    else:
        field = SNF(*sizes, init=model.init, **shared)
    return widen_head_(field, facts["seed"]) if model.activation == ReLU() else field


def schedule_of(steps: int, drop_at: int) -> str:
    """Return the schedule: a tenth of the rate from step `drop_at` on."""
    return f"once:{drop_at}:0.1" if steps > drop_at else "constant"


def config_of(facts: Mapping[str, Any]) -> FitConfig:
    """Return the settings of a row's fit."""
    group = facts["group"]
    iga = None
    if group is not None:
        iga = IGA(
            group=f"patch:{group}", end=facts["end"], form="adam", sample=facts["sample"],
            refresh=facts["refresh"], seed=facts["seed"],
        )  # fmt: skip
    return full_batch(facts, ROWS, iga=iga)


def fit_picture(
    facts: Mapping[str, Any], path: Path, folder: Path, progress: Progress = silent
) -> dict[str, Any]:
    """Fit the picture at `path` as `facts` say and return the result of the row.

    The run is in `folder`, under a name made of `facts`: an interrupted one goes on from its checkpoint.

    Raises:
        InputError, RunError, fastsnf.train.Interrupted: as `fastsnf.fit`.
    """
    image = Image.open(path, mode="rgb", size=facts["size"])
    run = run_of(folder, facts)
    config = config_of(facts)
    result = fit_in(run, lambda: field_of(facts), image, config, progress)
    psnrs = [row["psnr"] for row in result.history if row["psnr"] is not None]
    return {
        "psnr": result.psnr,
        "psnr_best": max([*psnrs, result.psnr]),
        **similarities(result, image),
        "seconds_step": seconds_a_step(result),
        "failures": (result.iga or {}).get("failures", 0),
        "engine": result.engine,
        "precision": result.precision,
        "run": str(run),
        **curve_of(result),
    }


def run_of(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Return a row's run folder below the study's."""
    plain = facts.get("rival") or "plain"
    kind = plain if facts["group"] is None else f"iga{facts['group']}-{facts['sample']}"
    return run_folder(folder, facts, facts["picture"], facts["model"], kind, facts["seed"])


def similarities(result: FitResult, image: Image) -> dict[str, float | None]:
    """Return SSIM and LPIPS of the final weights' picture, as 8 bits; None where a package is missing."""
    assert result.values is not None, "an image is held in memory"
    drawn, target = image.to_array(result.values), image.to_array()
    try:
        similarity: float | None = ssim(drawn / 255.0, target / 255.0)
    except InputError:
        similarity = None
    return {"ssim": similarity, "lpips": lpips_alex(drawn, target)}

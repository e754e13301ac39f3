"""The fits of `vi3nr-images`: an activation, an initializer and a size each, on one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fastsnf.nn import SNF, Field
from fastsnf.nn.init import INITIALIZERS
from fastsnf.signals import Image
from fastsnf.spec import Activation, Gaussian, ReLU, Sinc, Sine, activation_from_dict
from fastsnf.studies.fitting import curve_of, fit_in, full_batch, run_folder, seconds_a_step
from fastsnf.studies.study import Progress, silent
from fastsnf.studies.vi3nr.config import ImagesSettings, ReconstructionSettings

ROWS = 100
"""Points of a fit's curve."""
MONTE_CARLO = {"method": "monte-carlo"}


@dataclass(frozen=True)
class Start:
    """A field before its fit.

    Attributes:
        activation, layers, features: of every layer but the linear last one, `layers` of them.
        init: a key of `INITIALIZERS`. options: that it takes.
        stretch: of the coordinates, which the first layer's weights take after the initializer.
    """

    activation: Activation
    init: str
    layers: int
    features: int
    options: Mapping[str, Any] = field(default_factory=dict)
    stretch: float = 1.0

    def facts(self) -> dict[str, Any]:
        """Return the start, JSON-able; `field_of` reads it."""
        stretched = {} if self.stretch == 1.0 else {"stretch": self.stretch}
        return {
            **stretched,
            "activation": self.activation.to_dict(),
            "init": self.init,
            "options": dict(self.options),
            "layers": self.layers,
            "features": self.features,
        }


def table_5(s: ImagesSettings) -> dict[str, list[Start]]:
    """Return the starts of each line of Table 5, of which the best mean counts, by the names of `TABLE_5`."""
    sine, sinc, gaussian = Sine(30.0), Sinc(s.sinc_omega), Gaussian.from_sigma(0.05)
    return {
        "SIREN + random normal": random_starts(s, sine),
        "SIREN + SIREN init": [start_of(s, sine, "siren")],
        "Sinc + random normal": random_starts(s, sinc),
        "Sinc + VI3NR, Monte Carlo": [start_of(s, sinc, "vi3nr", sigma_p=s.sinc_sigma_p, **MONTE_CARLO)],
        "Gaussian + random normal": random_starts(s, gaussian),
        "Gaussian + VI3NR, Monte Carlo": [start_of(s, gaussian, "vi3nr", sigma_p=0.15, **MONTE_CARLO)],
        "Gaussian + VI3NR": [start_of(s, gaussian, "vi3nr", sigma_p=0.15)],
    }


def table_8(s: ImagesSettings) -> dict[str, list[Start]]:
    """Return the starts of each line of Table 8 by the names of `TABLE_8`."""

    def gaussian(sigma_a: float, init: str, **options: Any) -> list[Start]:
        return [start_of(s, Gaussian.from_sigma(sigma_a), init, **options)]

    return {
        "ReLU, Xavier": [start_of(s, ReLU(), "xavier-uniform")],
        "ReLU, Kaiming": [start_of(s, ReLU(), "kaiming-uniform")],
        "ReLU, VI3NR sigma_p 1": [start_of(s, ReLU(), "vi3nr", sigma_p=1.0)],
        "Gaussian 0.05, Xavier": gaussian(0.05, "xavier-uniform"),
        "Gaussian 0.05, Kaiming": gaussian(0.05, "kaiming-uniform"),
        "Gaussian 0.05, VI3NR sigma_p 0.08": gaussian(0.05, "vi3nr", sigma_p=0.08),
        "Gaussian 0.05, VI3NR sigma_p 0.15": gaussian(0.05, "vi3nr", sigma_p=0.15),
        "Gaussian 0.09, Xavier": gaussian(0.09, "xavier-uniform"),
        "Gaussian 0.2, Kaiming": gaussian(0.2, "kaiming-uniform"),
    }


def grid(s: ImagesSettings, layers: int) -> dict[tuple[float, float], Start]:
    """Return the starts of a grid by (sigma_a, sigma_a / sigma_p) (Fig. 2b and 3)."""
    return {
        (sigma_a, ratio): Start(
            Gaussian.from_sigma(sigma_a), "vi3nr", layers, s.grid_features, {"sigma_p": sigma_a / ratio}
        )
        for sigma_a in s.sigma_a
        for ratio in s.ratios
    }


def figure_5(s: ImagesSettings) -> dict[tuple[str, float], list[Start]]:
    """Return the starts of Fig. 5 by initializer and sigma_a: random normal, and VI3NR on the image trend."""
    found: dict[tuple[str, float], list[Start]] = {}
    for sigma_a in s.sigma_a:
        gaussian = Gaussian.from_sigma(sigma_a)
        found["random normal", sigma_a] = random_starts(s, gaussian)
        found["VI3NR", sigma_a] = [start_of(s, gaussian, "vi3nr", sigma_p=sigma_a / IMAGE_RATIO)]
    return found


IMAGE_RATIO = 0.33
"""Sigma_a / sigma_p at which the paper fits images best (Sec. 4.2)."""


def start_of(
    s: ImagesSettings | ReconstructionSettings, activation: Activation, init: str, **options: Any
) -> Start:
    """Return a start of the settings' size."""
    return Start(activation, init, s.layers, s.hidden_features, options)


def random_starts(s: ImagesSettings | ReconstructionSettings, *activations: Activation) -> list[Start]:
    """Return a start for every activation and deviation of random normal weights."""
    return [start_of(s, activation, "random-normal", std=std) for activation in activations for std in s.stds]


def field_of(facts: Mapping[str, Any], channels: int, in_features: int = 2) -> Field:
    """Return the field of a row: `layers` layers with the activation, and a linear one after them."""
    generator = torch.Generator().manual_seed(facts["seed"])
    made = SNF(
        in_features,
        channels,
        facts["features"],
        facts["layers"] - 1,
        activation=activation_from_dict(facts["activation"]),
        init="default",
        generator=generator,
    )
    options = dict(facts["options"])
    if options.get("method") == "monte-carlo":
        options["seed"] = facts["seed"]
    initialize = INITIALIZERS[facts["init"]]
    initialized = initialize(made, **options, bias_init=facts["bias_init"], generator=generator)
    with torch.no_grad():
        made.linears()[0].weight.mul_(facts.get("stretch", 1.0))
    return initialized


def fit_picture(
    facts: Mapping[str, Any], path: Path, folder: Path, progress: Progress = silent
) -> dict[str, Any]:
    """Fit the picture at `path` as `facts` say, in a folder named by them, and return the row's result.

    Raises:
        InputError, RunError, fastsnf.train.Interrupted: as `fastsnf.fit`.
    """
    image = Image.open(path, mode=facts["mode"], size=facts["size"])
    run = run_folder(folder, facts, facts["picture"], facts["init"], facts["seed"])
    config = full_batch(facts, ROWS)
    result = fit_in(run, lambda: field_of(facts, image.out_features), image, config, progress)
    return {
        "psnr": result.psnr,
        "seconds_step": seconds_a_step(result),
        "engine": result.engine,
        "run": str(run),
        **curve_of(result),
    }

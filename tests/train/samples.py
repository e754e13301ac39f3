"""Small fields and signals, and fits of them that other processes can run."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import torch

import fastsnf
from fastsnf.signals import synthetic
from fastsnf.signals.image import Image
from fastsnf.signals.samples import Samples
from fastsnf.train.callbacks import Callback
from fastsnf.train.interrupt import Interrupted
from fastsnf.train.result import FitResult

BATCHES = {"steps": 40, "batch_size": 200, "log_every": 5, "preview_every": 0}
"""A fit of mini-batches, several epochs, cosine schedule."""


def small_field(seed: int = 0, out_features: int = 1, **options: Any) -> fastsnf.SNF:
    generator = torch.Generator().manual_seed(seed)
    sizes = {"hidden_features": 16, "hidden_layers": 1, "first_omega": 10.0, "hidden_omega": 10.0}
    return fastsnf.SNF(2, out_features, **{**sizes, **options}, generator=generator)


def small_image(shape: tuple[int, int] = (24, 20)) -> Image:
    return synthetic.random_band_limited(2, 4, 3, seed=0).image(shape)


def holey_samples() -> Samples:
    """A signal of 20 x 18 points with weights in [0.5, 2], of which 60 are holes that hold NaN."""
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(20, 18, 1, generator=generator)
    weights = 0.5 + 1.5 * torch.rand(20, 18, generator=generator)
    holes = torch.randperm(360, generator=generator)[:60]
    values.view(-1)[holes] = torch.nan
    weights.view(-1)[holes] = 0.0
    return Samples.from_array(values, weights)


def same_state(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Whether two modules hold the same tensors, bit for bit."""
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Announce(Callback):
    """Touches a file once the fit has made a few steps."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def on_log(self, row: dict[str, Any], state: Any) -> None:
        self._marker.touch()


def fit_small(run: Path | None = None, **options: Any) -> FitResult:
    torch.set_num_threads(1)
    return fastsnf.fit(small_field(), small_image(), run=run, **{**BATCHES, **options})


def fit_process(run: Path, marker: Path, options: dict[str, Any]) -> None:
    """Fit, announcing the first row, and exit as the command line does; runs in a process of its own."""
    try:
        fit_small(run, callbacks=[Announce(marker)], **options)
    except Interrupted as error:
        sys.exit(error.exit_status)


def save_process(path: Path, marker: Path) -> None:
    """Save one field over another for ever; runs in a process of its own."""
    torch.set_num_threads(1)
    field = small_field(hidden_features=128)
    for value in itertools.count():
        with torch.no_grad():
            for parameter in field.parameters():
                parameter.fill_(float(value))
        fastsnf.save(field, path)
        marker.touch()

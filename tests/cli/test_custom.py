"""A fit of a field with a user's own activation: it trains, and its header says on which engine and why."""

from __future__ import annotations

from typing import Any

import torch

import fastsnf
from fastsnf.cli.progress import header
from fastsnf.nn import SNF
from fastsnf.signals.synthetic import BandLimited
from fastsnf.spec import Custom
from fastsnf.train.callbacks import Callback
from fastsnf.train.state import FitState
from tests import cases


class Headers(Callback):
    """Keeps the header and every loss."""

    def __init__(self) -> None:
        self.header: dict[str, str] = {}
        self.losses: list[float] = []

    def on_start(self, state: FitState) -> None:
        self.header = dict(header(state, "own"))

    def on_log(self, row: dict[str, Any], state: FitState) -> None:
        self.losses.append(row["loss"])


def test_a_fit_trains_and_says_that_it_runs_in_plain_pytorch() -> None:
    field = SNF(2, 1, 16, 1, activation=Custom(lambda u: torch.sin(20.0 * u)), generator=cases.generator())
    signal = BandLimited(frequencies=((1.0, 2.0),), amplitudes=(1.0,), phases=(0.3,)).samples((8, 8))
    seen = Headers()
    fastsnf.fit(field, signal, steps=40, log_every=1, callbacks=[seen])
    assert seen.header["engine"].startswith("reference on cpu")
    assert "native: a user's own activation runs in plain PyTorch" in seen.header["engine"]
    assert seen.losses[-1] < 0.5 * seen.losses[0]

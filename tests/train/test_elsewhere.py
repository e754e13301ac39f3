"""Fits measured on another signal than they are trained on, and the metrics that such signals have."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import Tensor

import fastsnf
from fastsnf.errors import InputError
from fastsnf.signals import Image, Samples, Signal, SuperResolution
from fastsnf.train import Callback
from fastsnf.train.losses import bce, reduction_of
from fastsnf.train.meters import METRICS
from fastsnf.train.metrics import ssim
from fastsnf.train.state import FitState
from tests.signals.files import noise


class Halved(Samples):
    """Samples that are trained on every second point of the line that they are measured on."""

    def __init__(self, shape: tuple[int, ...], channels: int, values: Tensor) -> None:
        super().__init__(shape, channels, values)
        self.line = Samples(shape, channels, values)

    @property
    def evaluation(self) -> Signal:
        return self.line


class Seen(Callback):
    """What the previews of a fit measured."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, float]] = []

    def on_preview(self, state: FitState) -> None:
        assert state.preview is not None
        self.metrics.append(state.preview.metrics)


def test_previews_and_results_are_of_the_other_signal() -> None:
    picture = Image.from_array(noise((16, 16), "float32"))
    signal, seen = SuperResolution.from_image(picture, 4), Seen()
    field = fastsnf.SNF(2, 1, 16, 2)
    result = fastsnf.fit(field, signal, steps=4, preview_every=0.0, callbacks=[seen])
    assert result.rendering.signal is signal.evaluation
    assert result.kind == "super-resolution"
    assert {"psnr", "ssim"} <= set(result.summary())
    for metrics in seen.metrics:
        assert set(metrics) == {"psnr", "ssim"}


def test_a_holdout_is_refused_and_other_signals_keep_theirs() -> None:
    values = torch.rand(32, 1)
    field = fastsnf.SNF(1, 1, 16, 2)
    with pytest.raises(InputError, match="measured elsewhere"):
        fastsnf.fit(field, Halved((32,), 1, values), steps=1, holdout=2)
    assert fastsnf.fit(field, Samples((32,), 1, values), steps=1, holdout=2).psnr_holdout is not None
    assert fastsnf.fit(field, Halved((32,), 1, values), steps=1).psnr_holdout is None


def test_only_values_of_several_outputs_are_reduced() -> None:
    picture = Image.from_array(noise((8, 8), "float32"))
    assert reduction_of(None, "mse") is None
    assert reduction_of(picture, "bce") is None
    signal = SuperResolution.from_image(picture, 4)
    reduce = reduction_of(signal, "mse")
    assert reduce is not None
    assert torch.equal(reduce(torch.arange(32.0).reshape(2, 16, 1)), torch.tensor([[7.5], [23.5]]))
    assert reduction_of(signal, bce) is not None  # the caller's own: what it makes of means is its affair
    with pytest.raises(InputError, match="choose mse"):
        reduction_of(signal, "bce")


@pytest.mark.parametrize("cut", [1, 100, 300])
def test_the_similarity_of_chunks_is_that_of_the_picture(cut: int) -> None:
    picture = Image.from_array(noise((20, 15, 3), "float32"))
    other = picture.values + 0.2 * torch.randn(300, 3)
    meter = METRICS["ssim"](picture)
    for start in range(0, 300, cut):
        part = slice(start, min(start + cut, 300))
        meter.add(part, other[part], picture.values[part])
    assert meter.value == pytest.approx(ssim(other.reshape(20, 15, 3), picture.values.reshape(20, 15, 3)))


def test_the_similarity_is_not_that_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.from_array(noise((20, 15), "float32"))
    values, index = picture.values, torch.arange(300)
    for part, weight in ((slice(0, 299), None), (index, None), (slice(0, 300), torch.ones(300))):
        meter = METRICS["ssim"](picture)
        meter.add(part, values[part], values[part], weight)
        assert math.isnan(meter.value)
    small = Image.from_array(noise((6, 20), "float32"))
    meter = METRICS["ssim"](small)
    meter.add(slice(0, 120), small.values, small.values)
    assert math.isnan(meter.value)
    meter = METRICS["ssim"](picture)
    meter.add(slice(0, 300), values, values)
    assert meter.value == pytest.approx(1.0)
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    assert math.isnan(meter.value)


def test_the_mean_absolute_error_is_weighted() -> None:
    signal = Samples((6,), 2, torch.zeros(6, 2))
    prediction = torch.tensor([[1.0, -3.0], [2.0, 2.0], [0, 0], [0, 0], [float("nan"), 1], [4, 4]])
    meter = METRICS["mae"](signal)
    assert math.isnan(meter.value)
    weight = torch.tensor([1.0, 0.5, 1, 1, 0, 0])
    for part in (slice(0, 2), slice(2, 6)):
        meter.add(part, prediction[part], torch.zeros(6, 2)[part], weight[part])
    assert meter.value == pytest.approx((2 + 0.5 * 2) / 3.5)
    plain = METRICS["mae"](signal)
    plain.add(slice(0, 2), prediction[:2], torch.zeros(2, 2))
    assert plain.value == 2.0


@pytest.mark.parametrize("beyond", [-0.01, 1.01])
def test_values_that_are_no_shares_are_refused_for_bce(beyond: float) -> None:
    values = torch.rand(20, 1, generator=torch.Generator().manual_seed(0))
    field = fastsnf.SNF(1, 1, 4, 1)
    assert fastsnf.fit(field, Samples((20,), 1, values), steps=1, loss="bce").steps == 1
    values[7] = beyond
    with pytest.raises(InputError, match=f"from 0 to 1 for the loss bce; got .*{beyond:g}"):
        fastsnf.fit(field, Samples((20,), 1, values), steps=1, loss="bce")
    assert fastsnf.fit(field, Samples((20,), 1, values), steps=1).steps == 1

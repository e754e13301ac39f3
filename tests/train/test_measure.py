"""Evaluation in a stream: what is measured of a signal that is not held, and of a sample of its points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fastsnf.ops import use_engine
from fastsnf.signals.bit_rendering import BitRendering
from fastsnf.signals.samples import Samples
from fastsnf.signals.signal import Signal
from fastsnf.train import measure as measuring
from fastsnf.train.evaluate import predict
from fastsnf.train.losses import LOGITS, VALUES
from fastsnf.train.metrics import psnr
from fastsnf.train.points import split
from fastsnf.train.score import Score
from tests.train.samples import holey_samples, small_field
from tests.train.solids import SHAPE, field_of, solid


class Apart(Samples):
    """Samples of which nothing is held, in a stream like an occupancy's."""

    @property
    def held(self) -> bool:
        return False


class Scattered(Apart):
    """The same with coordinates of its own."""

    def batch(self, index):
        x, y, w = super().batch(index)
        return x + 1.0, y, w


def measured(field, signal: Signal, **options):
    return measuring.measure(field, signal, Score(signal), **options)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", 1000)


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("outputs", [VALUES, LOGITS])
def test_a_stream_measures_what_lies_in_memory(engine, outputs):
    signal, field = solid(), field_of()
    with use_engine(engine):
        found = measured(field, signal, outputs=outputs)
    out = field(signal.grid(SHAPE)).detach()
    values = out.sigmoid() if outputs == LOGITS else out
    assert found.metrics["psnr"] == pytest.approx(psnr(values, signal.values), abs=1e-4)
    here, there = values.numpy() >= 0.5, signal.values.numpy() > 0.5
    differing = np.abs(values.numpy() - 0.5) < 1e-4  # rounding may decide these
    assert found.metrics["iou"] == pytest.approx((here & there).sum() / (here | there).sum(), abs=1e-3)
    assert isinstance(found.rendering, BitRendering)
    bits = found.rendering.bits.slab(0, SHAPE[0]).reshape(-1, 1)
    assert np.array_equal(bits[~differing], here[~differing])
    assert found.values is None
    assert found.sampled is None
    assert list(found.metrics) == ["psnr", "iou"]


def test_bits_and_metrics_are_of_the_same_values():
    signal, field = solid(), field_of()
    found = measured(field, signal)
    here = found.rendering.bits.slab(0, SHAPE[0])
    there = signal.bits.slab(0, SHAPE[0])
    assert found.metrics["iou"] == (here & there).sum() / (here | there).sum()  # exact counts


def test_chunks_do_not_matter(monkeypatch):
    signal, field = solid(), field_of()
    found = []
    for points in (8, 64, 1000, 1 << 18):
        monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", points)
        found.append(measured(field, signal))
    first = found[0]
    for other in found[1:]:
        assert other.metrics["psnr"] == pytest.approx(first.metrics["psnr"], rel=1e-6)
        assert np.array_equal(other.rendering.bits.octets, first.rendering.bits.octets)


@pytest.mark.parametrize("cls", [Apart, Scattered])
def test_any_signal_may_be_streamed(cls):
    signal = cls.from_array(torch.rand(20, 18, 1))
    field = small_field()
    found = measured(field, signal)
    values = field(signal.batch(slice(0, 360))[0]).detach()
    assert found.metrics["psnr"] == pytest.approx(psnr(values, signal.values), abs=1e-4)
    torch.testing.assert_close(found.rendering.values, values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("holdout", [None, 2])
@pytest.mark.parametrize("cls", [Samples, Apart])
def test_points_that_do_not_count(cls, holdout):
    """Holes hold NaN; with a hold-out both parts are measured."""
    holey = holey_samples()
    signal = cls(holey.shape, 1, holey.values, holey.weights)
    train, held = split(signal, holdout)
    field = small_field()
    values = predict(field, holey)
    score = Score(signal, train=train, held=held)
    found = measuring.measure(field, signal, score)
    masks = {"psnr": train} if held is None else {"psnr": train, "psnr_holdout": held}
    for name, mask in masks.items():
        expected = psnr(values[mask], signal.values[mask])
        assert found.metrics[name] == pytest.approx(expected, abs=1e-4)
    assert found.metrics.keys() == masks.keys()
    assert found.psnr_holdout == found.metrics.get("psnr_holdout")


def test_what_is_held_is_given_back():
    signal = Samples.from_array(torch.rand(20, 18, 1))
    field = small_field()
    found = measured(field, signal)
    assert torch.equal(found.values, predict(field, signal))
    assert found.rendering.values is found.values


def test_it_stops_between_chunks_and_says_how_far_it_is():
    signal, field = solid(), field_of()
    told, asked = [], iter([False, False, True])
    assert measured(field, signal, stop=lambda: next(asked), progress=lambda *a: told.append(a)) is None
    assert told == [(1000, 7182), (2000, 7182)]
    told.clear()
    measured(field, signal, progress=lambda *a: told.append(a))
    assert told[-1] == (7182, 7182)
    image = Samples.from_array(torch.rand(40, 40, 1))
    told.clear()
    measured(small_field(), image, progress=lambda *a: told.append(a))
    assert told == [(1000, 1600), (1600, 1600)]


def test_memory_that_runs_out_halves_the_chunks(monkeypatch):
    signal, field = solid(), field_of(hidden_features=17)
    expected = measured(field, signal)
    source, sizes = measuring._source, []

    def scarce(*args):
        take = source(*args)

        def at(chunk):
            sizes.append(chunk.stop - chunk.start)
            if sizes[-1] > 300:
                raise MemoryError
            return take(chunk)

        return at

    monkeypatch.setattr(measuring, "_source", scarce)
    found = measured(field, signal)
    assert sizes[:3] == [1000, 500, 256]
    assert found.metrics["iou"] == expected.metrics["iou"]
    assert found.metrics["psnr"] == pytest.approx(expected.metrics["psnr"], rel=1e-9)
    assert np.array_equal(found.rendering.bits.octets, expected.rendering.bits.octets)


def test_a_sample_is_measured_like_the_whole():
    signal, field = solid(), field_of()
    index = torch.arange(7182).flip(0)
    found = measuring.measure_sample(field, signal, Score(signal), index)
    whole = measured(field, signal)
    assert found.rendering is None
    assert found.values is None
    assert found.sampled == 7182
    assert found.metrics["psnr"] == pytest.approx(whole.metrics["psnr"], abs=1e-4)
    assert found.metrics["iou"] == pytest.approx(whole.metrics["iou"], abs=1e-3)
    train, held = split(signal, 3)
    score = Score(signal, train=train, held=held)
    part = measuring.measure_sample(field, signal, score, torch.tensor([0, 3, 5, 5, 11]))
    assert part.sampled == 5
    assert not math.isnan(part.metrics["iou_holdout"])


def test_fields_are_left_in_the_mode_they_had():
    signal, field = solid(), field_of()
    field.train()
    measured(field, signal)
    measuring.measure_sample(field, signal, Score(signal), torch.arange(10))
    assert field.training

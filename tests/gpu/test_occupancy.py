"""Fits of occupancy grids on a GPU: the same order, the same bits, measured there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf.ntk import IGA
from fastsnf.train.measure import measure
from fastsnf.train.samplers.bijection import Bijection
from fastsnf.train.samplers.draws import Uniform
from fastsnf.train.samplers.passes import Passes
from fastsnf.train.samplers.surface import Surface
from fastsnf.train.score import Score
from tests.train.solids import SHAPE, field_of, solid

pytestmark = pytest.mark.gpu

CUDA = torch.device("cuda")


@pytest.mark.parametrize("size", [97, 10**6 + 3, 512**3, 512**3 - 12_345, 2048**3])
def test_the_order_of_very_many_points_is_that_of_the_cpu(size):
    bijection = Bijection(size, 3, 1)
    last = min(size, 100_000)
    assert torch.equal(bijection.at(0, last, CUDA).cpu(), bijection.at(0, last))
    here, there = (Passes(10_007, 100, 3, device=device, group=5000) for device in ("cpu", CUDA))
    for step in range(0, 220, 7):
        assert torch.equal(there.indices(step).cpu(), here.indices(step))


def test_draws_are_those_of_the_cpu():
    bits = solid().bits
    for step in (0, 5):
        uniform = [Uniform(bits.size, 300, 1, device=device).indices(step) for device in ("cpu", CUDA)]
        surface = [Surface(bits, 300, 1, device=device).indices(step) for device in ("cpu", CUDA)]
        for here, there in (uniform, surface):
            assert torch.equal(here, there.cpu())


@pytest.mark.parametrize("points", [1 << 18, 1001])
def test_a_stream_measures_there_what_it_measures_here(points, monkeypatch):
    monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", points)
    signal, field = solid(), field_of()
    here = measure(field, signal, Score(signal))
    there = measure(field.to(CUDA), signal, Score(signal))
    assert there.metrics["psnr"] == pytest.approx(here.metrics["psnr"], abs=1e-3)
    assert there.metrics["iou"] == pytest.approx(here.metrics["iou"], abs=2e-3)
    bits = [found.rendering.bits.slab(0, SHAPE[0]) for found in (here, there)]
    assert np.mean(bits[0] != bits[1]) < 2e-3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sampler": "uniform"},
        {"sampler": "surface"},
        {"sampler": "balanced"},
        {"loss": "bce"},
        {"iou": "published"},
        {"iga": IGA(group="run:64", end=3, sample="center")},
    ],
    ids=str,
)
def test_fits_learn(options):
    result = fastsnf.fit(field_of(alpha=2.0), solid(), steps=200, lr=1e-2, batch_size=2000, **options)
    assert result.device == "cuda"
    assert result.iou > 0.8
    assert result.values is None

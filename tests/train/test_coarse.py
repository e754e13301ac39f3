"""Coarse to fine: what is far from the surface is left out, and what that missed is measured."""

from __future__ import annotations

import numpy as np
import pytest

import fastsnf
from fastsnf.errors import InputError
from fastsnf.signals import Image
from fastsnf.signals.bit_rendering import BitRendering
from fastsnf.signals.grid import Grid
from fastsnf.signals.occupancy import Occupancy
from fastsnf.train import chunks
from fastsnf.train import coarse as module
from fastsnf.train.decode import decode
from fastsnf.train.grid_field import GridField
from tests.train.solid_fields import octahedron


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Collects how many points the field is asked for."""
    found: list[int] = []
    real = GridField.values

    def values(self, index):
        found.append(len(index))
        return real(self, index)

    monkeypatch.setattr(GridField, "values", values)
    return found


def decoded(field, shape, coarse=None, **options) -> BitRendering:
    rendering = decode(field, Occupancy(None, Grid((8, 8, 8))), shape, coarse=coarse, **options)
    assert isinstance(rendering, BitRendering)
    return rendering


def bools(rendering: BitRendering) -> np.ndarray:
    return rendering.bits.slab(0, rendering.shape[0])


@pytest.mark.parametrize("shape", [(33, 33, 33), (40, 29, 35), (24, 50, 31)])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_large_solid_is_the_same_with_fewer_points(shape, factor, asked):
    field = octahedron(0.9)
    whole = decoded(field, shape)
    rendering = decoded(field, shape, factor)
    assert np.array_equal(bools(rendering), bools(whole))
    skipped = rendering.skipped
    assert whole.skipped is None
    assert skipped is not None
    assert skipped.missed == skipped.miss_rate == 0
    assert 0 < skipped.points < rendering.size
    corners = np.prod([-(-(side - 1) // factor) + 1 for side in shape])
    assert sum(asked) == corners + rendering.size - skipped.points + skipped.looked_at


def test_what_lies_between_the_coarse_points_is_missed_and_counted(monkeypatch):
    field, shape = octahedron(0.2, (0.25, 0.25, -0.25)), (33, 33, 33)  # coarse points are 1/2 apart
    inside = bools(decoded(field, shape))
    rendering = decoded(field, shape, 8)
    assert inside.sum() > 20
    assert not bools(rendering).any()
    skipped = rendering.skipped
    assert skipped is not None
    assert skipped.points == rendering.size
    assert 0.8 * rendering.size < skipped.looked_at < rendering.size
    assert skipped.miss_rate == pytest.approx(inside.mean(), rel=0.3)
    monkeypatch.setattr(module, "LOOKED_AT", 1 << 20)  # nearly every point
    again = decoded(field, shape, 8).skipped
    assert again is not None
    assert again.missed == inside.sum()


def test_the_points_looked_at_are_the_same_each_time():
    field = octahedron(0.2, (0.25, 0.25, -0.25))
    assert decoded(field, (33, 33, 33), 8).skipped == decoded(field, (33, 33, 33), 8).skipped


@pytest.mark.parametrize("shape", [(1, 7, 9), (1, 1, 1), (5, 5, 5), (2, 30, 3)])
@pytest.mark.parametrize("factor", [2, 5, 64])
def test_whatever_is_wrong_on_small_grids_is_counted(shape, factor):
    field = octahedron(0.6)
    rendering = decoded(field, shape, factor)
    wrong = bools(rendering) != bools(decoded(field, shape))
    skipped = rendering.skipped
    assert skipped is not None
    assert skipped.looked_at == skipped.points  # so few that all of them are
    assert skipped.missed == wrong.sum()
    if factor == 2:
        assert not wrong.any()


def test_a_solid_that_fills_the_grid_is_left_out(asked):
    rendering = decoded(octahedron(5.0), (20, 20, 20), 4)
    assert bools(rendering).all()
    assert rendering.skipped is not None
    assert rendering.skipped.points == 8000
    assert sum(asked) == 6**3 + rendering.skipped.looked_at


def test_chunks_do_not_matter(monkeypatch):
    field, shape = octahedron(0.7), (21, 22, 23)
    whole = decoded(field, shape, 4)
    monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", 64)
    seen: list[tuple[int, int]] = []
    small = decoded(field, shape, 4, progress=lambda *at: seen.append(at))
    assert np.array_equal(small.bits.octets, whole.bits.octets)
    assert small.skipped == whole.skipped
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1] < small.size


def test_memory_that_runs_out_halves_the_chunks(monkeypatch):
    field, shape, real = octahedron(0.7), (30, 30, 30), GridField.values
    whole = decoded(field, shape, 4)

    def scarce(self, index):
        if len(index) > 1000:
            raise MemoryError
        return real(self, index)

    monkeypatch.setattr(GridField, "values", scarce)
    chunks.forget()
    assert np.array_equal(decoded(field, shape, 4).bits.octets, whole.bits.octets)
    chunks.forget()


@pytest.mark.parametrize("last", [1, 2, 3])
def test_it_stops_when_asked(monkeypatch, last):
    monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", 4096)
    asked: list[int] = []

    def stop():
        asked.append(1)
        return len(asked) == last

    signal = Occupancy(None, Grid((8, 8, 8)))
    assert decode(octahedron(0.7), signal, (20, 20, 20), coarse=4, stop=stop) is None
    assert len(asked) == last


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="the coarse factor to be a whole number of at least 2; got 1"):
        decoded(octahedron(0.7), (9, 9, 9), 1)
    with pytest.raises(InputError, match="expected a solid for a coarse-to-fine decode; got image"):
        decode(fastsnf.SNF(2, 1, hidden_features=8), Image((4, 4), 1), (8, 8), coarse=2)

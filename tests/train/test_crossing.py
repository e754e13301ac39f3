"""Smooth meshes: vertices where the field's values say, the faces as they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf.errors import InputError
from fastsnf.signals import Image
from fastsnf.signals.bit_rendering import BitRendering
from fastsnf.signals.frame import Frame
from fastsnf.signals.grid import Grid
from fastsnf.signals.occupancy import Occupancy
from fastsnf.train import chunks
from fastsnf.train.crossing import NEAREST
from fastsnf.train.decode import decode
from fastsnf.train.grid_field import GridField
from fastsnf.train.losses import LOGITS
from tests.signals.surfaces import is_closed, volume
from tests.train.solid_fields import octahedron

pytest.importorskip("skimage", reason="scikit-image is not installed")

SHAPE = (21, 25, 23)  # odd: between two points no octahedron's value has a kink


def solid(**grid) -> Occupancy:
    return Occupancy(None, Grid((8, 8, 8), **grid), frame=Frame.identity(3))


def surface(field, signal=None, **options):
    rendering = decode(field, signal or solid(), SHAPE, **options)
    assert isinstance(rendering, BitRendering)
    return rendering.surface()


def distance(vertices) -> np.ndarray:
    return np.abs(vertices).sum(axis=1)


@pytest.mark.parametrize("outputs", ["values", LOGITS])
@pytest.mark.parametrize("columns", [(0, 1, 2), (1, 0, 2)])
def test_vertices_lie_where_the_field_is_one_half(outputs, columns):
    field = octahedron(0.73)
    if outputs == LOGITS:
        with torch.no_grad():
            field.linears()[-1].bias.sub_(0.5)
    signal = solid(columns=columns)
    plain, faces = surface(field, signal, outputs=outputs)
    smooth, same = surface(field, signal, outputs=outputs, smooth=True)
    assert np.array_equal(faces, same)
    assert is_closed(faces)
    slack = NEAREST * 2 / 20 + 1e-5
    assert np.abs(distance(smooth) - 0.73).max() < slack
    assert np.abs(distance(plain) - 0.73).max() > 3 * slack
    assert volume(smooth, faces) == pytest.approx(4 / 3 * 0.73**3, rel=0.02)


def test_vertices_at_the_border_stay_half_a_step_beyond():
    smooth, faces = surface(octahedron(1.4), smooth=True)
    plain, _ = surface(octahedron(1.4))
    outermost = plain.max(axis=0)
    assert np.array_equal(smooth.max(axis=0), outermost)
    assert np.array_equal(smooth[plain[:, 0] == outermost[0]], plain[plain[:, 0] == outermost[0]])
    assert is_closed(faces)


def test_vertices_keep_a_distance_from_points_so_that_none_merge():
    smooth, _ = surface(octahedron(0.5), smooth=True)  # whose tips are points of the grid
    assert len(np.unique(smooth, axis=0)) == len(smooth)


def test_the_mode_of_the_field_and_memory_do_not_matter(monkeypatch):
    field = octahedron(0.73).train()
    rendering = decode(field, solid(), SHAPE, smooth=True)
    assert isinstance(rendering, BitRendering)
    whole, _ = rendering.surface()
    real, modes = GridField.out, set()

    def scarce(self, index):
        modes.add(field.training)
        if len(index) > 400:
            raise MemoryError
        return real(self, index)

    monkeypatch.setattr(GridField, "out", scarce)
    assert np.array_equal(rendering.surface()[0], whole)
    assert modes == {False}
    assert field.training
    chunks.forget()


def test_values_that_say_nothing_leave_vertices_half_way(monkeypatch):
    plain, _ = surface(octahedron(0.73))
    monkeypatch.setattr(GridField, "out", lambda self, index: torch.full((len(index), 1), torch.nan))
    smooth, _ = surface(octahedron(0.73), smooth=True)
    assert np.allclose(smooth, plain, atol=1e-6)


def test_a_picture_has_no_mesh():
    with pytest.raises(InputError, match="expected a solid for a smooth mesh; got image"):
        decode(fastsnf.SNF(2, 1, hidden_features=8), Image((4, 4), 1), (8, 8), smooth=True)

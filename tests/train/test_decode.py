"""Decoding on any grid: the values of the field point by point, whatever the chunks, engines and memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf.errors import InputError, RunError
from fastsnf.signals import Image
from fastsnf.signals.bit_rendering import BitRendering
from fastsnf.signals.grid import Grid
from fastsnf.signals.occupancy import Occupancy
from fastsnf.signals.samples import Samples
from fastsnf.train import chunks
from fastsnf.train.decode import decode
from fastsnf.train.grid_field import GridField
from fastsnf.train.losses import LOGITS
from tests.train.solid_fields import octahedron

SHAPE = (13, 9, 21)
BOUNDS = ((-1.0, 1.0), (-0.5, 0.75), (0.0, 1.0))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", 500)
    chunks.forget()
    yield
    chunks.forget()


def solid(**grid) -> Occupancy:
    return Occupancy(None, Grid((5, 6, 7), **grid))


def wavy(dtype=torch.float32) -> fastsnf.SNF:
    """A field about half of whose values are above 1/2."""
    field = fastsnf.SNF(3, 1, hidden_features=16, hidden_layers=1, first_omega=6.0, hidden_omega=6.0)
    with torch.no_grad():
        field.net[-1].bias.fill_(0.5)
    return field.to(dtype)


def expected(field, signal, shape) -> np.ndarray:
    grid = signal.grid_of(shape)
    with torch.no_grad():
        return field(grid.points().to(field.dtype)).float().numpy().reshape(shape)


def bools(rendering) -> np.ndarray:
    assert isinstance(rendering, BitRendering)
    return rendering.bits.slab(0, rendering.shape[0])


@pytest.mark.parametrize("grid", [{}, {"bounds": BOUNDS}, {"columns": (1, 0, 2), "bounds": BOUNDS}])
def test_a_solid_is_where_the_field_is_at_least_one_half(grid):
    signal, field = solid(**grid), wavy()
    inside = expected(field, signal, SHAPE) >= 0.5
    assert 0.1 < inside.mean() < 0.9
    assert np.array_equal(bools(decode(field, signal, SHAPE)), inside)


def test_a_solid_on_other_ways_through_the_field():
    signal = solid()
    hooked, parametrized = wavy(), wavy()
    hooked.net[0].register_forward_hook(lambda module, inputs, output: output)
    torch.nn.utils.parametrizations.weight_norm(parametrized.net[0].linear)
    fields = [wavy(torch.float64), hooked, parametrized, fastsnf.Siren(3, 16, 1, 1), wavy()]
    with torch.no_grad():
        fields[3].net[-1].bias.fill_(0.5)
    for field in fields:
        inside = expected(field, signal, SHAPE) >= 0.5
        assert np.array_equal(bools(decode(field, signal, SHAPE)), inside), field


def test_a_value_of_exactly_one_half_is_inside():
    field = octahedron(0.5)  # exact in float32 on this grid
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, 9)] * 3, indexing="ij")
    inside = np.abs(x) + np.abs(y) + np.abs(z) <= 0.5
    assert np.array_equal(bools(decode(field, solid(), (9, 9, 9))), inside)
    shifted = octahedron(0.5)
    with torch.no_grad():
        shifted.linears()[-1].bias.fill_(0.5)  # 0 is the logit of 1/2
    assert np.array_equal(bools(decode(shifted, solid(), (9, 9, 9), outputs=LOGITS)), inside)


def test_signed_distances_are_inside_below():
    class Distances(Occupancy):
        def rendering(self, shape):
            return BitRendering(self, shape, 0.25, below=True)

    field, signal = wavy(), Distances(None, Grid((5, 6, 7)))
    inside = expected(field, signal, SHAPE) <= 0.25
    assert np.array_equal(bools(decode(field, signal, SHAPE)), inside)


def test_coordinates_are_left_to_the_engine(monkeypatch):
    def made(self, index):
        raise AssertionError("coordinates were made")

    monkeypatch.setattr(Grid, "at", made)
    monkeypatch.setattr(Grid, "points", made)
    assert decode(wavy(), solid(), SHAPE) is not None
    assert decode(fastsnf.SNF(2, 3, hidden_features=8), Image((4, 4), 3), (30, 40)) is not None


def test_pictures_and_values():
    field = fastsnf.SNF(2, 3, hidden_features=8, hidden_layers=1)
    image = Image((4, 4), 3)
    values = torch.from_numpy(expected_values := expected_of(field, image, (31, 37)))
    rendering = decode(field, image, (31, 37))
    assert np.array_equal(rendering.samples, image.to_array(values, (31, 37)))
    samples = Samples((4, 4), 3)
    assert np.allclose(decode(field, samples, (31, 37)).values.numpy(), expected_values, atol=1e-6)
    logits = decode(field, samples, (31, 37), outputs=LOGITS).values
    assert np.allclose(logits.numpy(), 1 / (1 + np.exp(-expected_values)), atol=1e-6)


def expected_of(field, signal, shape) -> np.ndarray:
    with torch.no_grad():
        return field(signal.grid(shape)).numpy()


def test_a_signal_with_coordinates_of_its_own_is_asked_for_them():
    class Turned(Samples):
        def coordinates_of(self, shape, index):
            return super().coordinates_of(shape, index).flip(-1)

    field, signal = fastsnf.SNF(2, 1, hidden_features=8), Turned((4, 4), 1)
    values = decode(field, signal, (20, 30)).values
    with torch.no_grad():
        assert torch.allclose(values, field(signal.grid((20, 30)).flip(-1)), atol=1e-6)


@pytest.mark.parametrize("most", [61, 300])
@pytest.mark.parametrize("method", ["above", "values"])
def test_chunks_halve_until_memory_suffices(monkeypatch, most, method):
    field, signal = wavy(), solid()
    whole = bools(decode(field, signal, SHAPE))
    monkeypatch.setattr("fastsnf.train.chunks.FLOOR", 8)
    monkeypatch.setattr(
        chunks.with_chunks, "__kwdefaults__", {**chunks.with_chunks.__kwdefaults__, "floor": 8}
    )
    real = getattr(GridField, method)

    def scarce(self, index, *args):
        if len(index) > most:
            raise MemoryError
        return real(self, index, *args)

    monkeypatch.setattr(GridField, method, scarce)
    if method == "values":
        monkeypatch.setattr(GridField, "gives_bits", False)
    assert np.array_equal(bools(decode(field, signal, SHAPE)), whole)


def test_memory_that_never_suffices_is_an_error(monkeypatch):
    def none(self, index, *args):
        raise MemoryError

    monkeypatch.setattr(GridField, "above", none)
    with pytest.raises(RunError, match="expected memory for 256 points"):
        decode(wavy(), solid(), SHAPE)


def test_it_stops_when_asked_and_leaves_the_field_as_it_was():
    field, asked = wavy().train(), []

    def stop():
        asked.append(field.training)
        return len(asked) == 3

    assert decode(field, solid(), SHAPE, stop=stop) is None
    assert asked == [False] * 3
    assert field.training


def test_progress_reaches_the_end():
    seen: list[tuple[int, int]] = []
    decode(wavy(), solid(), SHAPE, progress=lambda *at: seen.append(at))
    size = 13 * 9 * 21
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == [*range(496, size, 496), size]


def test_a_shape_of_other_axes_is_refused():
    with pytest.raises(InputError, match="3 axes"):
        decode(wavy(), solid(), (4, 4))


@pytest.mark.gpu
def test_a_gpu_decodes_what_the_cpu_does():
    signal, field = solid(columns=(1, 0, 2)), wavy()
    values = expected(field, signal, (40, 41, 42))
    inside = bools(decode(field.cuda(), signal, (40, 41, 42)))
    clear = np.abs(values - 0.5) > 1e-3
    assert np.array_equal(inside[clear], (values >= 0.5)[clear])

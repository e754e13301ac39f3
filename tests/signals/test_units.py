"""The user's units: places on grids, and fields that answer in them after loading."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf.errors import InputError
from fastsnf.signals import Grid, Image, Samples
from fastsnf.signals.signal import Signal
from fastsnf.train import checkpoint
from fastsnf.train.losses import LOGITS


def image(shape: tuple[int, int] = (5, 9)) -> Image:
    return Image.from_array(torch.linspace(0, 1, shape[0] * shape[1]).reshape(shape))


def small(inputs: int = 2, outputs: int = 1, **options: Any) -> fastsnf.SNF:
    sizes = {"hidden_features": 8, "hidden_layers": 1, "first_omega": 5.0, "hidden_omega": 5.0}
    return fastsnf.SNF(inputs, outputs, **{**sizes, **options}, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "grid",
    [
        Grid((5, 9)),
        Grid((4, 3, 6), bounds=((-0.3, 0.7), (-1, 1), (0.1, 0.2)), columns=(1, 0, 2)),
        Grid((7,), bounds=((-0.95, 0.95),)),
        Grid((1, 4), bounds=((0, 3), (-1, 1))),
    ],
)
def test_whole_places_have_the_coordinates_of_the_points(grid: Grid) -> None:
    places = torch.cartesian_prod(*(torch.arange(size) for size in grid.shape)).reshape(grid.size, grid.ndim)
    assert torch.equal(grid.located(places.double()), grid.points())


def test_places_between_and_beyond_are_on_the_same_line() -> None:
    picture = image()
    x = picture.to_coordinates([[0.5, -1], [6, 12.25]])
    assert torch.allclose(x, torch.tensor([[-0.75, -1.25], [2.0, 2.0625]]))
    assert picture.to_coordinates(np.zeros((2, 3, 2), np.int32)).shape == (2, 3, 2)
    assert picture.to_coordinates((2, 4)).tolist() == [0, 0]
    assert picture.unit == ("row [pixel]", "column [pixel]")


@pytest.mark.parametrize(
    "points",
    [
        1.0,
        [1.0],
        [[1, 2, 3]],
        "ab",
        [[1, "x"]],
        None,
        [[1], [2, 3]],
        [[1j, 2]],
        [[True, False]],
        np.array([["a", "b"]]),
    ],
)
def test_points_that_are_none_are_refused(points: Any) -> None:
    with pytest.raises(InputError, match=r"points of a image .*row \[pixel\]"):
        image().to_coordinates(points)


def test_a_loaded_field_answers_in_pixels(tmp_path: Path) -> None:
    result = fastsnf.fit(small(), image(), steps=3, run=tmp_path / "run")
    for path in (tmp_path / "run", tmp_path / "run" / "field.safetensors"):
        field = fastsnf.load(path)
        assert isinstance(field.signal, Image)
        assert not field.signal.held
        rows = torch.cartesian_prod(torch.arange(5), torch.arange(9))
        assert torch.equal(field.at(rows), field(image().coords).detach())
        assert torch.allclose(field.at(rows), result.field(image().coords), atol=1e-6)
    assert field.at([2, 4.5]).shape == (1,)


def test_derivatives_are_there_when_points_ask_for_them(tmp_path: Path) -> None:
    fastsnf.save(small(), tmp_path / "f.safetensors", image())
    field = fastsnf.load(tmp_path / "f.safetensors")
    assert not field.at([[1.0, 2.0]]).requires_grad
    points = torch.tensor([[1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(field.at(points).sum(), points)
    step = torch.tensor([[1e-3, 0.0]], dtype=torch.float64)
    difference = (field.double().at(points + step) - field.at(points - step)) / 2e-3
    assert slope[0, 0].item() == pytest.approx(difference.item(), rel=1e-2, abs=1e-4)


def test_logits_answer_as_values(tmp_path: Path) -> None:
    checkpoint.save(small(), tmp_path / "f.safetensors", image(), outputs=LOGITS)
    field = fastsnf.load(tmp_path / "f.safetensors")
    x = image().to_coordinates([[1, 2]])
    assert torch.allclose(field.at([[1, 2]]), torch.sigmoid(field(x)))
    fastsnf.save(field, tmp_path / "g.safetensors")  # what a loaded field is goes with it
    again = fastsnf.load(tmp_path / "g.safetensors")
    assert torch.equal(again.at([[1, 2]]), field.at([[1, 2]]))
    assert again.outputs == LOGITS


def test_a_field_of_float64_and_one_that_returns_coordinates(tmp_path: Path) -> None:
    fields = [
        small(dtype=torch.float64),
        fastsnf.Siren(2, 8, 1, 1, outermost_linear=True, return_coords=True),
    ]
    for number, field in enumerate(fields):
        path = tmp_path / f"{number}.safetensors"
        fastsnf.save(field, path, image())
        loaded = fastsnf.load(path)
        assert loaded.at([[1, 2], [3, 4]]).shape == (2, 1)
        assert loaded.at([[1, 2]]).dtype == field.dtype


def test_copies_and_pickles_answer_too(tmp_path: Path) -> None:
    fastsnf.save(small(), tmp_path / "f.safetensors", image())
    field = fastsnf.load(tmp_path / "f.safetensors")
    expected = field.at([[1, 2.5]])
    for other in (copy.deepcopy(field), pickle.loads(pickle.dumps(field))):
        assert torch.equal(other.at([[1, 2.5]]), expected)
    assert "signal" not in field.state_dict()
    assert field.config() == small().config()


def test_a_field_without_a_signal_says_what_to_do(tmp_path: Path) -> None:
    fastsnf.save(small(), tmp_path / "f.safetensors")
    for field in (small(), fastsnf.load(tmp_path / "f.safetensors")):
        assert field.signal is None
        with pytest.raises(InputError, match=r"fastsnf\.save\(field, path, signal\)"):
            field.at([[0, 0]])


def test_a_signal_that_is_not_the_fields_own_is_refused(tmp_path: Path) -> None:
    fastsnf.save(small(outputs=3), tmp_path / "f.safetensors", image())
    with pytest.raises(InputError, match=r"2 coordinates and 1 channels .* got one of 2 and 3"):
        fastsnf.load(tmp_path / "f.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [{}, {"kind": None}, {"kind": ["image"]}, {"kind": "image"}, {"kind": "image", "shape": [0, 5]}],
)
def test_damaged_signals_are_refused(
    tmp_path: Path, metadata: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = image()
    monkeypatch.setattr(picture, "metadata", lambda: metadata)
    fastsnf.save(small(), tmp_path / "f.safetensors", picture)
    with pytest.raises(InputError, match="expected"):
        fastsnf.load(tmp_path / "f.safetensors")


class Mine(Samples):
    """A kind of signal that only its user knows."""

    kind = "mine"


def test_a_kind_of_the_users_own_loads_without_units(tmp_path: Path) -> None:
    array = torch.rand(4, 5, 1)
    fastsnf.save(small(), tmp_path / "f.safetensors", Mine.from_array(array))
    assert fastsnf.load(tmp_path / "f.safetensors").signal is None


def test_plain_samples_count_places_along_their_axes() -> None:
    samples = Samples.from_array(torch.rand(3, 4, 5, 2))
    assert isinstance(samples, Signal)
    assert samples.unit == ()
    assert torch.equal(samples.to_coordinates([[2, 3, 4]])[0], torch.ones(3))
    values = torch.rand(2, 2)
    assert samples.to_units(values) is values
    with pytest.raises(InputError, match=r"\[\.\.\., 3\]; got \[1, 2\]"):
        samples.to_coordinates([[0, 0]])

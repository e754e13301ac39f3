from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fastsnf.analysis.slices import draw_slices, slices_figure
from fastsnf.errors import InputError
from fastsnf.signals import Image, Volume

pytest.importorskip("matplotlib")


def _volume(channels: int = 1, holes: bool = False, **options: object) -> Volume:
    numbers = np.random.default_rng(0).normal(size=(7, 5, 6, channels)) * 100
    if holes:
        numbers[3, 2] = np.nan
    return Volume.from_array(numbers, **options)  # type: ignore[arg-type]


def test_rows_are_axes_and_columns_original_reconstruction_error(tmp_path: Path) -> None:
    volume = _volume(spacing=(1, 2, 4))
    figure = slices_figure(volume, volume.values + 0.01, "a.png", title="words")
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 9
    shown = [np.asarray(axes.images[0].get_array()) for axes in panels]
    numbers = volume.to_units(volume.values).numpy().reshape(7, 5, 6)
    for row, plane in enumerate((numbers[3], numbers[:, 2], numbers[:, :, 3])):
        np.testing.assert_allclose(shown[3 * row], plane)
        np.testing.assert_allclose(shown[3 * row + 2], 0.01 * volume.extent.width, rtol=1e-3)
        np.testing.assert_allclose(shown[3 * row + 1] - shown[3 * row], shown[3 * row + 2], rtol=1e-3)
    assert [axes.get_aspect() for axes in panels[::3]] == [0.5, 0.25, 0.5]
    draw_slices(volume, volume.values, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_a_function_of_the_numbers_of_points_serves_as_values() -> None:
    volume = _volume()
    asked: list[torch.Tensor] = []

    def values(index: torch.Tensor) -> torch.Tensor:
        asked.append(index)
        return volume.targets(index)

    figure = slices_figure(volume, values, "a.png", original=False)
    assert len([axes for axes in figure.axes if axes.images]) == 3
    assert [len(index) for index in asked] == [30, 42, 35]


def test_vectors_are_drawn_by_length_and_holes_stay_blank() -> None:
    volume = _volume(3, holes=True)
    figure = slices_figure(volume, torch.zeros(volume.size, 3), "a.png")
    panels = [axes for axes in figure.axes if axes.images]
    original, _, error = (np.ma.filled(axes.images[0].get_array(), np.nan) for axes in panels[:3])
    assert np.isnan(original[2]).all()
    assert np.isnan(error[2]).all()
    expected = volume.to_units(volume.values).norm(dim=1).reshape(7, 5, 6)[3].numpy()
    np.testing.assert_allclose(original[[0, 1, 3, 4]], expected[[0, 1, 3, 4]], rtol=1e-5)
    assert (error[[0, 1, 3, 4]] >= 0).all()


def test_what_cannot_be_drawn_is_refused() -> None:
    volume = _volume()
    with pytest.raises(InputError, match=r"values of shape \[210, 1\]"):
        slices_figure(volume, torch.zeros(210, 3), "a.png")
    with pytest.raises(InputError, match="three axes"):
        slices_figure(Image.from_array(np.zeros((4, 5))), torch.zeros(20, 1), "a.png")
    with pytest.raises(InputError, match="described by a checkpoint"):
        slices_figure(Volume.from_metadata(volume.metadata()), torch.zeros(210, 1), "a.png")

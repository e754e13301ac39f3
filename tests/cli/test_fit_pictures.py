"""The pictures of a fit: maps of a sphere and of the error, slices of a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from fastsnf.cli import fit_pictures
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.signals import Image, Signal, Sphere, Volume
from fastsnf.train import FitConfig, FitResult, fit
from tests.cases import generator

pytest.importorskip("matplotlib", reason="needs the extra report")


def fitted(signal: Signal) -> FitResult:
    field = SNF(signal.in_features, signal.out_features, 8, 1, generator=generator(0))
    return fit(field, signal, FitConfig(steps=1, device="cpu"))


def sphere(columns: int = 12) -> Sphere:
    values = 280 + 20 * np.random.default_rng(0).random((6, columns))
    return Sphere.from_array(values, np.linspace(75, -75, 6), np.arange(columns) * 30.0, unit="K")


def colours(path: Path) -> int:
    with Pillow.open(path) as picture:
        assert min(picture.size) > 300
        return len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))


@pytest.mark.parametrize("columns", [12, 7])
def test_of_a_sphere_there_are_a_map_and_one_of_the_error(tmp_path, columns):
    signal = sphere(columns)
    found = fit_pictures.draw_pictures(fitted(signal), signal, tmp_path)
    assert found == [("map", tmp_path / "map.png"), ("error map", tmp_path / "error.png")]
    assert all(colours(path) > 30 for _, path in found)
    assert found[0][1].read_bytes() != found[1][1].read_bytes()


@pytest.mark.parametrize("held", [True, False])
def test_of_a_volume_there_are_slices_of_what_the_fit_has(tmp_path, monkeypatch, held):
    numbers = np.random.default_rng(0).random((7, 6, 5)).astype(np.float32)
    if not held:
        monkeypatch.setattr("fastsnf.signals.volume.HELD_VALUES", 1)
    signal = Volume.from_array(numbers)
    result = fitted(signal)
    assert (result.values is not None) == held
    shown = {}
    monkeypatch.setattr(
        "fastsnf.analysis.slices.draw_slices",
        lambda signal, values, path: shown.update(values=values(torch.arange(signal.size)), path=path),
    )
    assert fit_pictures.draw_pictures(result, signal, tmp_path) == [("slices", tmp_path / "slices.png")]
    wanted = result.field(signal.coordinates_of(signal.shape, slice(0, signal.size)))
    torch.testing.assert_close(shown["values"], wanted.detach(), rtol=1e-4, atol=1e-5)


def test_slices_are_drawn(tmp_path):
    signal = Volume.from_array(np.random.default_rng(0).random((7, 6, 5, 2)).astype(np.float32))
    ((_, path),) = fit_pictures.draw_pictures(fitted(signal), signal, tmp_path)
    assert colours(path) > 30


def test_of_other_signals_and_without_matplotlib_there_are_none(tmp_path, monkeypatch):
    picture = Image.from_array(np.random.default_rng(0).random((5, 6)).astype(np.float32))
    assert fit_pictures.draw_pictures(fitted(picture), picture, tmp_path) == []
    signal = sphere()
    result = fitted(signal)

    def missing(*args: object) -> None:
        raise InputError("expected matplotlib")

    monkeypatch.setattr("fastsnf.analysis.maps.new_figure", missing)
    assert fit_pictures.draw_pictures(result, signal, tmp_path) == []
    assert list(tmp_path.iterdir()) == []

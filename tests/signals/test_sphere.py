"""Fields on a sphere as signals: normalisation, unit vectors, weights, writing, a fit."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf import signals
from fastsnf.errors import InputError, RunError
from fastsnf.signals import Sphere, from_metadata
from fastsnf.signals import sphere as module
from fastsnf.signals.latlon import read
from fastsnf.signals.latlon.dataset import read_dataset
from fastsnf.signals.latlon.vectors import unit_vectors
from fastsnf.train.storage import on_grid
from tests.signals.latlon.files import LATITUDES, LONGITUDES, SHAPE, dataset, field, netcdf, npz

xarray = pytest.importorskip("xarray", reason="needs the extra sphere")
pytest.importorskip("h5netcdf", reason="needs the extra sphere")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read whole files without a child process, whose start takes a second."""
    monkeypatch.setattr(read, "read_in_child", read_dataset)


def world(values: np.ndarray | None = None) -> Sphere:
    found = field() if values is None else values
    return Sphere.from_array(found, LATITUDES, LONGITUDES, name="t2m", unit="K")


def test_values_are_brought_to_0_and_1_and_points_to_unit_vectors(tmp_path: Path) -> None:
    (tmp_path / "x.nc").write_bytes(netcdf(dataset(field())))
    sphere = signals.open(tmp_path / "x.nc")
    assert isinstance(sphere, Sphere)
    assert (sphere.shape, sphere.in_features, sphere.out_features, sphere.size) == (SHAPE, 3, 1, 84)
    low, high = field().min(), field().max()
    assert sphere.bounds == (low, high)
    expected = (field().astype(np.float64) - low) / (float(high) - low)
    assert np.array_equal(sphere.values.numpy().reshape(SHAPE), expected.astype(np.float32))
    assert sphere.values.aminmax() == (0, 1)
    phi, theta = np.meshgrid(np.deg2rad(LATITUDES), np.deg2rad(LONGITUDES), indexing="ij")
    points = np.stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], -1)
    assert np.allclose(sphere.coords.numpy().reshape(*SHAPE, 3), points, atol=1e-7)
    assert sphere.metrics == ("psnr_area",)
    assert np.array_equal(sphere.to_array(), field())
    assert sphere.about["unit"] == "K"


def test_the_suffix_npz_needs_the_kind(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", t2m=field())
    assert isinstance(signals.open(path, kind="sphere"), Sphere)


def test_missing_values_have_weight_0() -> None:
    values = field()
    values[1, 2] = values[6, 11] = np.nan
    sphere = world(values)
    assert sphere.weights is not None
    assert (sphere.weights.reshape(SHAPE) == 0).nonzero().tolist() == [[1, 2], [6, 11]]
    assert sphere.values.isfinite().all()
    assert sphere.bounds == (np.nanmin(values), np.nanmax(values))
    assert np.array_equal(sphere.to_array(), values, equal_nan=True)
    assert world().weights is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full(SHAPE, 3.0), "that differ"),
        (np.full(SHAPE, np.nan), "none that is not missing"),
        (np.where(np.arange(84).reshape(SHAPE) == 5, np.inf, 1.0), "finite"),
        (np.zeros((3, 3)), r"\[3, 3\], \[7\], \[12\]"),
        (np.zeros(SHAPE) * 1j, "real numbers"),
        (np.full(SHAPE, "x"), "real numbers"),
    ],
)
def test_values_that_no_scale_fits_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        world(values)


def test_batches_are_the_same_with_and_without_coordinates_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = field()
    values[0, 0] = np.nan
    sphere, index = world(values), torch.tensor([83, 0, 41, 12])
    held = [sphere.batch(index), sphere.batch(slice(10, 50))]
    monkeypatch.setattr(module, "CACHED_POINTS", 10)
    computed = [sphere.batch(index), sphere.batch(slice(10, 50))]
    for first, second in zip(held, computed, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))  # type: ignore[arg-type]
    large = world()
    large.batch(slice(0, 84))
    assert "coords" not in large.__dict__


def test_it_lies_on_no_plain_grid() -> None:
    assert on_grid(world()) is None


def test_areas_are_cosines() -> None:
    areas = world().areas(slice(0, 84)).reshape(SHAPE)
    cosines = np.cos(np.deg2rad(LATITUDES))
    assert np.allclose(areas, (cosines / cosines.mean())[:, None].repeat(12, 1), atol=1e-6)


def test_degrees_and_kelvins() -> None:
    sphere = world()
    points = torch.tensor([[-90.0, 17.0], [0.0, 0.0], [0.0, 90.0], [60.0, 330.0], [60.0, -30.0]])
    x = sphere.to_coordinates(points)
    assert torch.allclose(x[:3], torch.tensor([[0.0, 0, -1], [1, 0, 0], [0, 1, 0]]), atol=1e-7)
    assert torch.allclose(x[3], x[4])
    places = torch.tensor([[LATITUDES[3], LONGITUDES[5]]], dtype=torch.float64)
    assert torch.equal(sphere.to_coordinates(places)[0], sphere.coords[3 * 12 + 5])
    assert torch.allclose(sphere.to_units(sphere.values)[:, 0], torch.from_numpy(field().ravel()))
    with pytest.raises(InputError, match=r"latitude \[degree\], longitude \[degree\]"):
        sphere.to_coordinates([[1.0, 2.0, 3.0]])


def test_what_is_written_is_what_was_read(tmp_path: Path) -> None:
    data = dataset(field()[None], ("time", "latitude", "longitude"))
    (tmp_path / "x.nc").write_bytes(netcdf(data))
    sphere = Sphere.open(tmp_path / "x.nc")
    path = tmp_path / sphere.default_name
    sphere.write(sphere.values, sphere.shape, path)
    again = Sphere.open(path)
    assert torch.equal(again.values, sphere.values)
    assert again.lattice == sphere.lattice
    assert again.about == sphere.about
    with xarray.open_dataset(path, engine="h5netcdf") as found:
        assert np.array_equal(found.t2m, field())
        assert (found.t2m.units, found.t2m.dtype) == ("K", np.float32)
        assert found.latitude.units == "degrees_north"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name, "x.nc"]


def test_other_resolutions(tmp_path: Path) -> None:
    sphere = world()
    fine = sphere.grid((13, 24))
    assert fine.shape == (13 * 24, 3)
    assert torch.allclose(fine.reshape(13, 24, 3)[::2, ::2].reshape(-1, 3), sphere.coords, atol=1e-6)
    index = torch.tensor([5, 311])
    assert torch.equal(sphere.coordinates_of((13, 24), index), fine[index])
    assert torch.equal(sphere.coordinates_of((13, 24), slice(7, 20)), fine[7:20])
    rendered = torch.rand(13 * 24, 1)
    sphere.write(rendered, (13, 24), tmp_path / "x.nc")
    again = Sphere.open(tmp_path / "x.nc")
    assert again.shape == (13, 24)
    assert np.allclose(again.to_array(), sphere.to_units(rendered).reshape(13, 24), rtol=1e-6)
    for shape in ((13,), (2, 3, 4), (0, 2)):
        with pytest.raises(InputError, match="expected a shape"):
            sphere.grid_of(shape)


def test_places_and_formats_that_cannot_be_written(tmp_path: Path) -> None:
    sphere = world()
    with pytest.raises(InputError, match=r"\.nc"):
        sphere.write(sphere.values, SHAPE, tmp_path / "x.png")
    with pytest.raises(InputError, match="rendered values"):
        sphere.write(sphere.values[1:], SHAPE, tmp_path / "x.nc")
    with pytest.raises((InputError, RunError), match="expected a place"):
        sphere.write(sphere.values, SHAPE, tmp_path / "missing" / "x.nc")
    assert list(tmp_path.iterdir()) == []


def test_metadata_describe_the_sphere() -> None:
    values = field()
    values[0, 0] = np.nan
    sphere = world(values)
    found = from_metadata(json.loads(json.dumps(sphere.metadata())))
    assert isinstance(found, Sphere)
    assert (found.lattice, found.bounds, found.about) == (sphere.lattice, sphere.bounds, sphere.about)
    assert torch.equal(found.grid(SHAPE), sphere.coords)
    assert not found.held


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [7, 11]},
        {"shape": [84]},
        {"latitudes": []},
        {"latitudes": "90"},
        {"latitudes": [None] * 7},
        {"latitudes": [True] * 7},
        {"latitudes": [math.nan] * 7},
        {"longitudes": [1e300 * i for i in range(12)]},
        {"longitudes": [[0.0]] * 12},
        {"minimum": 400.0},
        {"minimum": math.nan},
        {"maximum": math.inf},
        {"maximum": "hot"},
        {"name": None},
        {"unit": 3},
    ],
)
def test_damaged_metadata_are_refused(change: dict[str, Any]) -> None:
    good = world().metadata()
    assert isinstance(from_metadata(good), Sphere)
    with pytest.raises(InputError, match="expected"):
        from_metadata({**good, **change})


def test_digests_see_values_weights_and_places() -> None:
    values = field()
    values[0, 0] = np.nan
    digests = {
        world().digest(),
        world(field(1)).digest(),
        world(values).digest(),
        Sphere.from_array(field(), LATITUDES * 0.5, LONGITUDES).digest(),
        Sphere.from_array(field(), LATITUDES, LONGITUDES - 180).digest(),
    }
    assert len(digests) == 5
    assert world().digest() in digests


def test_without_xarray_the_extra_is_named(tmp_path: Path) -> None:
    npz(tmp_path / "x.npz", t2m=field())
    code = """
import sys
sys.modules["xarray"] = None
from fastsnf.errors import InputError
from fastsnf.signals import Sphere
try:
    Sphere.open(sys.argv[1])
except InputError as error:
    print("fastsnf[sphere]" in str(error))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "x.npz")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"


def test_a_small_sphere_is_fitted(tmp_path: Path) -> None:
    phi, theta = np.deg2rad(LATITUDES)[:, None], np.deg2rad(LONGITUDES)[None]
    sphere = world(280 + 20 * np.cos(phi) * np.cos(theta) + 5 * np.sin(phi))
    model = fastsnf.SNF(
        3, 1, hidden_features=16, hidden_layers=1, first_omega=2.0, hidden_omega=5.0,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    run = tmp_path / "run"
    result = fastsnf.fit(model, sphere, steps=200, lr=5e-3, run=run)
    assert result.psnr > 30
    again = Sphere.open(run / "reconstruction.nc")
    assert np.abs(again.to_array() - sphere.to_array()).max() < 5
    loaded = fastsnf.load(run)
    kelvins = loaded.at([[0.0, 0.0], [45.0, 200.0]])
    expected = loaded(unit_vectors(torch.tensor([[0.0, 0.0], [45.0, 200.0]], dtype=torch.float64)))
    low, high = sphere.bounds
    assert torch.allclose(kelvins, low + expected * (high - low), rtol=1e-5)
    assert kelvins[0, 0].item() == pytest.approx(300, abs=3)

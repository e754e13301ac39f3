"""Signed distances as a signal: against a box's own formula, samples by seed, renderings, damage, a fit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf import signals
from fastsnf.errors import InputError, RunError
from fastsnf.signals import SignedDistance, child
from fastsnf.signals.distance_samples import Sampling, on_surface
from fastsnf.train.meters import METRICS
from tests.cases import count
from tests.signals.solids import box, box_distance, obj

LOW, HIGH = (10.0, -4.0, 1.0), (14.0, -2.0, 2.0)
SMALL = {"points": 400, "resolution": 10}


@pytest.fixture(scope="module")
def distance() -> SignedDistance:
    return SignedDistance.from_mesh(*box(LOW, HIGH), **SMALL)


def _placed() -> tuple[np.ndarray, np.ndarray]:
    """The box in coordinates: 4 long, so that 3.8 / 8 is the scale."""
    middle = (np.array(LOW) + HIGH) / 2
    return (np.array(LOW) - middle) * 0.475, (np.array(HIGH) - middle) * 0.475


def test_values_are_the_distances_of_a_box(distance: SignedDistance) -> None:
    x, y, w = distance.batch(slice(0, distance.size))
    assert w is None
    assert np.allclose(y[:, 0].numpy(), box_distance(x.numpy(), *_placed()), atol=1e-5)
    grid = distance.evaluation
    points = grid.grid(grid.shape).numpy()
    assert np.allclose(grid.values[:, 0].numpy(), box_distance(points, *_placed()), atol=1e-5)
    assert (y < 0).any()
    assert (y > 0).any()


def test_users_units_are_those_of_the_mesh(distance: SignedDistance) -> None:
    points = np.array([[12.0, -3.0, 1.5], [14.0, -2.0, 2.0], [16.0, -3.0, 1.5]])
    x = distance.to_coordinates(points)
    assert np.allclose(x[1].numpy(), _placed()[1], atol=1e-6)
    values = torch.from_numpy(box_distance(x.double().numpy(), *_placed()))[:, None]
    assert np.allclose(distance.to_units(values)[:, 0], [-0.5, 0.0, 2.0], atol=1e-5)


@pytest.mark.parametrize("turned", ["inside out", "as it should be"])
def test_the_way_that_triangles_are_turned_does_not_matter(turned: str) -> None:
    vertices, faces = box(LOW, HIGH)
    other = SignedDistance.from_mesh(vertices, faces[:, ::-1] if turned == "inside out" else faces, **SMALL)
    expected = box_distance(other.coords.numpy(), *_placed())
    assert np.allclose(other.values[:, 0].numpy(), expected, atol=1e-5)


def test_samples_depend_on_the_seed_alone() -> None:
    vertices, faces = box((-0.5, -0.25, -0.1), (0.5, 0.25, 0.1))
    first = Sampling(300, seed=3).points(vertices, faces)
    assert np.array_equal(Sampling(300, seed=3).points(vertices, faces), first)
    assert not np.array_equal(Sampling(300, seed=4).points(vertices, faces), first)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1


def test_samples_near_the_surface_are_as_near_as_asked() -> None:
    low, high = np.array([-0.5, -0.25, -0.1]), np.array([0.5, 0.25, 0.1])
    vertices, faces = box(tuple(low), tuple(high))
    away = np.abs(box_distance(Sampling(4000, 1.0, (0.001, 0.01)).points(vertices, faces), low, high))
    # the distance to a plane of Laplacian noise of scale s has the mean s
    assert away[0::2].mean() == pytest.approx(0.001, rel=0.1)
    assert away[1::2].mean() == pytest.approx(0.01, rel=0.1)
    half = Sampling(4000, 0.25, (0.0,)).points(vertices, faces)
    assert np.abs(box_distance(half[:1000], low, high)).max() < 1e-6
    assert np.abs(half[1000:]).max(axis=0) == pytest.approx(np.ones(3), abs=0.01)
    wide = Sampling(4000, 1.0, (0.9,)).points(vertices, faces)
    assert np.abs(wide).max() <= 1
    assert (np.abs(wide) > 0.9).any()


def test_points_of_a_surface_are_uniform_over_its_area() -> None:
    low, high = np.array([0.0, 0.0, 0.0]), np.array([4.0, 2.0, 1.0])
    points = on_surface(*box(tuple(low), tuple(high)), 20_000, np.random.default_rng(0))
    top = points[:, 2] == 1
    assert top.mean() == pytest.approx(8 / 28, abs=0.015)
    histogram, *_ = np.histogram2d(points[top, 0], points[top, 1], bins=4)
    assert histogram.min() > 0.8 * histogram.mean()
    assert histogram.max() < 1.2 * histogram.mean()


def test_bad_options_are_refused() -> None:
    mesh = box(LOW, HIGH)
    for options in (
        {"points": 15},
        {"points": 1 << 30},
        {"points": 100.0},
        {"resolution": 7},
        {"resolution": 513},
        {"near": 1.5},
        {"near": float("nan")},
        {"near": "0.5"},
        {"spread": ()},
        {"spread": (-0.1,)},
        {"spread": ("a",)},
        {"seed": -1},
        {"seed": 0.5},
    ):
        with pytest.raises(InputError, match="expected"):
            SignedDistance.from_mesh(*mesh, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected"):
        SignedDistance.from_mesh(mesh[0] * [1, 1, 0], mesh[1])


def test_metadata_restore_what_rendering_needs(distance: SignedDistance, tmp_path: Path) -> None:
    metadata = json.loads(json.dumps(distance.metadata()))
    restored = signals.from_metadata(metadata)
    assert isinstance(restored, SignedDistance)
    assert restored.metadata() == distance.metadata()
    assert restored.evaluation.shape == (10, 10, 10)
    assert not restored.held
    assert not restored.evaluation.held
    points = [[11.0, -3.0, 1.2]]
    assert torch.equal(restored.to_coordinates(points), distance.to_coordinates(points))
    grid = restored.evaluation
    assert signals.from_metadata(metadata).evaluation.metadata() == grid.metadata()
    assert type(grid).from_metadata(grid.metadata()).metadata() == grid.metadata()
    for key, value in (
        ("shape", [3, 4]),
        ("shape", [1]),
        ("axes", 2),
        ("out_features", 2),
        ("frame", None),
        ("resolution", 10**6),
        ("resolution", True),
        ("near", "x"),
        ("near", None),
        ("spread", [None]),
        ("seed", -3),
        ("facts", []),
    ):
        with pytest.raises(InputError, match="expected"):
            signals.from_metadata({**metadata, key: value})


def test_a_rendering_is_a_mesh_in_the_users_units(distance: SignedDistance, tmp_path: Path) -> None:
    import trimesh

    restored = signals.from_metadata(distance.metadata()).evaluation
    rendering = restored.rendering((60, 60, 60))
    points = restored.grid((60, 60, 60)).numpy()
    values = torch.from_numpy(box_distance(points, *_placed())).float()[:, None]
    for start in range(0, len(values), 1000):
        rendering.add(start, values[start : start + 1000])
    for name in ("a.ply", "a.stl"):
        rendering.write(tmp_path / name)
        mesh = trimesh.load_mesh(tmp_path / name)
        assert mesh.is_watertight
        step = 2 / 59 / 0.475
        assert np.allclose(mesh.bounds, [LOW, HIGH], atol=step)
    distance.write(values, (60, 60, 60), tmp_path / "b.ply")
    assert (tmp_path / "b.ply").read_bytes() == (tmp_path / "a.ply").read_bytes()
    with pytest.raises(InputError, match="surface"):
        distance.write(values + 5, (60, 60, 60), tmp_path / "c.ply")


def test_metrics_know_what_is_inside(distance: SignedDistance) -> None:
    grid = distance.evaluation
    meters = {name: METRICS[name](grid) for name in ("iou", "mae")}
    prediction = grid.values + 0.1
    for meter in meters.values():
        meter.add(slice(0, grid.size), prediction, grid.values)
    here, there = prediction <= 0, grid.values <= 0
    assert meters["iou"].value == pytest.approx(int((here & there).sum()) / int((here | there).sum()))
    assert meters["mae"].value == pytest.approx(0.1, rel=1e-5)


def test_progress_counts_samples_and_grid() -> None:
    seen: list[tuple[int, int]] = []
    SignedDistance.from_mesh(*box(LOW, HIGH), **SMALL, progress=lambda *done: seen.append(done))
    assert seen[-1] == (1400, 1400)


def test_a_process_that_dies_is_a_run_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for start, words in (
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("raise SystemExit(3)", "status 3"),
        ("1 / 0", "division by zero"),
        (
            "import os, sys; sys.stdin.buffer.read(); os.write(1, b'R' + (2).to_bytes(8, 'little') + b'{}')",
            "1400 distances",
        ),
    ):
        monkeypatch.setattr(child, "_START", start)
        with pytest.raises(RunError, match=words):
            SignedDistance.from_mesh(*box(LOW, HIGH), **SMALL)


def test_without_libigl_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "igl", None)
    with pytest.raises(InputError, match=r"fastsnf\[mesh\]"):
        SignedDistance.from_mesh(*box(LOW, HIGH), **SMALL)


def test_damaged_files_are_refused_or_meshes(tmp_path: Path) -> None:
    """The reader is that of occupancy, which has tests of its own."""
    path = obj(tmp_path / "a.obj", *box(LOW, HIGH))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for length in rng.integers(0, len(whole), count(40)):
        path.write_bytes(whole[:length])
        try:
            cut = SignedDistance.open(path, points=16, resolution=8)
        except InputError:
            refused += 1
        else:
            assert cut.facts["faces"] < 12 or cut.facts["closed"]
            assert cut.values.isfinite().all()
    assert refused
    with pytest.raises(InputError, match="expected"):
        signals.open(tmp_path / "none.obj", kind="sdf")


def test_a_fit_finds_the_shape(tmp_path: Path) -> None:
    import trimesh

    path = obj(tmp_path / "a.obj", *box((0, 0, 0), (2.0, 2.0, 2.0)))
    signal = signals.open(path, kind="sdf", points=3000, resolution=20)
    field = fastsnf.SNF(3, 1, 32, 3, first_omega=3, hidden_omega=3, alpha=1.0)
    result = fastsnf.fit(field, signal, steps=200, lr=5e-3, run=tmp_path / "run")
    assert list(result.metrics) == ["psnr", "iou", "mae"]
    assert result.iou is not None
    assert result.iou > 0.85
    assert result.metrics["mae"] < 0.06
    assert result.values is not None
    assert result.values.shape == (20**3, 1)
    mesh = trimesh.load_mesh(tmp_path / "run" / "reconstruction.ply")
    assert mesh.is_watertight
    assert np.allclose(mesh.bounds, [[0, 0, 0], [2, 2, 2]], atol=0.25)
    loaded = fastsnf.load(tmp_path / "run")
    away = loaded.at(torch.tensor([[1.0, 1.0, 1.0], [3.0, 1.0, 1.0]]))
    assert away[0] < 0 < away[1]
    assert float(away[0]) == pytest.approx(-1.0, abs=0.3)

"""``fastsnf render`` of every kind of signal: what sizes it, what is written, what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf.cli import render_progress
from fastsnf.cli.render_progress import DecodeProgress, progress_line
from fastsnf.cli.render_shapes import at_resolution, scaled
from fastsnf.signals.grid import Grid
from fastsnf.signals.occupancy import Occupancy
from fastsnf.signals.samples import Samples
from fastsnf.signals.video import Video
from tests.train.solid_fields import octahedron


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """An empty folder for a field."""
    monkeypatch.chdir(tmp_path)
    folder = Path("run")
    folder.mkdir()
    return folder


@pytest.fixture
def solid(run) -> Path:
    """A run folder of an octahedron among 9 x 17 x 9 voxels."""
    signal = Occupancy(None, Grid((9, 17, 9)))
    fastsnf.save(octahedron(0.8), run / "field.safetensors", signal)
    return run


@pytest.mark.parametrize(
    ("args", "name"),
    [
        ([], "run/render-9x17x9.ply"),
        (["--resolution", 33], "run/render-17x33x17.ply"),
        (["--scale", 1.5], "run/render-14x26x14.ply"),
        (["--resolution", 33, "--coarse", 3, "--output", "o.stl"], "o.stl"),
        (["--resolution", 33, "--smooth"], "run/render-17x33x17.ply"),
        (["--output", "o ü.OBJ"], "o ü.OBJ"),
    ],
)
def test_a_solid_becomes_a_closed_mesh_among_its_voxels(command, solid, args, name):
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    done = command("render", solid, *args)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[-1] == name
    assert ("0 of" in done.out and "miss rate 0\n" in done.out) == ("--coarse" in args)
    mesh = trimesh.load(name, file_type=Path(name).suffix[1:].lower(), force="mesh")
    assert mesh.is_watertight
    assert mesh.euler_number == 2
    middle, half = mesh.bounds.mean(axis=0), np.ptp(mesh.bounds, axis=0) / 2
    assert np.allclose(middle, [4, 8, 4], atol=1e-4)
    assert np.allclose(half, [3.2, 6.4, 3.2], atol=1.4)  # its tips may lie between points


@pytest.mark.parametrize("suffix", ["npz", "npy", "zarr"])
def test_a_solid_becomes_a_grid(command, solid, suffix):
    if suffix == "zarr":
        pytest.importorskip("zarr", reason="zarr is not installed")
    assert command("render", solid, "--resolution", 20, "--output", f"o.{suffix}").status == 0
    grid = Occupancy.open(f"o.{suffix}", cache="cache").voxels.slab(0, 11)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, side) for side in (11, 20, 11)), indexing="ij")
    assert np.array_equal(grid, np.abs(x) + np.abs(y) + np.abs(z) <= 0.8)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--size", "3x3"], "expected --resolution or --scale for the field of occupancy; got --size"),
        (["--rate", 8], "got --rate"),
        (["--resolution", 9, "--scale", 2], "got both --scale and --resolution: drop one"),
        (["--resolution", 0], "from 1 to"),
        (["--resolution", 10**6], "ask for a smaller --resolution or --scale"),
        (["--coarse", 1], "from 2 to"),
        (["--smooth", "--output", "o.npy"], "for --smooth"),
        (["--output", "o.png"], "mesh or grid file ending in .ply"),
        (["--output", "absent/o.ply"], "'absent'"),
    ],
)
def test_a_wrong_request_for_a_solid_is_one_line(command, solid, args, said):
    done = command("render", solid, *args)
    assert done.status == 2
    assert said in done.line()
    assert done.out == ""
    assert {file.name for file in Path("run").iterdir()} == {"field.safetensors"}


def test_a_solid_that_is_nowhere_is_told_what_to_do(command, run):
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    fastsnf.save(octahedron(-1.0), run / "field.safetensors", Occupancy(None, Grid((8, 8, 8))))
    done = command("render", run)
    assert done.status == 2
    assert "nowhere at or above 0.5" in done.line()
    assert not Path("run/render-8x8x8.ply").exists()


def test_a_coarse_decode_that_misses_says_so(command, run):
    field = octahedron(0.2, (0.25, 0.25, -0.25))
    fastsnf.save(field, run / "field.safetensors", Occupancy(None, Grid((33, 33, 33))))
    done = command("render", run, "--coarse", 8, "--output", "o.npz")
    assert done.out.startswith("35,937 points were not asked for; ")
    assert "a smaller --coarse misses less" in done.out
    image = fastsnf.signals.Image.from_array(np.zeros((4, 4), dtype=np.uint8))
    fastsnf.save(fastsnf.SNF(2, 1, hidden_features=8), run / "field.safetensors", image)
    done = command("render", run, "--coarse", 2)
    assert done.status == 2
    assert "expected a solid for a coarse-to-fine decode; got image" in done.line()


@pytest.mark.parametrize(
    ("args", "rate", "count", "name"),
    [
        ([], 8000, 801, "run/render-8000Hz.wav"),
        (["--rate", 16000], 16000, 1601, "run/render-16000Hz.wav"),
        (["--scale", 0.5], 4000, 401, "run/render-4000Hz.wav"),
        (["--rate", 11025, "--output", "o.flac"], 11025, 1104, "o.flac"),
    ],
)
def test_a_sound_is_decoded_at_any_rate(command, run, args, rate, count, name):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
    time = np.arange(801) / 8000
    sound = fastsnf.signals.Audio.from_array(np.sin(300 * time), 8000, subtype="PCM_16")
    field = fastsnf.SNF(1, 1, hidden_features=8, hidden_layers=1, first_omega=30.0)
    fastsnf.save(field, run / "field.safetensors", sound)
    done = command("render", run, *args)
    assert (done.status, done.out) == (0, f"{name}\n")
    samples, found = soundfile.read(name)
    assert (found, len(samples)) == (rate, count)
    with torch.no_grad():
        values = field(torch.linspace(-1, 1, count)[:, None])[:, 0].clamp(-1, 1) * sound.scale
    assert np.abs(samples - values.numpy()).max() < 2**-14


def test_a_sphere_is_decoded_at_any_number_of_rows(command, run):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    pytest.importorskip("h5netcdf", reason="h5netcdf is not installed")
    latitudes, longitudes = np.linspace(-80, 80, 5), np.arange(8) * 45.0
    values = np.add.outer(latitudes, longitudes)
    sphere = fastsnf.signals.Sphere.from_array(values, latitudes, longitudes, name="t")
    fastsnf.save(fastsnf.SNF(3, 1, hidden_features=8), run / "field.safetensors", sphere)
    assert command("render", run, "--resolution", 10).out == "run/render-10x20.nc\n"
    with xarray.open_dataset("run/render-10x20.nc", engine="h5netcdf") as found:
        assert found["t"].shape == (10, 20)
        assert np.isfinite(found["t"].values).all()
    assert command("render", run).out == "run/render-5x8.nc\n"


def test_volumes_points_and_videos(command, run):
    field = fastsnf.SNF(3, 2, hidden_features=8)
    volume = fastsnf.signals.Volume.from_array(np.random.default_rng(0).random((4, 6, 5, 2)))
    fastsnf.save(field, run / "field.safetensors", volume)
    done = command("render", run, "--resolution", 11, "--output", "o.npy")
    assert done.status == 0
    assert np.load("o.npy").shape == (7, 11, 9, 2)
    points = np.random.default_rng(0).random((20, 3)) * [1, 2, 4]
    cloud = fastsnf.signals.PointCloud.from_arrays(points, points[:, :2])
    fastsnf.save(field, run / "field.safetensors", cloud)
    assert command("render", run, "--resolution", 16).status == 0
    assert "choose a resolution" in command("render", run).line()
    shape, (written,) = cloud.shape_of(16), run.glob("render-*.npz")
    assert np.load(written)["values"].shape == (*shape, 2)
    video = Video((4, 6, 8), 3, rate=Fraction(25))
    fastsnf.save(fastsnf.SNF(3, 3, hidden_features=8), run / "field.safetensors", video)
    assert command("render", run, "--size", "16x10", "--output", "v.npz").status == 0
    assert np.load("v.npz")["frames"].shape == (4, 10, 16, 3)
    assert command("render", run, "--scale", 2, "--output", "v.npz").status == 0
    assert np.load("v.npz")["frames"].shape == (4, 12, 16, 3)


@pytest.mark.parametrize(
    ("shape", "resolution", "expected"),
    [
        ((256, 256, 256), 512, (512, 512, 512)),
        ((257, 129, 65), 513, (513, 257, 129)),  # every other point stays where it was
        ((9, 5), 3, (3, 2)),
        ((7, 1, 3), 1, (1, 1, 1)),
        ((1, 1), 5, (5, 5)),
    ],
)
def test_resolutions_keep_equal_distances(shape, resolution, expected):
    assert at_resolution(Samples(shape, 1), resolution) == expected


def test_scales_leave_at_least_a_point():
    assert scaled(Samples((4, 10, 1), 1), 1.5) == (6, 15, 2)
    assert scaled(Samples((4, 10, 1), 1), 1e-6) == (1, 1, 1)
    assert scaled(Video((4, 6, 8), 3), 0.5) == (4, 3, 4)


def test_a_long_decode_says_where_it_stands(command, solid, monkeypatch, capsys):
    monkeypatch.setattr(render_progress, "PLAIN", 0.0)
    monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", 512)
    done = command("render", solid, "--output", "o.npy")
    assert len(done.err.splitlines()) == 3
    assert done.err.splitlines()[-1].startswith("decoded 100 %  ")
    assert command("render", solid, "--output", "o.npy", "--no-progress").err == ""
    assert progress_line(1, 3, 2.0) == "decoded 33 %  0.00 M points/s  4.0 s left"


def test_the_line_of_a_terminal_is_drawn_anew_and_taken_off(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for name in ("QUIET", "REDRAW"):
        monkeypatch.setattr(render_progress, name, 0.0)
    progress = DecodeProgress()
    progress(10, 100)
    progress(100, 100)
    progress.close()
    said = capsys.readouterr().err
    assert "\n" not in said
    assert said.count("\rdecoded") == 2
    assert said.endswith("\r\x1b[K")

"""``fastsnf fit`` of every kind of signal: which options read it, what the header says, what is left."""

from __future__ import annotations

import inspect
import json
import tomllib
import wave
from pathlib import Path

import numpy as np
import pytest

from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.fit_setup import PARAMETERS, READ_BY, TELLING
from fastsnf.cli.parse import option_name
from fastsnf.cli.run_folder import arguments
from fastsnf.signals.kinds import FROM_FILES
from fastsnf.signals.registry import class_of
from tests.cli.conftest import picture

SMALL = ("--steps", 2, "--hidden-features", 8, "--hidden-layers", 1, "--no-progress")
NOT_ASKED = ("max_pixels", "max_samples", "max_points", "progress", "seed")
"""Keywords of ``open`` that are no options: limits against files that lie, and the seed of a fit."""

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A folder of its own for bit files."""
    monkeypatch.setenv("FASTSNF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("kind", FROM_FILES)
def test_every_keyword_of_open_is_an_option_and_every_option_a_keyword(kind):
    keywords = {
        name
        for name, parameter in inspect.signature(class_of(kind).open).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    options = {PARAMETERS.get((name, kind), name) for name, kinds in READ_BY.items() if kind in kinds}
    assert options == keywords - set(NOT_ASKED)
    assert ("progress" in keywords) == (kind in TELLING)
    assert set(READ_BY) <= set(FitOptions.__dataclass_fields__)


def tone(path: Path, channels: int = 2) -> Path:
    """Write a second of sound at 2 kHz."""
    t = np.arange(2000) / 2000
    samples = np.stack([np.sin(2 * np.pi * (c + 1) * 5 * t) for c in range(channels)], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(2000)
        file.writeframes((samples * 20000).astype("<i2").tobytes())
    return path


def cube(path: Path, missing: int = 0) -> Path:
    """Write a cube of 12 triangles, fewer by `missing`."""
    corners = [(x, y, z) for x in (0, 2) for y in (0, 2) for z in (0, 2)]
    faces = [
        *((1, 2, 4), (1, 4, 3), (5, 7, 8), (5, 8, 6), (1, 5, 6), (1, 6, 2)),
        *((3, 4, 8), (3, 8, 7), (1, 3, 7), (1, 7, 5), (2, 6, 8), (2, 8, 4)),
    ]
    lines = [f"v {x} {y} {z}" for x, y, z in corners]
    lines += [f"f {a} {b} {c}" for a, b, c in faces[: len(faces) - missing]]
    path.write_text("\n".join(lines) + "\n")
    return path


def ball(path: Path) -> Path:
    """Write a grid of 0 and 1."""
    places = np.indices((12, 10, 11)) - 5
    np.save(path, ((places**2).sum(axis=0) < 16).astype(np.uint8))
    return path


def volume(path: Path) -> Path:
    """Write a grid of values."""
    np.save(path, np.random.default_rng(0).random((7, 6, 5)).astype(np.float32))
    return path


def table(path: Path) -> Path:
    """Write a table over latitudes and longitudes."""
    values = 280 + 20 * np.random.default_rng(0).random((6, 12))
    latitudes, longitudes = np.linspace(-75, 75, 6), np.arange(12) * 30.0
    np.savez(path, t2m=values, latitude=latitudes, longitude=longitudes)
    return path


def cloud(path: Path) -> Path:
    """Write points with a value each."""
    points = np.random.default_rng(0).random((60, 3))
    np.savez(path, points=points, values=points.sum(axis=1, keepdims=True))
    return path


def frames(path: Path) -> Path:
    """Write a video of 5 frames."""
    from fastsnf.signals import Video

    video = Video.from_array(np.random.default_rng(0).random((5, 16, 24, 3)), rate=5)
    video.write_frames(video.to_array(), path)
    return path


CASES = {
    "image": (lambda: picture(Path("a.png"), 9, 12), (), "", "reconstruction.png"),
    "audio": (
        lambda: tone(Path("a.wav")),
        ("--channels", "mono", "--duration", 0.5),
        "0.50 s at 2,000 Hz",
        ".wav",
    ),
    "occupancy": (lambda: ball(Path("a.npy")), (), "% inside; bits 165 B in", ".ply"),
    "mesh": (lambda: cube(Path("a.obj")), ("--resolution", 12), "12 faces; closed", ".ply"),
    "volume": (lambda: volume(Path("b.npy")), (), "", ".npz"),
    "sphere": (lambda: table(Path("a.npz")), ("--kind", "sphere"), "t2m; 28", ".nc"),
    "video": (lambda: frames(Path("a.mkv")), ("--frames", "0:3"), "3 frames of 5 a second", ".mp4"),
    "points": (lambda: cloud(Path("p.npz")), ("--kind", "points"), "", "reconstruction"),
    "sdf": (
        lambda: cube(Path("s.obj")),
        ("--kind", "sdf", "--samples", 200, "--resolution", 8),
        "12 faces; closed",
        ".ply",
    ),
    "super-resolution": (
        lambda: picture(Path("a.png"), 16, 24),
        ("--kind", "super-resolution", "--pooling", 2),
        "",
        ".png",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fit_of_every_kind_leaves_its_files_and_goes_on(command, name):
    make, options, said, suffix = CASES[name]
    kind = "occupancy" if name == "mesh" else name
    done = command("fit", make(), *SMALL, *options, "--json", "--out", "run")
    assert done.status == 0, done.err
    summary = json.loads(done.out)
    assert summary["kind"] == kind
    assert {"psnr", *class_of(kind).metrics} <= set(summary)
    assert said in done.err
    assert f": {kind}, " in done.err
    assert ("left_out" in summary) == ("reconstruction" not in summary)
    if "reconstruction" in summary:
        assert Path(summary["reconstruction"]).exists()
        assert suffix in summary["reconstruction"]
    else:
        assert summary["left_out"].startswith("expected a field with a surface")
    assert summary["report"] == "run/report.html"
    page = Path("run/report.html").read_text()
    assert kind in page
    assert "data:image/png;base64" in page
    kept = tomllib.loads(Path("run/config.toml").read_text())["command"]["arguments"]
    for option, value in zip(options[::2], options[1::2], strict=True):
        assert f"{option}={value}" in kept

    before = {path.name: path.read_bytes() for path in Path("run").glob("field*")}
    again = command("fit", "--resume", "run", "--json", "--no-progress")
    assert again.status == 0, again.err
    assert json.loads(again.out)["steps"] == 2
    assert before == {path.name: path.read_bytes() for path in Path("run").glob("field*")}


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (
            ball,
            ["--size", "3x4"],
            "--size for the occupancy in 'a.npy'; got (3, 4): it is for image and video and",
        ),
        (ball, ["--resolution", 16], "resolution"),
        (ball, ["--threshold", 7], "threshold below the highest value"),
        (volume, ["--threshold", 0.5], "--threshold for the volume in 'a.npy'; got 0.5: it is for occupancy"),
        (volume, ["--kind", "occupancy"], "--threshold T"),
        (volume, ["--channels", "mono"], "expected a whole number after --channels for the volume"),
        (tone, ["--channels", 2], "expected mono after --channels for the audio"),
        (tone, ["--start", 9], "start"),
        (tone, ["--key", "x"], "--key for the audio"),
        (cube, ["--crop", "wire"], "crop"),
        (cube, ["--resolution", 7], "from 8 to"),
        (table, ["--kind", "sphere", "--time", -2], "time"),
        (cube, ["--sampler", "surfase"], "did you mean 'surface'"),
        (ball, ["--sampler", "surface", "--batch-size", "full"], "full"),
        (cube, ["--memory-limit", "much"], "expected bytes such as 2GB"),
        (ball, ["--memory-limit", "1MB"], "raise the limit"),
        (cube, ["--frames", "3"], "first:last"),
        (cube, ["--spread", "a,b"], "commas between"),
        (ball, ["--cache", "a.npy/deeper"], "cache folder"),
    ],
)
def test_options_of_another_kind_and_values_out_of_range_are_one_line(command, make, options, said):
    names = {ball: "a.npy", volume: "a.npy", tone: "a.wav", cube: "a.obj", table: "a.npz"}
    path = make(Path(names[make]))
    done = command("fit", path, *SMALL, *options, "--out", "run")
    assert done.status == 2, done.out + done.err
    assert said in done.line()
    assert not Path("run").exists()


def test_the_cache_is_where_it_is_asked_for_and_used_again(command, cache):
    ball(Path("a.npy"))
    for _ in range(2):
        done = command("fit", "a.npy", *SMALL, "--cache", "mine")
        assert "bits 165 B in mine/" in done.out
    assert len(list(Path("mine").glob("*.bits"))) == 1
    assert not cache.exists()


def test_the_level_between_two_values_is_said(command):
    array = np.zeros((6, 6, 6), np.uint8)
    array[2:4, 2:4, 2:4] = 255
    np.save("grid.npy", array)
    outcome = command("fit", "grid.npy", "--kind", "occupancy", *SMALL)
    assert "values 0 and 255: inside above 127.5" in outcome.out
    np.save("bits.npy", array > 0)
    assert "inside above" not in command("fit", "bits.npy", "--kind", "occupancy", *SMALL).out


def test_an_open_mesh_is_said_to_be_open_once(command):
    cube(Path("a.obj"), missing=1)
    for _ in range(2):  # built, and taken from the cache
        done = command("fit", "a.obj", *SMALL, "--resolution", 10)
        assert done.status == 0, done.err
        assert "not closed (3 open edges): inside by winding numbers" in done.out
        notes = [line for line in done.out.splitlines() if line.startswith("note ")]
        assert len(notes) == len(set(notes)) >= 1
        assert "the mesh is open" in notes[0]
        assert done.err == ""


def test_samplers_and_the_published_iou_reach_the_trainer(command):
    ball(Path("a.npy"))
    done = command("fit", "a.npy", *SMALL, "--sampler", "balanced", "--out", "a", "--json")
    assert done.status == 0, done.err
    assert tomllib.loads(Path("a/config.toml").read_text())["fit"]["sampler"] == "balanced"
    done = command("fit", "a.npy", *SMALL, "--iou", "published", "--epochs", 2, "--out", "b", "--json")
    assert done.status == 0, done.err
    assert 0 <= json.loads(done.out)["iou_published"] <= 1
    assert "published IoU" in done.err


def test_memory_is_planned_and_kept_to(command):
    ball(Path("a.npy"))
    done = command("fit", "a.npy", *SMALL, "--memory-limit", "500MB", "--out", "run")
    assert done.status == 0, done.err
    (line,) = [line for line in done.out.splitlines() if line.startswith("memory ")]
    assert "of 500 MB planned" in line
    config = tomllib.loads(Path("run/config.toml").read_text())
    assert config["fit"]["memory_limit"] == 500_000_000
    assert command("fit", "--resume", "run", "--memory-limit", "1GiB", "--no-progress").status == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9),
        ("1.5GiB", 3 * 2**29),
        ("512 MB", 512 * 10**6),
        ("3000000", 3_000_000),
        ("2g", 2 * 10**9),
    ],
)
def test_sizes_of_memory(text, size):
    from fastsnf.cli.parse import parse

    assert parse(FitOptions, ["--memory-limit", text], prog="fastsnf fit").memory_limit == size


@pytest.mark.parametrize(
    "options",
    [
        FitOptions(input="/a.obj", resolution=64, cache="/c d", sampler="surface", iou="published"),
        FitOptions(
            input="/a.obj", kind="sdf", samples=10, near=0.25, spread=(0.2, 0.002), memory_limit=10**9
        ),
        FitOptions(input="/a.wav", channels="mono", start=0.5, duration=1.5),
        FitOptions(input="/a.npy", channels=3, key="a=b", threshold=-0.5, crop="tight", axes="xy"),
        FitOptions(input="/a.nc", time=-1, level=3),
        FitOptions(input="/a.mp4", frames="0:10:2", size=(64, 48), small=True, pooling=8),
    ],
)
def test_a_recorded_command_line_gives_the_options_of_signals_again(options):
    from fastsnf.cli.parse import parse

    assert parse(FitOptions, arguments(options), prog="fastsnf fit") == options


def test_a_zarr_store_is_an_input_and_no_run_folder(command):
    zarr = pytest.importorskip("zarr")
    grid = (np.indices((9, 8, 7)).sum(axis=0) < 10).astype(np.uint8)
    zarr.save_array("a.zarr", grid)
    done = command("fit", "a.zarr", *SMALL, "--out", "run")
    assert done.status == 0, done.err
    assert ": occupancy, 9 x 8 x 7" in done.out
    assert command("fit", "--resume", "a.zarr", "--out", "run", "--no-progress").status == 0


def test_options_have_help_and_say_their_default():
    from fastsnf.cli.shared_options import documented

    helps = documented(FitOptions)
    assert all(helps[name].endswith(".") for name in READ_BY)
    assert all(option_name(name).startswith("--") for name in READ_BY)

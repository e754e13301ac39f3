"""The video as a signal: frames, batches, metadata, users' units, what it writes, and a fit of it."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf import signals
from fastsnf.errors import InputError, RunError
from fastsnf.signals import Video, video
from fastsnf.signals.frame_range import FrameRange
from fastsnf.signals.frame_rendering import FrameRendering
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.write_video import ENCODERS
from tests.signals.films import RATE, H, W, film_file, pattern


@pytest.mark.parametrize("suffix", ENCODERS)
@pytest.mark.parametrize("odd", [0, 1])
def test_files_come_back_as_written(tmp_path: Path, suffix: str, odd: int) -> None:
    frames = pattern()[:, : H - odd, : W - odd]
    film = Video.open(film_file(tmp_path / f"a{suffix}", frames))
    assert film.shape == frames.shape[:3]
    assert film.rate == RATE
    error = np.abs(film.frames.astype(int) - frames)
    if ENCODERS[suffix].lossless:
        assert not error.any()
    else:
        assert error.mean() < 6


def test_gray_stays_gray_where_the_format_has_it(tmp_path: Path) -> None:
    gray = pattern(channels=1)
    assert np.array_equal(Video.open(film_file(tmp_path / "a.mkv", gray)).frames, gray)
    film = Video.open(film_file(tmp_path / "a.mp4", gray), mode="gray")
    assert film.out_features == 1
    assert np.abs(film.frames.astype(int) - gray).max() < 12
    assert Video.open(tmp_path / "a.mkv", mode="rgb").out_features == 3


def test_frames_and_sizes_can_be_picked(tmp_path: Path) -> None:
    path = film_file(tmp_path / "a.mkv")
    film = Video.open(path, frames="2:8:3", size="16x12")
    assert film.shape == (2, 12, 16)
    whole = Video.open(path, size=(16, 12))
    assert np.array_equal(film.frames, whole.frames[[2, 5]])
    assert np.array_equal(Video.open(path, frames="5:").frames, Video.open(path).frames[5:])
    assert np.array_equal(whole.frame(1).to_array(), whole.frames[1])
    for text in ("5", "5:5", "3:2", "-1:4", "1:2:0", "a:b", "1:2:3:4", "99999999999:"):
        with pytest.raises(InputError, match="expected frames"):
            Video.open(path, frames=text)
    with pytest.raises(InputError, match="pick others"):
        Video.open(path, frames="40:50")
    for number in (-1, 9, 1.0, True):
        with pytest.raises(InputError, match="expected the number of one of"):
            whole.frame(number)  # type: ignore[arg-type]


def test_frame_ranges_are_pythons() -> None:
    for first, last, step in [(0, None, 1), (3, 9, 2), (0, 4, 3), (7, 8, 1)]:
        picked = FrameRange(first, last, step)
        expected = list(range(10))[slice(first, last, step)]
        assert list(picked.of(10)) == expected == [n for n in range(10) if n in picked]
        assert FrameRange.parse(str(picked)) == picked


@pytest.mark.parametrize("held", [True, False])
def test_batches_are_rows_of_the_frames(monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    if not held:
        monkeypatch.setattr(video, "HELD_POINTS", 0)
    film = Video.from_array(pattern())
    assert film.held == held
    values = torch.from_numpy(pattern().reshape(-1, 3).astype(np.float32) / np.float32(255))
    for index in (torch.tensor([53, 0, 7, 7]), slice(3, 900, 4), slice(None), torch.arange(0)):
        x, y, w = film.batch(index)
        assert torch.equal(y, values[index])
        assert torch.equal(x, film.grid(film.shape)[index])
        assert w is None
    film.check()
    assert isinstance(film.rendering((2, 5, 5)), Rendering if held else FrameRendering)


def test_the_digest_is_of_the_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = pattern()
    first = Video.from_array(frames).digest()
    monkeypatch.setattr(video, "HELD_POINTS", 0)
    assert Video.from_array(frames).digest() == first
    frames[4, 5, 6, 0] ^= 1
    assert Video.from_array(frames).digest() != first


def test_points_are_seconds_rows_and_columns(tmp_path: Path) -> None:
    film = Video.open(film_file(tmp_path / "a.mkv"), frames="2:8:3")
    seconds = [float(frame / RATE) for frame in (2, 5)]
    points = [[seconds[0], 0, 0], [seconds[1], H - 1, W - 1], [seconds[1], 3, 5]]
    grid = film.grid(film.shape).reshape(2, H, W, 3)
    expected = torch.stack([grid[0, 0, 0], grid[1, -1, -1], grid[1, 3, 5]])
    assert torch.allclose(film.to_coordinates(points), expected, atol=1e-6)
    assert len(film.unit) == 3


def test_metadata_restore_what_rendering_needs(tmp_path: Path) -> None:
    film = Video.open(film_file(tmp_path / "a.mkv"), frames="1:9:2")
    restored = signals.from_metadata(json.loads(json.dumps(film.metadata())))
    assert isinstance(restored, Video)
    assert restored.metadata() == film.metadata()
    assert not restored.held
    point = torch.tensor([0.1, 2.0, 3.0])
    assert torch.equal(restored.to_coordinates(point), film.to_coordinates(point))
    for use in (lambda: restored.values, lambda: restored.frames, restored.check, restored.digest):
        with pytest.raises(InputError, match="open the file"):
            use()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", [3, 4]),
        ("shape", [0, 4, 4]),
        ("out_features", 2),
        ("rate", [0, 1]),
        ("rate", [25, 0]),
        ("rate", 25),
        ("rate", [25.0, 1]),
        ("rate", [10**12, 10**11 + 1]),
        ("first", -1),
        ("step", 0),
        ("step", True),
        ("source", None),
    ],
)
def test_damaged_metadata_are_refused(key: str, value: object) -> None:
    metadata = {**Video.from_array(pattern()).metadata(), key: value}
    with pytest.raises(InputError, match="expected"):
        signals.from_metadata(metadata)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4)),
        np.zeros((3, 4, 4, 2)),
        np.zeros((0, 4, 4, 3), np.uint8),
        np.full((2, 4, 4), 1.5),
        np.full((2, 4, 4), np.nan),
        np.zeros((2, 4, 4), np.int32),
    ],
)
def test_arrays_of_another_kind_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected"):
        Video.from_array(array)


def test_float_frames_are_held_as_bytes() -> None:
    frames = pattern()
    assert np.array_equal(Video.from_array(frames / 255).frames, frames)
    assert Video.from_array(torch.from_numpy(frames[..., 0]), rate=29.97).rate == Fraction(2997, 100)
    for rate in (0, -1, float("nan"), float("inf"), "25", 1e12):
        with pytest.raises(InputError, match="expected a rate"):
            Video.from_array(frames, rate=rate)  # type: ignore[arg-type]


@pytest.mark.parametrize("held", [True, False])
def test_renderings_are_written_at_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    if not held:
        monkeypatch.setattr(video, "HELD_POINTS", 0)
    film = Video.from_array(pattern(), rate=10)
    rendering = film.rendering((18, 6, 8))
    values = torch.rand(18 * 6 * 8, 3) * 1.2 - 0.1
    values[5] = float("nan")
    for start in range(0, len(values), 100):
        rendering.add(start, values[start : start + 100])
    rendering.write(tmp_path / "a.mkv")
    back = Video.open(tmp_path / "a.mkv")
    assert np.array_equal(back.frames, film.to_array(values, (18, 6, 8)))
    assert back.rate == 20  # twice the frames in the same time
    rendering.write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        assert np.array_equal(file["frames"], back.frames)
        assert file["rate"] == 20
    with pytest.raises(InputError, match="ending in"):
        rendering.write(tmp_path / "a.gif")
    with pytest.raises(InputError, match="choose another"):
        rendering.write(tmp_path / "missing" / "a.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "a.npz"]


def test_a_full_disk_is_a_run_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    film = Video.from_array(pattern())
    with pytest.MonkeyPatch.context() as patch:
        full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115, closed by the writer
        patch.setattr(Path, "open", lambda *_, **__: full)
        with pytest.raises(RunError, match="No space"):
            film.write_frames(film.frames, tmp_path / "a.mkv")


def test_without_pyav_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film_file(tmp_path / "a.mkv")
    monkeypatch.setitem(sys.modules, "av", None)
    for use in (lambda: Video.open(path), lambda: film_file(tmp_path / "b.mkv")):
        with pytest.raises(InputError, match=r"fastsnf\[video\]"):
            use()


@pytest.mark.parametrize("held", [True, False])
def test_a_fit_comes_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    if not held:
        monkeypatch.setattr(video, "HELD_POINTS", 0)
    film = signals.open(film_file(tmp_path / "a.mkv", pattern(4, 8, 8), Fraction(8)))
    assert isinstance(film, Video)
    field = fastsnf.SNF(3, 3, 32, 3, alpha=1.0)
    result = fastsnf.fit(field, film, steps=120, lr=3e-3, run=tmp_path / "run")
    assert result.psnr > 20
    back = Video.open(tmp_path / "run" / "reconstruction.mp4")
    assert back.shape == film.shape
    loaded = fastsnf.load(tmp_path / "run")
    point = torch.tensor([[0.25, 3.0, 4.0]])
    assert torch.equal(loaded.at(point), loaded(film.to_coordinates(point)))

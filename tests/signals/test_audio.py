"""Sounds as signals: normalisation, time, writing, rates, a fit."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf import signals
from fastsnf.errors import InputError, RunError
from fastsnf.signals import Audio, from_metadata

pytest.importorskip("soundfile", reason="needs the extra audio")

from tests.signals.sound.files import RATE, flac, info, tones, wav


def opened(path: Path, data: bytes, **options: object) -> Audio:
    path.write_bytes(data)
    return Audio.open(path, **options)  # type: ignore[arg-type]


def test_samples_are_divided_by_the_largest(tmp_path: Path) -> None:
    whole = tones(101, 2) - 5
    sound = opened(tmp_path / "x.wav", wav(whole))
    assert (sound.shape, sound.in_features, sound.out_features, sound.rate) == ((101,), 1, 2, RATE)
    assert sound.scale == np.abs(whole).max() / 2**15
    expected = torch.from_numpy((whole / 2**15).astype(np.float32)) / sound.scale
    assert torch.equal(sound.values, expected)
    assert sound.values.abs().max() == 1
    assert sound.values.mean() != 0  # no mean is removed
    torch.testing.assert_close(sound.coords[:, 0], torch.linspace(-1, 1, 101))
    assert sound.duration == 101 / RATE
    assert sound.metrics == ("snr",)


def test_mono_is_the_mean_of_the_channels_and_has_a_scale_of_its_own(tmp_path: Path) -> None:
    whole = tones(64, 2)
    sound = opened(tmp_path / "x.wav", wav(whole), channels="mono")
    mean = whole.mean(axis=1) / 2**15
    assert sound.out_features == 1
    assert sound.scale == pytest.approx(np.abs(mean).max())
    assert np.allclose(sound.values[:, 0].numpy() * sound.scale, mean)
    for wrong in ("stereo", 1):
        with pytest.raises(InputError, match="mono"):
            Audio.open(tmp_path / "x.wav", channels=wrong)  # type: ignore[arg-type]


def test_a_part_knows_where_it_began(tmp_path: Path) -> None:
    sound = opened(tmp_path / "x.wav", wav(tones(8000)), start=0.25, duration=0.5)
    assert (sound.shape, sound.start, sound.duration) == ((4000,), 0.25, 0.5)
    assert sound.values.abs().max() == 1


def test_silence_and_what_is_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="silence"):
        opened(tmp_path / "x.wav", wav(np.zeros((50, 1), np.int64)))
    for bad in (np.nan, np.inf, -np.inf):
        samples = np.ones((50, 2))
        samples[7, 1] = bad
        with pytest.raises(InputError, match=r"1 of 50 times .* sample 7"):
            opened(tmp_path / "x.wav", wav(samples, 32))


def test_arrays(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(20, 2))
    sound = Audio.from_array(array, 100)
    assert sound.scale == pytest.approx(np.abs(array).max())
    assert torch.allclose(sound.values * sound.scale, torch.from_numpy(array).float())
    assert Audio.from_array(torch.tensor([1, -4, 2]), 10).values.tolist() == [[0.25], [-1.0], [0.5]]
    before = torch.tensor([[1.0], [2.0]])
    Audio.from_array(before, 10)
    assert before.tolist() == [[1.0], [2.0]]
    for wrong in (np.zeros((2, 2, 2)), np.zeros(0), np.ones(3) * 1j):
        with pytest.raises(InputError, match="real samples"):
            Audio.from_array(wrong, 10)
    for rate in (0, -1, 1.5, True, 2**31):
        with pytest.raises(InputError, match="rate"):
            Audio.from_array(array, rate)  # type: ignore[arg-type]


SOURCES = {
    "wav8": (wav(tones(300, bits=8), 8), "PCM_16"),
    "wav16": (wav(tones(300)), "PCM_16"),
    "wav24": (wav(tones(300, 2, 24), 24), "PCM_24"),
    "wav32": (wav(tones(300, bits=32), 32), "PCM_32"),
    "float": (wav(tones(300) / 2.0**13, 32), "FLOAT"),
    "double": (wav(tones(300) / 2.0**17, 64), "FLOAT"),
    "flac16": (flac(tones(300)), "PCM_16"),
    "flac8": (flac(tones(300, bits=8), 8), "PCM_16"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_written_is_what_was_read(tmp_path: Path, name: str) -> None:
    data, subtype = SOURCES[name]
    sound = opened(tmp_path / "x", data)
    path = tmp_path / sound.default_name
    sound.write(sound.values, sound.shape, path)
    assert info(path.read_bytes()) == {
        "rate": RATE,
        "channels": sound.out_features,
        "subtype": subtype,
        "frames": 300,
    }
    again = Audio.open(path)
    assert again.scale == pytest.approx(sound.scale, rel=1e-6)
    assert (again.values - sound.values).abs().max() < 1e-6
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name, "x"]


@pytest.mark.parametrize("name", ["wav16", "wav24", "flac16"])
def test_whole_numbers_come_back_exactly_in_both_formats(tmp_path: Path, name: str) -> None:
    sound = opened(tmp_path / "x", SOURCES[name][0])
    for suffix in (".wav", ".flac"):
        sound.write(sound.values, sound.shape, tmp_path / f"y{suffix}")
        again = Audio.open(tmp_path / f"y{suffix}")
        assert again.scale == sound.scale
        assert torch.equal(again.values, sound.values)


def test_values_beyond_the_range_are_clipped_and_nan_is_silence(tmp_path: Path) -> None:
    sound = opened(tmp_path / "x", SOURCES["wav16"][0])
    values = torch.zeros(300, 1)
    values[:3, 0] = torch.tensor([7.0, -7.0, math.nan])
    sound.write(values, (300,), tmp_path / "y.wav")
    again = Audio.open(tmp_path / "y.wav")
    assert again.scale == sound.scale
    assert again.values[:4, 0].tolist() == [1, -1, 0, 0]
    full = Audio.from_array(torch.tensor([1.0, -1.0]), 8, subtype="PCM_16")
    full.write(full.values, (2,), tmp_path / "z.wav")  # 2^15 is one more than 16 bits hold
    assert Audio.open(tmp_path / "z.wav").values[:, 0].tolist() == [32767 / 32768, -1]


def test_other_rates_keep_both_ends_and_the_time_between(tmp_path: Path) -> None:
    sound = Audio.from_array(np.sin(np.arange(4411) / 30), 44_100)  # a tenth of a second
    for rate in (8000, 22_050, 48_000, 44_100, 96_000, 44_101, 3):
        other = sound.at_rate(rate)
        assert other.rate == rate
        assert abs((other.shape[0] - 1) / rate - 0.1) <= 0.5 / rate + 1e-12
        assert other.scale == sound.scale
        assert other.grid(other.shape)[[0, -1], 0].tolist() in ([-1, 1], [0, 0])
        other.write(torch.zeros(other.shape[0], 1), other.shape, tmp_path / "x.wav")
        assert info((tmp_path / "x.wav").read_bytes())["rate"] == rate
    for shape, rate in ((8821, 88_200), (2206, 22_050), (4411, 44_100), (442, 4410), (1, 1)):
        sound.write(torch.zeros(shape, 1), (shape,), tmp_path / "x.wav")
        assert info((tmp_path / "x.wav").read_bytes())["rate"] == rate
    with pytest.raises(InputError, match="rate"):
        sound.at_rate(0)
    alone = Audio.from_array([2.0], 100)
    assert alone.at_rate(7).shape == (1,)
    alone.write(torch.zeros(5, 1), (5,), tmp_path / "x.wav")
    assert info((tmp_path / "x.wav").read_bytes())["rate"] == 100


def test_places_and_formats_that_cannot_be_written(tmp_path: Path) -> None:
    sound = Audio.from_array(np.full((10, 9), 4.0), 8000)
    with pytest.raises(InputError, match=r"\.wav or \.flac"):
        sound.write(sound.values, sound.shape, tmp_path / "x.mp3")
    with pytest.raises(InputError, match="rendered values of shape"):
        sound.write(sound.values[:, :2], sound.shape, tmp_path / "x.wav")
    with pytest.raises(InputError, match=r"within \[-1, 1\]"):
        sound.write(sound.values, sound.shape, tmp_path / "x.flac")
    quiet = Audio.from_array(np.full((10, 9), 0.5), 8000)
    with pytest.raises(InputError, match="9 channels"):
        quiet.write(quiet.values, quiet.shape, tmp_path / "x.flac")
    with pytest.raises((InputError, RunError), match="expected a place"):
        sound.write(sound.values, sound.shape, tmp_path / "missing" / "x.wav")
    assert list(tmp_path.iterdir()) == []


def test_metadata_describe_the_sound(tmp_path: Path) -> None:
    sound = opened(tmp_path / "x.wav", wav(tones(8000, 2, 24), 24), start=0.5)
    found = from_metadata(json.loads(json.dumps(sound.metadata())))
    assert isinstance(found, Audio)
    assert found.metadata() == sound.metadata()
    assert not found.held
    with pytest.raises(InputError, match="described by a checkpoint"):
        _ = found.values


@pytest.mark.parametrize(
    "change",
    [
        {"rate": 0},
        {"rate": "8000"},
        {"rate": True},
        {"shape": [2, 2]},
        {"shape": [0]},
        {"shape": [-5]},
        {"out_features": 0},
        {"out_features": 10**9},
        {"divided_by": 0.0},
        {"divided_by": math.nan},
        {"divided_by": math.inf},
        {"divided_by": -1.0},
        {"divided_by": None},
        {"subtype": "MP3"},
        {"subtype": None},
        {"source": 3},
        {"start": -1.0},
        {"start": math.nan},
    ],
)
def test_damaged_metadata_are_refused(change: dict[str, object]) -> None:
    good = Audio.from_array(np.arange(9.0), 10).metadata()
    assert isinstance(from_metadata(good), Audio)
    with pytest.raises(InputError, match="expected"):
        from_metadata({**good, **change})


def test_the_suffix_says_that_it_is_a_sound(tmp_path: Path) -> None:
    for suffix, make in ((".wav", wav), (".FLAC", flac)):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(make(tones()))
        assert isinstance(signals.open(path), Audio)


def test_without_soundfile_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["soundfile"] = None
from fastsnf.errors import InputError
from fastsnf.signals import Audio
sound = Audio.from_array([1.0], 8)
for call in (lambda: Audio.open("x.wav"), lambda: sound.write(sound.values, (1,), "x.wav")):
    try:
        call()
    except InputError as error:
        print("fastsnf[audio]" in str(error))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_a_small_sound_is_fitted(tmp_path: Path) -> None:
    time = np.arange(800) / 8000
    sound = Audio.from_array(0.3 * np.sin(2 * np.pi * 200 * time), 8000, subtype="PCM_16")
    field = fastsnf.SNF(
        1,
        1,
        hidden_features=32,
        hidden_layers=1,
        first_omega=100.0,
        generator=torch.Generator().manual_seed(0),
    )
    run = tmp_path / "run"
    result = fastsnf.fit(field, sound, steps=150, lr=2e-3, run=run)
    assert result.psnr > 25
    again = Audio.open(run / "reconstruction.wav")
    assert (again.shape, again.rate) == ((800,), 8000)
    loaded = fastsnf.load(run)
    seconds = torch.tensor([[0.0], [0.0125], [799 / 8000]])
    expected = loaded(torch.tensor([[-1.0], [0.0125 / (799 / 8000) * 2 - 1], [1.0]])) * sound.scale
    assert torch.allclose(loaded.at(seconds), expected, atol=1e-5)

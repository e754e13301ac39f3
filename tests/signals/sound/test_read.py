"""Reading WAV and FLAC: every type of sample, parts, and what headers say."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError

pytest.importorskip("soundfile", reason="needs the extra audio")

from fastsnf.signals.sound.header import Header
from fastsnf.signals.sound.read import Sound, read_sound
from tests.signals.sound.files import RATE, changed, chunk, flac, form, riff, tones, wav


def read(path: Path, data: bytes, **options: object) -> Sound:
    path.write_bytes(data)
    return read_sound(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_whole_numbers_of_wav(tmp_path: Path, bits: int, wide: bool, channels: int) -> None:
    whole = tones(77, channels, bits)
    sound = read(tmp_path / "x.wav", wav(whole, bits, wide=wide))
    assert np.array_equal(sound.samples, (whole / 2.0 ** (bits - 1)).astype(np.float32))
    subtype = "PCM_U8" if bits == 8 else f"PCM_{bits}"
    assert sound.header == Header("WAV", RATE, channels, 77, subtype)


@pytest.mark.parametrize("bits", [32, 64])
def test_floats_of_wav_may_go_beyond_1(tmp_path: Path, bits: int) -> None:
    samples = np.random.default_rng(0).normal(size=(33, 2)) * 3
    sound = read(tmp_path / "x.wav", wav(samples, bits))
    assert np.array_equal(sound.samples, samples.astype(np.float32))
    assert sound.header.subtype == {32: "FLOAT", 64: "DOUBLE"}[bits]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("bits", [8, 16, 24])
def test_flac(tmp_path: Path, bits: int, channels: int) -> None:
    whole = tones(70_001, channels, bits)  # more than is decoded at once
    sound = read(tmp_path / "x.flac", flac(whole, bits))
    assert np.array_equal(sound.samples, (whole / 2.0 ** (bits - 1)).astype(np.float32))
    assert (sound.header.container, sound.header.bits, sound.header.rate) == ("FLAC", bits, RATE)
    assert len(sound.header.md5) == 16


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 48_000, 12_345, 655_350, 7000, 96_000])
def test_every_rate_of_flac_agrees_with_its_frames(tmp_path: Path, rate: int) -> None:
    assert read(tmp_path / "x.flac", flac(tones(), rate=rate)).header.rate == rate


@pytest.mark.parametrize("make", [wav, flac])
def test_the_mean_of_the_channels(tmp_path: Path, make: type) -> None:
    whole = tones(99, 2)
    mono = read(tmp_path / "x", make(whole), mono=True).samples
    assert np.array_equal(mono, (whole.mean(axis=1, keepdims=True) / 2.0**15).astype(np.float32))


@pytest.mark.parametrize("make", [wav, flac])
def test_parts(tmp_path: Path, make: type) -> None:
    path, whole = tmp_path / "x", tones(70_000)
    path.write_bytes(make(whole))
    samples = read_sound(path).samples
    seconds = 70_000 / RATE
    for start, duration, begin, end in [
        (None, 1.0, 0, 8000),
        (1.0, None, 8000, 70_000),
        (8.1, 0.5, 64_800, 68_800),  # over the border of two blocks
        (0, seconds, 0, 70_000),
    ]:
        part = read_sound(path, start=start, duration=duration)
        assert np.array_equal(part.samples, samples[begin:end])
        assert part.start == begin
    for start, duration in [(None, seconds + 0.001), (seconds, None), (8.0, 1.0), (0, 0), (100, 1)]:
        with pytest.raises(InputError, match=r"part of the 8\.75 s"):
            read_sound(path, start=start, duration=duration)
    for wrong in (-1, float("nan"), "1", True):
        with pytest.raises(InputError, match="in seconds"):
            read_sound(path, start=wrong)  # type: ignore[arg-type]


def test_chunks_of_odd_size_and_unknown_names_are_passed_over(tmp_path: Path) -> None:
    whole = tones(9, bits=8)
    body = (whole + 128).astype(np.uint8).tobytes()
    extra = chunk(b"LIST", b"INFOabc")
    data = riff(extra, chunk(b"fmt ", form(1, 8)), chunk(b"fact", struct.pack("<I", 9)), chunk(b"data", body))
    for file in (data, data + chunk(b"junk", b"x")):
        size = struct.pack("<I", len(file) - 8)
        sound = read(tmp_path / "x.wav", changed(file, 4, size))
        assert np.array_equal(sound.samples[:, 0] * 128, whole[:, 0])


def test_a_last_chunk_of_odd_size_may_lack_its_padding(tmp_path: Path) -> None:
    data = wav(tones(9, bits=8), 8)
    bare = changed(data[:-1], 4, struct.pack("<I", len(data) - 9))
    for file in (data, bare, bare + b"\0"):
        assert read(tmp_path / "x.wav", file).header.frames == 9


def rf64(whole: np.ndarray, *, total: int = 0, data: int = 0) -> bytes:
    """The sound of `wav` with its sizes in 64 bits, `total` and `data` bytes more than there are."""
    rest = wav(whole)[12:]
    place = rest.index(b"data") + 4
    rest = changed(rest, place, b"\xff" * 4)
    sizes = struct.pack("<QQQI", 4 + 36 + len(rest) + total, 2 * whole.size + data, len(whole), 0)
    return b"RF64" + b"\xff" * 4 + b"WAVE" + chunk(b"ds64", sizes) + rest


def test_sizes_of_64_bits(tmp_path: Path) -> None:
    whole = tones(50)
    sound = read(tmp_path / "x.wav", rf64(whole))
    assert np.array_equal(sound.samples, (whole / 2.0**15).astype(np.float32))
    for lie in ({"total": 2}, {"data": 2}, {"data": -2}, {"data": 2**50}, {"total": 2**50, "data": 2**50}):
        with pytest.raises(InputError, match="cut short"):
            read(tmp_path / "x.wav", rf64(whole, **lie))


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    assert read(tmp_path / "x.wav", flac(tones())).header.container == "FLAC"


def test_the_number_of_samples_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(tones(100, 2)))
    assert read_sound(path, max_samples=200).samples.size == 200
    assert read_sound(path, max_samples=20, duration=10 / RATE).samples.size == 20
    with pytest.raises(InputError, match="at most 199 samples"):
        read_sound(path, max_samples=199)
    with pytest.raises(InputError, match="max_samples"):
        read_sound(path, max_samples=0)

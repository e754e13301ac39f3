"""Sound files that lie, break off or try to harm: an `InputError`, or the sound that was written."""

from __future__ import annotations

import os
import resource
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError
from tests.cases import count

pytest.importorskip("soundfile", reason="needs the extra audio")

from fastsnf.signals.sound.read import Sound, read_sound
from tests.signals.sound.files import (
    RATE,
    changed,
    chunk,
    extensible,
    flac,
    form,
    info,
    packed,
    riff,
    tones,
    wav,
)

FILES: dict[str, bytes] = {
    "wav8": wav(tones(501, bits=8), 8),
    "wav16": wav(tones()),
    "wav24 stereo": wav(tones(300, 2, 24), 24),
    "wav32": wav(tones(bits=32), 32),
    "wav float": wav(tones() / 40_000.0, 32),
    "wav double": wav(tones() / 40_000.0, 64),
    "wav extensible": wav(tones(), wide=True),
    "wav zeros": wav(np.concatenate([tones(20), np.zeros((480, 1), np.int64)])),
    "flac16": flac(tones(9000)),
    "flac24 stereo": flac(tones(5000, 2, 24), 24),
}


@pytest.mark.parametrize("name", FILES)
def test_files_cut_short_are_refused(tmp_path: Path, name: str) -> None:
    whole, path = FILES[name], tmp_path / "x"
    rng = np.random.default_rng(0)
    cuts = rng.integers(1, len(whole), count(200)).tolist()
    # The padding of a chunk may be missing: nothing of the sound is.
    last = 2 if name == "wav8" else 1
    for length in sorted({0, 1, 4, 12, 43, 44, 45, len(whole) - last, len(whole) - last - 1, *cuts}):
        if length > len(whole) - last:
            continue
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="expected"):
            read_sound(path)


@pytest.mark.parametrize("name", FILES)
def test_files_that_go_on_are_refused_or_whole(tmp_path: Path, name: str) -> None:
    path, whole = tmp_path / "x", FILES[name]
    path.write_bytes(whole)
    sound = read_sound(path)
    for tail in (b"\0\0", b"TAG" + bytes(125), whole):
        path.write_bytes(whole + tail)
        if name.startswith("wav"):
            with pytest.raises(InputError, match="as its header says"):
                read_sound(path)
        else:
            assert np.array_equal(read_sound(path).samples, sound.samples)


def same(first: Sound, second: Sound) -> bool:
    return first.header == second.header and np.array_equal(first.samples, second.samples)


def flips(whole: bytes, places: range, number: int) -> Iterator[bytes]:
    """The file with one bit changed, `number` of those of `places` at random."""
    rng = np.random.default_rng(1)
    for place, bit in zip(rng.choice(places, number), rng.integers(0, 8, number), strict=True):
        yield changed(whole, int(place), bytes([whole[place] ^ 1 << int(bit)]))


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("wav")])
def test_a_changed_bit_in_the_header_of_a_wav_is_seen_or_means_nothing(tmp_path: Path, name: str) -> None:
    path, whole = tmp_path / "x", FILES[name]
    path.write_bytes(whole)
    sound = read_sound(path)
    start = whole.index(b"data") + 8
    refused = 0
    for data in flips(whole, range(start), count(400)):
        path.write_bytes(data)
        try:
            found = read_sound(path)
        except InputError:
            refused += 1
            continue
        # Whole numbers and floats of 32 bits differ by one bit of the format: nothing else tells them apart.
        swapped = {found.header.subtype, sound.header.subtype} == {"PCM_32", "FLOAT"}
        assert swapped or same(found, sound)
    assert refused > 0.8 * count(400) * (0.6 if "extensible" in name else 1)


@pytest.mark.parametrize("name", ["flac16", "flac24 stereo"])
def test_a_changed_bit_in_a_flac_is_seen_or_means_nothing(tmp_path: Path, name: str) -> None:
    path, whole = tmp_path / "x", FILES[name]
    path.write_bytes(whole)
    sound = read_sound(path)
    refused, samples = 0, whole.index(b"\xff\xf8")
    for data in (*flips(whole, range(42), count(400)), *flips(whole, range(samples, len(whole)), count(400))):
        path.write_bytes(data)
        try:
            found = read_sound(path)
        except InputError:
            refused += 1
            continue
        assert same(found, sound)
    assert refused > 1.2 * count(400)


def test_a_flac_without_md5_still_needs_all_of_its_samples(tmp_path: Path) -> None:
    path, whole = tmp_path / "x", changed(FILES["flac16"], 26, bytes(16))
    path.write_bytes(whole)
    assert read_sound(path).header.md5 == b""
    for length in np.linspace(100, len(whole) - 1, count(200)).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="expected"):
            read_sound(path)


def flac_of(frames: int) -> bytes:
    """A small FLAC whose header says that it has `frames` frames."""
    whole = FILES["flac16"]
    fields = int.from_bytes(whole[18:26], "big") >> 36 << 36 | frames
    return changed(whole, 18, fields.to_bytes(8, "big"))


@pytest.mark.parametrize("frames", [1, 4095, 4096, 4097, 8192, 8999])
def test_a_flac_without_md5_is_no_shorter_sound_than_it_is(tmp_path: Path, frames: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(changed(flac_of(frames), 26, bytes(16)))
    with pytest.raises(InputError, match=f"expected {frames} frames, as its header says; got more"):
        read_sound(path)
    path.write_bytes(changed(FILES["flac16"], 26, bytes(16)))
    whole = read_sound(path)
    assert whole.samples.shape == (9000, 1)
    assert np.array_equal(read_sound(path, start=0.1).samples, whole.samples[round(0.1 * RATE) :])


SAMPLES = packed(tones(20), 16)
NO_SOUNDS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "text": (b"hello, world\n" * 9, "neither"),
    "ogg": (b"OggS" + bytes(100), "neither"),
    "aiff": (b"FORM" + bytes(100), "neither"),
    "big-endian wav": (b"RIFX" + bytes(100), "neither"),
    "riff of another kind": (b"RIFF" + struct.pack("<I", 100) + b"AVI " + bytes(96), "says WAVE"),
    "no chunks": (riff(), "chunk 'fmt '"),
    "no data": (riff(chunk(b"fmt ", form(1, 16))), "chunk 'data'"),
    "data of no samples": (riff(chunk(b"fmt ", form(1, 16)), chunk(b"data", b"")), "whole number of frames"),
    "half a frame": (
        riff(chunk(b"fmt ", form(1, 16, 2)), chunk(b"data", bytes(6))),
        "whole number of frames",
    ),
    "two formats": (riff(*[chunk(b"fmt ", form(1, 16))] * 2, chunk(b"data", SAMPLES)), "one chunk 'fmt '"),
    "two sounds": (riff(chunk(b"fmt ", form(1, 16)), *[chunk(b"data", SAMPLES)] * 2), "one chunk 'data'"),
    "short format": (riff(chunk(b"fmt ", form(1, 16)[:14]), chunk(b"data", SAMPLES)), "at least 16 bytes"),
    "mp3 in wav": (riff(chunk(b"fmt ", form(0x55, 16)), chunk(b"data", SAMPLES)), "format 0x0055"),
    "12 bits": (riff(chunk(b"fmt ", form(1, 12)), chunk(b"data", SAMPLES)), "with 12 bits"),
    "another GUID": (
        riff(chunk(b"fmt ", extensible(1, 16)[:-1] + b"!"), chunk(b"data", SAMPLES)),
        "not one of Microsoft's",
    ),
    "no channels": (riff(chunk(b"fmt ", form(1, 16, 0)), chunk(b"data", SAMPLES)), "channels"),
    "no rate": (riff(chunk(b"fmt ", form(1, 16, rate=0)), chunk(b"data", SAMPLES)), "at 0 Hz"),
    "a rate that is not its byte rate": (changed(wav(tones(20)), 24, struct.pack("<I", 4000)), "a second"),
    "another length stated": (
        riff(chunk(b"fmt ", form(1, 16)), chunk(b"fact", struct.pack("<I", 19)), chunk(b"data", SAMPLES)),
        "19 stated",
    ),
    "written by a stream": (changed(changed(wav(tones(20)), 4, b"\xff" * 4), 40, b"\xff" * 4), "stream"),
    "written by a stream that left zeros": (changed(wav(tones(20)), 4, bytes(4)), "stream"),
    "data without end": (changed(wav(tones(20)), 40, b"\xff" * 4), "stream"),
    "four gigabytes promised": (
        changed(wav(tones(20)), 4, struct.pack("<I", 2**32 - 2)),
        "as its header says",
    ),
    "more chunks than there are": (riff(*[chunk(b"junk", b"")] * 10_001), "at most 10000 chunks"),
    "flac of terabytes": (flac_of(2**36 - 1), "its file can hold"),
    "flac of more than it has": (flac_of(9001), "cannot be read|frames|MD5"),
    "flac of fewer than it has": (flac_of(8999), "MD5"),
    "flac of unknown length": (flac_of(0), "leaves it open"),
    "flac of 20 bits": (changed(FILES["flac16"], 20, bytes([0xF1, 0x30])), "got 20|bits"),
    "flac header alone": (FILES["flac16"][:42], "expected"),
}


@pytest.mark.parametrize("name", NO_SOUNDS)
def test_what_is_no_whole_sound_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a song é'\".wav"
    data, message = NO_SOUNDS[name]
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_sound(path)
    assert "\n" not in str(caught.value)
    assert repr(os.fspath(path)) in str(caught.value)


def test_promises_are_refused_before_their_memory_exists(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # One frame holds at most 65,535 samples: this much the size of the file lets pass.
    path.write_bytes(flac_of(65_535 * (len(FILES["flac16"]) // 8)))
    with pytest.raises(InputError, match="expected"):
        read_sound(path)
    with pytest.raises(InputError, match="at most 1000000 samples"):
        read_sound(path, max_samples=10**6)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB


def test_folders_pipes_and_odd_names_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for name in (
        tmp_path,
        tmp_path / "pipe.wav",
        tmp_path / "none.wav",
        "a\0b.wav",
        "",
        tmp_path / ("x" * 300),
    ):
        with pytest.raises(InputError, match="expected a"):
            read_sound(name)


def test_the_files_of_these_tests_are_what_libsndfile_takes_them_for() -> None:
    assert info(FILES["wav24 stereo"]) == {"rate": RATE, "channels": 2, "subtype": "PCM_24", "frames": 300}
    assert info(FILES["flac24 stereo"])["frames"] == 5000

"""Video files that lie, break off or are damaged: an `InputError`, or the frames, as far as formats allow."""

from __future__ import annotations

import os
import resource
import struct
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError
from fastsnf.signals import Video
from fastsnf.signals.read_video import MAX_PIXELS
from fastsnf.signals.write_video import ENCODERS
from tests.cases import count
from tests.signals.damage import flips, lengths
from tests.signals.films import film_file, pattern

LOSSLESS = [suffix for suffix, encoder in ENCODERS.items() if encoder.lossless]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("films")
    return {suffix: film_file(folder / f"a{suffix}").read_bytes() for suffix in ENCODERS}


@pytest.mark.parametrize("suffix", ENCODERS)
def test_truncated_files_are_refused_or_whole(tmp_path: Path, files: dict[str, bytes], suffix: str) -> None:
    """Whole: Matroska's index, which follows the frames, may be cut off without any loss of frames."""
    whole, path = files[suffix], tmp_path / "x"
    path.write_bytes(whole)
    frames = Video.open(path).frames
    cuts = lengths(len(whole), count(200))
    refused = 0
    for length in cuts:
        path.write_bytes(whole[:length])
        try:
            film = Video.open(path)
        except InputError:
            refused += 1
            continue
        assert suffix in (".mkv", ".webm")
        assert np.array_equal(film.frames, frames)
    assert refused > 0.9 * len(cuts)


@pytest.mark.parametrize("suffix", ENCODERS)
def test_flipped_bits_never_crash_and_ffv1_tells_all(
    tmp_path: Path, files: dict[str, bytes], suffix: str
) -> None:
    """H.264 and VP9 have no checksum: there a flipped bit may give other pictures without a word."""
    whole, path = files[suffix], tmp_path / "x"
    path.write_bytes(whole)
    frames = Video.open(path).frames
    refused = 0
    for data in flips(whole, count(200)):
        path.write_bytes(data)
        try:
            film = Video.open(path, max_pixels=10**6)
        except InputError:
            refused += 1
            continue
        assert film.size <= 10**6
        assert film.frames.shape == (*film.shape, film.out_features)
        if suffix in LOSSLESS:
            assert np.array_equal(film.frames, frames)
    assert refused > 0


def test_headers_that_promise_too_much_are_refused_before_memory_is_taken(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    whole = bytearray(files[".avi"])
    place = whole.index(b"avih") + 8 + 32  # width and height of the main header
    stream = whole.index(b"strf") + 8 + 4  # and of the bitmap's
    whole[place : place + 8] = struct.pack("<II", 15_000, 16_000)
    whole[stream : stream + 8] = struct.pack("<ii", 15_000, 16_000)
    path = tmp_path / "x.avi"
    path.write_bytes(whole)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=f"at most {MAX_PIXELS} pixels"):
        Video.open(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024  # KiB


def test_a_stated_number_of_frames_counts_before_decoding(tmp_path: Path, files: dict[str, bytes]) -> None:
    """An AVI header may say 2^31 frames: too many as long as all are asked for."""
    whole = bytearray(files[".avi"])
    place = whole.index(b"strh") + 8 + 32
    assert struct.unpack_from("<I", whole, place) == (9,)
    path = tmp_path / "x.avi"
    whole[place : place + 4] = struct.pack("<I", 2**31 - 1)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"at most|cut short"):
        Video.open(path)
    whole[place : place + 4] = struct.pack("<I", 10)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="expected the 10 frames"):
        Video.open(path)
    assert Video.open(path, frames="0:5").shape[0] == 5


def test_the_limit_counts_what_is_kept(tmp_path: Path) -> None:
    path = film_file(tmp_path / "a.mkv", pattern(6, 8, 10))
    assert Video.open(path, max_pixels=6 * 80).size == 480
    for options in ({"max_pixels": 479}, {"max_pixels": 79, "frames": "0:1"}):
        with pytest.raises(InputError, match="at most"):
            Video.open(path, **options)
    assert Video.open(path, max_pixels=160, frames="1:3").size == 160
    assert Video.open(path, max_pixels=160, size="5x4").size == 120
    for limit in (0, -1, 1.5, None, True):
        with pytest.raises(InputError, match="max_pixels"):
            Video.open(path, max_pixels=limit)  # type: ignore[arg-type]


def _sound(path: Path) -> None:
    import av

    with av.open(path, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


NOT_VIDEOS: dict[str, bytes] = {
    "empty": b"",
    "text": b"not a video\n" * 9,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
    "list of files": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;",
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "mp4 brand alone": b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2",
    "riff alone": b"RIFF\x04\0\0\0AVI ",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("name", NOT_VIDEOS)
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "holiday é'\".mp4"
    path.write_bytes(NOT_VIDEOS[name])
    with pytest.raises(InputError, match="expected") as caught:
        Video.open(path)
    assert "\n" not in str(caught.value)
    assert repr(os.fspath(path)) in str(caught.value)


def test_sound_pipes_folders_and_odd_names_are_refused(tmp_path: Path) -> None:
    _sound(tmp_path / "sound.mkv")
    with pytest.raises(InputError, match="no picture stream"):
        Video.open(tmp_path / "sound.mkv")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    names = ["missing.mp4", ".", "pipe.mp4", "loop.mp4", "x" * 300]
    for name in [*(tmp_path / name for name in names), "", "a\0b.mp4", "http://localhost/a.mp4"]:
        with pytest.raises(InputError, match="expected a"):
            Video.open(name)

"""Stores of zarr that lie, break off or try to harm: an `InputError` or the right array, nothing else."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsnf.errors import InputError
from fastsnf.signals.arrays import read_array
from tests.cases import count
from tests.signals.arrays import files
from tests.signals.arrays.files import FOLDERS, HUGE, chunk_files, numbers
from tests.signals.arrays.reading import little_memory, read

MIB = 1 << 20


@pytest.mark.parametrize("name", FOLDERS)
def test_damaged_chunks_never_crash(tmp_path: Path, name: str) -> None:
    FOLDERS[name](tmp_path / "whole", numbers())
    rng, seen = np.random.default_rng(2), 0
    stored = chunk_files(tmp_path / "whole")
    described = sorted((tmp_path / "whole").rglob("*.json")) + sorted((tmp_path / "whole").rglob(".zarray"))
    for trial in range(count(200)):
        candidates = described if trial % 4 == 3 else stored
        file = candidates[int(rng.integers(len(candidates)))]
        whole = file.read_bytes()
        data = bytearray(whole)
        place = rng.integers(0, len(whole))
        if trial % 2:
            data[place] ^= 1 << rng.integers(0, 8)
        else:
            del data[place:]
        file.write_bytes(data)
        try:
            found = read(tmp_path / "whole", "folder/a")
        except InputError:
            seen += 1
        else:
            assert found.ndim == 3
            if name == "zarr sharded" and file in stored:  # its codec has a checksum
                np.testing.assert_array_equal(found, numbers())
        file.write_bytes(whole)
    assert seen > 0
    np.testing.assert_array_equal(read(tmp_path / "whole", "folder/a"), numbers())


def test_a_chunk_that_is_cut_short_is_refused_whatever_its_codec(tmp_path: Path) -> None:
    codecs = pytest.importorskip("zarr").codecs
    for place, compressors in enumerate((None, [codecs.GzipCodec()], [codecs.BloscCodec()])):
        path = tmp_path / str(place)
        files.zarr(path, numbers(), compressors=compressors)
        chunk = chunk_files(path)[0]
        chunk.write_bytes(chunk.read_bytes()[:-1])
        with pytest.raises(InputError, match="expected a whole zarr file"):
            read(path, "folder/a")


def _zarr(path: Path, **changes: Any) -> Path:
    """A store of format 3 whose description is changed."""
    shutil.rmtree(path, ignore_errors=True)
    files.zarr(path, numbers())
    described = path / "folder" / "a" / "zarr.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), **changes}))
    return path


def test_zarr_descriptions_that_lie_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    grid = {"name": "regular", "configuration": {"chunk_shape": [2**12] * 3}}
    lies: list[dict[str, Any]] = [
        {"shape": list(HUGE)},
        {"shape": [-6, 4, 5]},
        {"shape": [6, 4]},
        {"shape": "6"},
        {"shape": [2**12] * 3, "chunk_grid": grid, "data_type": "uint8"},
        {"chunk_grid": {"name": "other"}},
        {"codecs": [{"name": "bytes"}, {"name": "pickle"}]},
        {"codecs": [{"name": 3}]},
        {"data_type": "float64"},
        {"fill_value": "?"},
    ]
    for lie in lies:
        with pytest.raises(InputError, match="expected"):
            read(_zarr(path, **lie), "folder/a")
    (path / "folder" / "a" / "zarr.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="expected"):
        read(path, "folder/a")


def test_zarr_never_unpickles(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    files.zarr_2(path, numbers())
    described = path / "folder" / "a" / ".zarray"
    original = json.loads(described.read_text())
    for change in (
        {"filters": [{"id": "pickle"}]},
        {"compressor": {"id": "pickle"}},
        {"dtype": "|O", "filters": [{"id": "pickle"}]},
    ):
        described.write_text(json.dumps({**original, **change}))
        for chunk in chunk_files(path):
            chunk.write_bytes(pickle.dumps(_Trap(str(tmp_path / "executed"))))
        with pytest.raises(InputError, match="expected"):
            read(path, "folder/a")
    assert not (tmp_path / "executed").exists()


class _Trap:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_zarr_stores_with_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    files.zarr(path, numbers())
    chunk = chunk_files(path)[0]
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="a link or a device"):
        read_array(path, "folder/a")
    chunk.unlink()
    (path / "linked").symlink_to(tmp_path)
    with pytest.raises(InputError, match="a link or a device"):
        read_array(path, "folder/a")


def test_a_chunk_far_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    files.zarr(tmp_path / "x.zarr", numbers())
    chunk_files(tmp_path / "x.zarr")[0].write_bytes(bytes(4 * MIB))
    with pytest.raises(InputError, match="a chunk"):
        read_array(tmp_path / "x.zarr", "folder/a")


def test_files_of_a_store_that_are_no_chunks_of_the_array_are_refused(tmp_path: Path) -> None:
    for name in ("zarr", "zarr 2", "zarr sharded"):
        path = tmp_path / name
        FOLDERS[name](path, numbers())
        first = chunk_files(path)[0]
        (first.parent / ".DS_Store").write_bytes(b"what else lies in a folder")
        np.testing.assert_array_equal(read(path, "folder/a"), numbers())
        whole = first.read_bytes()
        first.write_bytes(b"")
        with pytest.raises(InputError, match="of 0 bytes"):
            read_array(path, "folder/a")
        first.unlink()
        beyond = first.with_name(first.name[:-1] + "9")
        beyond.write_bytes(whole)
        with pytest.raises(InputError, match="beyond the sizes"):
            read_array(path, "folder/a")


def test_a_chunk_that_is_absent_is_the_fill_value(tmp_path: Path) -> None:
    files.zarr(tmp_path / "x", numbers())
    chunk_files(tmp_path / "x")[0].unlink()
    expected = numbers()
    expected[:2, :2, :2] = 0  # as zarr has it; nothing tells a chunk that was lost
    np.testing.assert_array_equal(read(tmp_path / "x", "folder/a"), expected)


def test_chunks_that_would_burst_are_refused_before_they_are_decompressed(tmp_path: Path) -> None:
    codecs = pytest.importorskip("zarr").codecs
    size = 512 * MIB
    blosc = struct.pack("<BBBBIII", 2, 1, 0x33, 4, size, 2**16, 480) + bytes(464)
    zstd = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size) + bytes(100)
    unknown = b"\x28\xb5\x2f\xfd\x00\x58" + bytes(100)
    cases = {"a chunk of 480 bytes that says": (codecs.BloscCodec(), blosc)}
    cases |= {"that says 536870912 bytes": (codecs.ZstdCodec(), zstd)}
    cases |= {"does not say its size": (codecs.ZstdCodec(), unknown)}
    for place, (message, (codec, data)) in enumerate(cases.items()):
        path = tmp_path / str(place)
        files.zarr(path, numbers(), compressors=[codec])
        chunk_files(path)[0].write_bytes(data)
        with little_memory(), pytest.raises(InputError, match=message):
            read_array(path, "folder/a")


def test_codecs_that_hide_each_other_are_refused(tmp_path: Path) -> None:
    codecs = pytest.importorskip("zarr").codecs
    files.zarr(tmp_path / "a", numbers(), compressors=[codecs.GzipCodec(), codecs.ZstdCodec()])
    with pytest.raises(InputError, match="several compressors"):
        read_array(tmp_path / "a", "folder/a")
    options = {"chunks": (1, 2, 5), "shards": (2, 4, 5), "compressors": [codecs.BloscCodec()]}
    files.zarr(tmp_path / "b", numbers(), **options)
    with pytest.raises(InputError, match="blosc within shards"):
        read_array(tmp_path / "b", "folder/a")

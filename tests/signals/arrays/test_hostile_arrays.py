"""Files of arrays that lie, break off or try to harm: an `InputError` or the right array, nothing else."""

from __future__ import annotations

import os
import pickle
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsnf.errors import InputError, RunError
from fastsnf.signals.arrays import chunks, read_array, unnamed
from tests.cases import count
from tests.signals.arrays import files
from tests.signals.arrays.files import CHECKSUMS, FILES, HUGE, SHAPE, chunk_files, key_of, numbers
from tests.signals.arrays.reading import little_memory, read
from tests.signals.damage import lengths

MIB = 1 << 20


@pytest.mark.parametrize("name", FILES)
def test_truncated_files_are_refused(tmp_path: Path, name: str) -> None:
    path, key = tmp_path / "x", key_of(name)
    FILES[name](path, numbers())
    whole = path.read_bytes()
    for length in lengths(len(whole), count(200)):
        path.write_bytes(whole[:length])
        try:
            found = read(path, key or None)
        except InputError as error:
            assert "expected" in str(error)  # noqa: PT017
            continue
        # Some formats end in what means nothing: padding, and what belongs to other arrays.
        assert length > len(whole) * 0.5
        np.testing.assert_array_equal(found, numbers())
        assert name in ("matlab", "matlab deflated", "zip")
    path.write_bytes(whole)
    np.testing.assert_array_equal(read(path, key or None), numbers())


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_never_crash(tmp_path: Path, name: str) -> None:
    path, key, written = tmp_path / "x", key_of(name), numbers()
    FILES[name](path, written)
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    refused = 0
    for _ in range(count(200)):
        data = bytearray(whole)
        # Half of the damage in the first bytes, where sizes and types are.
        place = rng.integers(0, len(whole) if rng.random() < 0.5 else min(300, len(whole)))
        if rng.random() < 0.7:
            data[place] ^= 1 << rng.integers(0, 8)
        else:
            data[place : place + 8] = rng.bytes(len(data[place : place + 8]))
        path.write_bytes(data)
        try:
            found = read(path, key or None)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
            continue
        assert found.ndim == 3
        if name in CHECKSUMS:
            np.testing.assert_array_equal(found, written)
    assert refused > 0


def _npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def _matlab_header(shape: tuple[int, ...], nbytes: int) -> bytes:
    sizes = np.array(shape, "<i4").tobytes()
    parts = struct.pack("<IIII", 6, 8, 9, 0) + struct.pack("<II", 5, len(sizes)) + sizes
    parts += bytes(-len(sizes) % 8) + struct.pack("<HHI", 1, 1, ord("a")) + struct.pack("<II", 2, nbytes)
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    return head + struct.pack("<II", 14, min(len(parts) + nbytes, 2**32 - 1)) + parts


def _zip_of(members: dict[str, bytes]) -> bytes:
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        file.seek(0)
        return file.read()


def _nrrd_header(sizes: str, encoding: str = "raw", more: str = "") -> bytes:
    head = f"NRRD0004\ntype: float\ndimension: 3\nsizes: {sizes}\nendian: little\nencoding: {encoding}\n"
    return (head + more + "\n").encode()


LIES: dict[str, bytes] = {
    "npy of 4 TB": _npy_header(HUGE) + bytes(64),
    "npy beyond 64 bits": _npy_header((2**40, 2**40, 2)) + bytes(64),
    "npy of a negative size": _npy_header((-6, -4, 5)) + bytes(480),
    "npy of no entries": _npy_header((6, 0, 5)),
    "npy with entries left over": _npy_header((6, 4, 5)) + bytes(481),
    "npy of text": _npy_header(SHAPE, "<U4") + bytes(1920),
    "npy of complex numbers": _npy_header(SHAPE, "<c8") + bytes(960),
    "npy of a pickle": _npy_header((), "|O") + pickle.dumps(print),
    "npy of no axes": _npy_header(()) + bytes(4),
    "npz of 4 TB": _zip_of({"a.npy": _npy_header(HUGE) + bytes(64)}),
    "npz of a pickle": _zip_of({"a.npy": _npy_header((1, 1, 1), "|O") + pickle.dumps(print)}),
    "matlab of 10^12": _matlab_header(HUGE, 2**32 - 1) + bytes(64),
    "matlab with fewer entries": _matlab_header((6, 4, 6), 120) + bytes(120),
    "matlab of negative sizes": _matlab_header((-6, -4, 5), 120) + bytes(120),
    "matlab deflated of 4 GiB": b"MATLAB 5.0 MAT-file".ljust(124)
    + b"\x00\x01IM"
    + struct.pack("<II", 15, len(zlib.compress(_matlab_header((2048, 2048, 1024), 2**32 - 8)[128:])))
    + zlib.compress(_matlab_header((2048, 2048, 1024), 2**32 - 8)[128:]),
    "nrrd of 4 TB": _nrrd_header("10000 10000 10000") + bytes(64),
    "nrrd gzip of 4 TB": _nrrd_header("10000 10000 10000", "gzip") + zlib.compress(bytes(64), wbits=31),
    "nrrd of negative sizes": _nrrd_header("-6 -4 5") + bytes(480),
    "nrrd of too few sizes": _nrrd_header("6 20") + bytes(480),
    "nrrd of another file": _nrrd_header("6 4 5", more="data file: ../../etc/passwd\n"),
    "nrrd of many files": _nrrd_header("6 4 5", more="datafile: LIST\n/etc/passwd\n"),
    "nrrd of an unknown encoding": _nrrd_header("6 4 5", "hex") + bytes(960),
    "nrrd that skips backwards": _nrrd_header("6 4 5", more="byte skip: -40\n") + bytes(480),
    "nrrd that skips far": _nrrd_header("6 4 5", more="byte skip: 4000000000\n") + bytes(480),
    "nrrd without an end": b"NRRD0004\ntype: float\n" + b"# words\n" * 200_000,
    "empty zip": b"PK\x05\x06" + bytes(18),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(40),
}


@pytest.mark.parametrize("name", LIES)
def test_headers_that_lie_are_refused_before_memory_is_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x y'\".npz"
    path.write_bytes(LIES[name])
    _warm_up(tmp_path)
    with little_memory(), pytest.raises(InputError, match="expected") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value).replace("\\'", "'") or repr(str(path)) in str(caught.value)


def _warm_up(folder: Path) -> None:
    """Import what readers import, so that it does not count."""
    FILES["nrrd"](folder / "warm", numbers())
    read_array(folder / "warm").close()


BOMBS: dict[str, Any] = {
    "npz": lambda n: _zip_of({"a.npy": _npy_header((64, 64, n // 16384)) + bytes(n)}),
    "zip of npy": lambda n: _zip_of({"f/a.npy": _npy_header((64, 64, n // 16384)) + bytes(n), "b": b""}),
    "nrrd gzip": lambda n: _nrrd_header(f"64 64 {n // 16384}", "gzip") + zlib.compress(bytes(n), wbits=31),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_at_the_limit_and_never_in_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[name](64 * MIB))
    _warm_up(tmp_path)
    assert path.stat().st_size < MIB
    with little_memory():
        with pytest.raises(InputError, match="max_bytes"):
            read_array(path, max_bytes=60 * MIB)
        with read_array(path) as array:  # within the limit it is an array of zeros, in a file of holes
            assert array.nbytes == 64 * MIB


def test_members_that_hold_more_or_less_than_they_say_are_refused(tmp_path: Path) -> None:
    whole = zlib.compress(numbers().tobytes("F"), wbits=31)
    for sizes in ("6 4 6", "6 4 4"):
        (tmp_path / "x").write_bytes(_nrrd_header(sizes, "gzip") + whole)
        with pytest.raises(InputError, match=r"promised when decompressed|are promised"):
            read(tmp_path / "x")


@pytest.mark.parametrize("name", ["../a.npy", "/a.npy", "b/../../a.npy", "..\\a.npy", "C:/a.npy"])
def test_archives_with_names_out_of_them_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.npz").write_bytes(_zip_of({name: _npy_header(SHAPE) + bytes(480)}))
    with pytest.raises(InputError, match="stay within it"):
        read_array(tmp_path / "x.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_archives_whose_names_lie_are_refused(tmp_path: Path) -> None:
    FILES["zarr zip"](tmp_path / "x", numbers())
    whole = (tmp_path / "x").read_bytes()
    central = whole.index(b"PK\x01\x02")
    for new, message in ((b"c/1/\0/0", "stay within it"), (b"c/1/00/", "a folder"), (b"d/1/0/0", "no chunk")):
        place = whole.index(b"c/1/0/0", central)
        (tmp_path / "x").write_bytes(whole[:place] + new[:7] + whole[place + 7 :])
        with pytest.raises(InputError, match=message):
            read_array(tmp_path / "x")
    count_of = whole.rindex(b"PK\x05\x06") + 10
    (tmp_path / "x").write_bytes(whole[:count_of] + b"\x05\0" + whole[count_of + 2 :])
    with pytest.raises(InputError, match="its end promises 5"):
        read_array(tmp_path / "x")


def test_archives_with_links_passwords_and_twins_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    link = zipfile.ZipInfo("a.npy")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match=r"the link or device 'a\.npy'"):
        read_array(path)
    data = bytearray(_zip_of({"a.npy": _npy_header(SHAPE) + bytes(480)}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="without a password"):
        read_array(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", _npy_header(SHAPE) + bytes(480))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", _npy_header(SHAPE) + bytes(480))
    with pytest.raises(InputError, match="of one name"):
        read_array(path)


def test_hdf5_links_and_entries_elsewhere_are_never_followed(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    files.hdf5(tmp_path / "other.h5", numbers())
    (tmp_path / "raw").write_bytes(bytes(480))
    path = tmp_path / "x.h5"
    for link in (h5py.ExternalLink("other.h5", "/folder/a"), h5py.SoftLink("/folder/b")):
        with h5py.File(path, "w") as file:
            file["a"] = link
        with pytest.raises(InputError, match="links are not followed"):
            read_array(path)
        with pytest.raises(InputError, match="links are not followed"):
            read_array(path, "a")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", SHAPE, "f4", external=[(str(tmp_path / "raw"), 0, 480)])
    with pytest.raises(InputError, match="refers to other files"):
        read_array(path)
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(SHAPE, "f4")
        layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "folder/a", SHAPE)
        file.create_virtual_dataset("a", layout)
    with pytest.raises(InputError, match="refers to other files"):
        read_array(path)


def test_hdf5_that_promises_terabytes_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", HUGE, "f4", chunks=(64, 64, 64))
    with pytest.raises(InputError, match="at most"):
        read_array(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (1024, 1024, 1024), "f4", chunks=(1024, 1024, 512))
    with pytest.raises(InputError, match="at most"):
        read_array(path)


def test_deflated_data_are_inflated_bit_by_bit_to_see_how_far_they_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h5py = pytest.importorskip("h5py")
    monkeypatch.setattr(chunks, "TRUSTED", 1)
    FILES["hdf5 chunked"](tmp_path / "a", numbers())
    np.testing.assert_array_equal(read(tmp_path / "a"), numbers())
    files.zarr(tmp_path / "g", numbers(), compressors=[pytest.importorskip("zarr").codecs.GzipCodec()])
    np.testing.assert_array_equal(read(tmp_path / "g", "folder/a"), numbers())
    chunk_files(tmp_path / "g")[0].write_bytes(zlib.compress(bytes(40 * MIB), wbits=31))
    with little_memory(), pytest.raises(InputError, match="grows beyond the 32 bytes"):
        read_array(tmp_path / "g", "folder/a")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("a", (4, 4, 4), "f4", chunks=(2, 2, 2), compression="gzip")
        data.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(40 * MIB)))
    with little_memory(), pytest.raises(InputError, match="grows beyond the 32 bytes"):
        read_array(tmp_path / "a.h5")


def test_a_folder_without_a_store_and_other_places_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "loop.npy").symlink_to(tmp_path / "loop.npy")
    for name in (tmp_path, tmp_path / "none.npy", tmp_path / "pipe.npy", tmp_path / "loop.npy", "", "a\0b"):
        with pytest.raises(InputError, match="expected a"):
            read_array(name)


def test_a_full_disk_is_the_disks_fault_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full")
    files.npz(tmp_path / "a.npz", numbers(shape=(64, 64, 64)))

    def on_full_disk() -> Any:
        return full.open("r+b", buffering=0)

    monkeypatch.setattr(unnamed.tempfile, "TemporaryFile", on_full_disk)
    with pytest.raises(RunError, match="free some space or set TMPDIR"):
        read_array(tmp_path / "a.npz", "a")

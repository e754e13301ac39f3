from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError
from fastsnf.signals.arrays import array as array_module
from fastsnf.signals.arrays import holds_occupancy, read_array, unnamed
from tests.signals.arrays import files
from tests.signals.arrays.files import FILES, FOLDERS, SHAPE, key_of, numbers

ALL = {**FILES, **FOLDERS}


@pytest.mark.parametrize("name", ALL)
def test_every_format_gives_back_what_was_written(tmp_path: Path, name: str) -> None:
    written, path = numbers(), tmp_path / "a file"
    ALL[name](path, written)
    with read_array(path) as array:
        assert (array.name, array.shape, array.dtype) == (key_of(name), SHAPE, np.float32)
        assert (array.ndim, array.nbytes) == (3, written.nbytes)
        np.testing.assert_array_equal(array.whole(), written)
        for first, last in ((0, 1), (1, 4), (0, 6), (5, 6)):
            slab = array.slab(first, last)
            assert slab.dtype == np.float32
            np.testing.assert_array_equal(slab, written[first:last])
        for first, last in ((-1, 2), (2, 2), (4, 7)):
            with pytest.raises(InputError, match="a range within 0 to 6"):
                array.slab(first, last)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float64", ">f4", ">i2", "<u8", "float16"])
@pytest.mark.parametrize("name", ["npy", "npz", "matlab", "hdf5", "nrrd", "zarr", "zarr 2"])
def test_types_and_byte_orders(tmp_path: Path, name: str, dtype: str) -> None:
    if name == "matlab" and dtype == "float16":
        pytest.skip("MATLAB has no numbers of 16 bits")
    if name == "nrrd" and dtype in ("bool", "float16"):
        pytest.skip("NRRD has no such numbers")
    written = numbers(dtype)
    ALL[name](tmp_path / "a", written)
    with read_array(tmp_path / "a") as array:
        assert array.dtype.isnative
        assert array.slab(1, 3).dtype.isnative
        np.testing.assert_array_equal(array.whole(), written)
        np.testing.assert_array_equal(array.slab(1, 3), written[1:3])


@pytest.mark.parametrize("name", ["npy", "npz", "hdf5", "zarr"])
def test_fortran_order_is_that_of_the_file_not_of_the_axes(tmp_path: Path, name: str) -> None:
    written = np.asfortranarray(numbers())
    ALL[name](tmp_path / "a", written)
    with read_array(tmp_path / "a") as array:
        np.testing.assert_array_equal(array.whole(), written)
        np.testing.assert_array_equal(array.slab(2, 5), written[2:5])


def test_big_endian_matlab_files(tmp_path: Path) -> None:
    written = numbers("uint8")
    flags = np.array([9, 0], ">u4").tobytes()  # the class of uint8
    sizes = np.array(SHAPE, ">i4").tobytes()
    parts = [(6, flags), (5, sizes), (1, b"a"), (2, written.tobytes("F"))]
    body = b"".join(
        np.array([kind, len(data)], ">u4").tobytes() + data + bytes(-len(data) % 8) for kind, data in parts
    )
    head = b"MATLAB 5.0 MAT-file, by hand".ljust(124) + b"\x01\x00MI"
    (tmp_path / "a.mat").write_bytes(head + np.array([14, len(body)], ">u4").tobytes() + body)
    with read_array(tmp_path / "a.mat") as array:
        np.testing.assert_array_equal(array.whole(), written)


@pytest.mark.parametrize("name", ["matlab", "matlab deflated"])
def test_matlab_arrays_agree_with_scipy(tmp_path: Path, name: str) -> None:
    io = pytest.importorskip("scipy.io")
    path, rng = tmp_path / "a.mat", np.random.default_rng(0)
    arrays = {
        f"array_{dtype}_{len(shape)}": numbers(dtype, shape, int(rng.integers(100)))
        for dtype in ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64")
        for shape in ((1, 1), (1, 3), (4, 3), (3, 1, 2), (2, 3, 4, 2))
    }
    io.savemat(path, arrays, do_compression=name != "matlab")
    found = io.loadmat(path)
    for key in arrays:
        with read_array(path, key) as array:
            assert array.shape == found[key].shape
            np.testing.assert_array_equal(array.whole(), found[key])


def test_numbers_that_matlab_stores_narrower_than_their_class(tmp_path: Path) -> None:
    written = numbers("uint8")
    files.matlab(tmp_path / "a.mat", written)
    whole = (tmp_path / "a.mat").read_bytes()
    flags = np.array([6, 8, 9, 0], "<u4").tobytes()
    assert whole.count(flags) == 1
    (tmp_path / "a.mat").write_bytes(whole.replace(flags, np.array([6, 8, 6, 0], "<u4").tobytes()))  # double
    with read_array(tmp_path / "a.mat") as array:
        np.testing.assert_array_equal(array.whole(), written)


def test_the_key_chooses_and_errors_list_the_names(tmp_path: Path) -> None:
    path, first, second = tmp_path / "a.npz", numbers(seed=1), numbers("uint8", seed=2)
    np.savez(path, first=first, second=second, few=np.arange(3), text=np.array(["x"]))
    with pytest.raises(InputError, match=r"first \[6, 4, 5\] float32, second \[6, 4, 5\] uint8.*give key="):
        read_array(path)
    with pytest.raises(InputError, match=r"few \[3\] int64.*did you mean 'second'"):
        read_array(path, "secnd")
    with read_array(path, "second") as array:
        np.testing.assert_array_equal(array.whole(), second)
    with read_array(path, "few") as array:
        np.testing.assert_array_equal(array.whole(), [0, 1, 2])
    np.savez(path, lat=np.arange(3), lon=np.arange(4), t2m=np.zeros((3, 4)))
    with pytest.raises(InputError, match="--kind sphere"):
        read_array(path)
    np.savez(path, points=np.zeros((5, 2)), values=np.zeros(5))
    with pytest.raises(InputError, match="--kind points"):
        read_array(path)
    np.savez(path, text=np.array(["x"]))
    with pytest.raises(InputError, match="got none in"):
        read_array(path)


def test_groups_are_named_with_slashes(tmp_path: Path) -> None:
    for name in ("hdf5", "zarr", "zarr 2"):
        ALL[name](tmp_path / name, numbers())
        for key in ("folder/a", "/folder/a"):
            with read_array(tmp_path / name, key) as array:
                np.testing.assert_array_equal(array.whole(), numbers())


def test_nrrd_axes_of_components_come_last_and_spacings_with_the_others(tmp_path: Path) -> None:
    library = pytest.importorskip("nrrd")
    written, path = numbers(shape=(3, 6, 4, 5)), str(tmp_path / "a.nrrd")
    header = {"kinds": ["vector", "domain", "domain", "domain"], "spacings": [np.nan, 1.0, 2.0, 3.0]}
    library.write(path, written, header)
    with read_array(path) as array:
        assert array.spacing == (1, 2, 3)
        np.testing.assert_array_equal(array.whole(), np.moveaxis(written, 0, -1))
    directions = np.array([[0, 2.0, 0], [3.0, 4.0, 0], [0, 0, 0.5]])
    library.write(path, written[0], {"space": "left-posterior-superior", "space directions": directions})
    with read_array(path) as array:
        assert array.spacing == (2, 5, 0.5)
    library.write(path, written[0])
    with read_array(path) as array:
        assert array.spacing is None


def test_nrrd_bytes_are_skipped(tmp_path: Path) -> None:
    path, written = tmp_path / "a.nrrd", numbers("uint8")
    head = b"NRRD0004\n# words\ntype: uint8\ndimension: 3\nsizes: 6 4 5\nencoding: raw\nbyte skip: %d\n\n"
    for skip in (4, -1):
        path.write_bytes(head % skip + b"skip" + written.tobytes("F"))
        with read_array(path) as array:
            np.testing.assert_array_equal(array.whole(), written)
    path.write_bytes(head % 3 + b"skip" + written.tobytes("F"))
    with pytest.raises(InputError, match="are promised"):
        read_array(path)


def test_packed_occupancy_grids_are_bools(tmp_path: Path) -> None:
    written = numbers("bool", (5, 3, 7))
    bits = np.packbits(written.reshape(-1), bitorder="little")
    np.savez(tmp_path / "a.npz", bits=bits, shape=np.array(written.shape), bounds=np.zeros((3, 2)))
    with read_array(tmp_path / "a.npz") as array:
        assert (array.shape, array.dtype) == ((5, 3, 7), bool)
        for first in range(5):
            np.testing.assert_array_equal(array.slab(first, first + 1)[0], written[first])
    assert holds_occupancy(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", bits=bits[:-1], shape=np.array(written.shape), bounds=np.zeros((3, 2)))
    with pytest.raises(InputError, match="are promised"):
        read_array(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ALL)
def test_large_arrays_are_never_in_memory_as_a_whole(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_module, "IN_MEMORY", 1)
    written = numbers()
    ALL[name](tmp_path / "a", written)
    with read_array(tmp_path / "a") as array:
        whole = array.whole()
        assert isinstance(whole, np.memmap)
    np.testing.assert_array_equal(whole, written)  # after the file was closed
    assert not whole.flags.writeable


def test_slabs_follow_the_chunks_of_the_file(tmp_path: Path) -> None:
    written = numbers(shape=(7, 4, 5))
    files.hdf5_chunked(tmp_path / "a", written)
    with read_array(tmp_path / "a") as array:
        parts = list(array.slabs(5 * written[0].nbytes))
    assert [first for first, _ in parts] == [0, 4]  # chunks of 2
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), written)
    with read_array(tmp_path / "a") as array:
        assert [len(part) for _, part in array.slabs(1)] == [1] * 7


def test_the_limit_can_be_lowered(tmp_path: Path) -> None:
    for name in ALL:
        path = tmp_path / name.replace(" ", "")
        ALL[name](path, numbers())
        with pytest.raises(InputError, match="max_bytes"):
            read_array(path, max_bytes=4 * 120 - 1)
        if name != "zip":  # the whole file in the archive counts
            read_array(path, max_bytes=4 * 120 + 256).close()
    for limit in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="max_bytes"):
            read_array(tmp_path / "npy", max_bytes=limit)  # type: ignore[arg-type]


def test_the_content_decides_the_format(tmp_path: Path) -> None:
    files.hdf5(tmp_path / "a.npy", numbers())
    with read_array(str(tmp_path / "a.npy")) as array:
        assert array.source == "HDF5"
    (tmp_path / "a.npy").write_bytes(b"GIF89a" + bytes(50))
    with pytest.raises(InputError, match="whose content is none of these"):
        read_array(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (numbers("bool"), True),
        (np.zeros(SHAPE, bool), True),
        (numbers("bool").astype("u1"), True),
        (numbers("bool") * np.uint8(255), True),
        (numbers("bool") * 3.5, True),
        (numbers("bool").astype("f4") - 1, False),
        (numbers("bool") + np.uint8(1), False),
        (np.zeros(SHAPE, "u1"), False),
        (np.ones(SHAPE), False),
        (numbers("uint8"), False),
        (np.where(numbers("bool"), np.nan, 0.0), False),
        (np.where(numbers("bool"), np.inf, 0.0), False),
        (numbers("bool", (6, 4)), False),
        (numbers("bool", (6, 4, 5, 2)), False),
        (np.where(np.arange(120).reshape(SHAPE) < 119, numbers("bool"), 0.5), False),
    ],
)
@pytest.mark.parametrize("slab", [1, 1 << 26])
def test_what_is_an_occupancy_grid(
    tmp_path: Path, values: np.ndarray, expected: bool, slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_module.Array.slabs, "__defaults__", (slab,))
    np.save(tmp_path / "a.npy", values)
    assert holds_occupancy(tmp_path / "a.npy") is expected


def test_a_zip_with_several_arrays_or_none_is_refused(tmp_path: Path) -> None:
    files.matlab(tmp_path / "a.mat", numbers())
    for members in (["a.mat", "b.mat"], ["words.txt"], []):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for member in members:
                archive.write(tmp_path / "a.mat", member)
        with pytest.raises(InputError, match=f"{len(members)} files in"):
            read_array(tmp_path / "a.zip")


def test_libraries_are_imported_when_a_file_needs_them() -> None:
    code = (
        "import sys, fastsnf.signals.arrays\n"
        "sys.exit(any(name in sys.modules for name in ('h5py', 'zarr', 'nrrd', 'scipy', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("library", ["h5py", "zarr", "nrrd"])
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ALL[{"h5py": "hdf5"}.get(library, library)](tmp_path / "a", numbers())
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=r"pip install 'fastsnf\[arrays\]'"):
        read_array(tmp_path / "a")


def test_what_is_copied_has_holes_where_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    make = tempfile.TemporaryFile

    def kept() -> object:
        file = make()
        files.append(os.dup(file.fileno()))
        return file

    monkeypatch.setattr(unnamed.tempfile, "TemporaryFile", kept)
    array = np.zeros((8, 256, 256), np.float32)
    array[3] = np.random.default_rng(0).random((256, 256))
    found = unnamed.copied("x", array.shape, array.dtype, (array[i : i + 1] for i in range(8)))
    np.testing.assert_array_equal(found, array)
    status = os.fstat(files[0])
    os.close(files[0])
    assert status.st_size == array.nbytes
    assert 512 * status.st_blocks < array.nbytes / 2


@pytest.mark.parametrize("chunks", [None, (2, 2, 2)])
def test_hdf5_of_which_nothing_was_written_is_refused(tmp_path: Path, chunks: tuple[int, ...] | None) -> None:
    library, path = pytest.importorskip("h5py"), tmp_path / "a.h5"
    with library.File(path, "w") as file:
        file.create_dataset("a", (4, 4, 4), "f4", chunks=chunks)
    with pytest.raises(InputError, match="nothing was ever written"):
        read_array(path)
    with library.File(path, "a") as file:
        file["a"][0, 0, 0] = 1
    with read_array(path) as array:
        assert array.whole().sum() == 1


def test_a_zarr_store_that_lost_every_chunk_is_refused(tmp_path: Path) -> None:
    library, path = pytest.importorskip("zarr"), tmp_path / "a.zarr"
    array = library.create_array(str(path), shape=(4, 4, 4), chunks=(2, 2, 2), dtype="f4")
    with pytest.raises(InputError, match="nothing was ever written"):
        read_array(path)
    array[0, 0, 0] = 1
    with read_array(path) as found:
        assert found.whole().sum() == 1

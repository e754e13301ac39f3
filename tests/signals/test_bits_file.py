"""Bit files are complete, checked, built once, and again when damaged; a full disk leaves nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsnf.errors import InputError, RunError
from fastsnf.signals import bit_file
from fastsnf.signals.bit_sidecar import sidecar_of
from fastsnf.signals.cache import key_of
from tests.cases import count
from tests.signals.building import FACTS, SHAPE, build_process, slabs, voxels
from tests.train.processes import join, start, wait_for


def names(folder: Path) -> list[str]:
    """What lies in a folder beside the lock, which says nothing and is left."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def built(path: Path) -> Any:
    return bit_file.build(path, SHAPE, slabs, FACTS)


def never() -> Iterator[np.ndarray]:
    raise AssertionError("built again")
    yield


def test_a_file_is_built_once_and_mapped(tmp_path: Path) -> None:
    path = tmp_path / "x.bits"
    done: list[tuple[int, int]] = []
    grid = bit_file.build(path, SHAPE, slabs, FACTS, lambda *at: done.append(at), notes=lambda: {"a": (1, 2)})
    np.testing.assert_array_equal(grid.slab(0, SHAPE[0]), voxels())
    assert grid.mapped
    assert grid.path == path
    assert names(tmp_path) == ["x.bits", "x.bits.json"]
    assert done[-1] == (voxels().size, voxels().size)
    assert done == sorted(done)
    assert bit_file.notes_of(path) == {"a": [1, 2]}
    sidecar = json.loads(sidecar_of(path).read_text())
    assert sidecar["sha256"] == grid.sha256()
    assert sidecar["shape"] == list(SHAPE)
    again = bit_file.build(path, SHAPE, never, FACTS)
    np.testing.assert_array_equal(again.octets, grid.octets)
    assert bit_file.packed(path).sha256() == grid.sha256()
    assert path.stat().st_size == voxels().size // 8


def test_octets_may_be_given_ready_packed(tmp_path: Path) -> None:
    packed = np.packbits(voxels().reshape(-1), bitorder="little")
    grid = bit_file.build(tmp_path / "x.bits", SHAPE, lambda: np.array_split(packed, 7), FACTS)
    np.testing.assert_array_equal(grid.octets, packed)


def test_writing_to_the_map_does_not_reach_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.bits"
    before = built(path).sha256()
    bit_file.packed(path).octets[:] = 0
    assert bit_file.packed(path).sha256() == before
    assert built(path).sha256() == before


def test_a_file_of_other_facts_is_built_again(tmp_path: Path) -> None:
    path = tmp_path / "x.bits"
    built(path)
    other = bit_file.build(path, (3, 3), lambda: [np.ones((3, 3), bool)], {"source": "another"})
    assert other.count() == 9
    assert bit_file.packed(path, {"source": "another"}).shape == (3, 3)
    with pytest.raises(InputError, match="something else"):
        bit_file.packed(path, FACTS)


def damage(path: Path, how: str, rng: random.Random) -> None:
    sidecar = sidecar_of(path)
    victim = sidecar if "sidecar" in how else path
    data = bytearray(victim.read_bytes())
    if "flipped" in how:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif "cut" in how:
        del data[rng.randrange(len(data)) :]
    elif "longer" in how:
        data += b"\0"
    elif "empty" in how:
        data.clear()
    victim.write_bytes(bytes(data))
    if "missing" in how:
        victim.unlink()


DAMAGE = [
    "flipped",
    "flipped sidecar",
    "cut",
    "cut sidecar",
    "longer",
    "missing",
    "missing sidecar",
    "empty sidecar",
]


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_files_are_refused_and_built_again(tmp_path: Path, how: str) -> None:
    path, rng = tmp_path / "x.bits", random.Random(how)
    whole = built(path).sha256()
    for _ in range(count(200 // len(DAMAGE)) if how.startswith(("flipped", "cut")) else 1):
        damage(path, how, rng)
        with pytest.raises(InputError, match="expected a bit file"):
            bit_file.packed(path)
        assert built(path).sha256() == whole
        bit_file.build(path, SHAPE, never, FACTS)
    assert names(tmp_path) == ["x.bits", "x.bits.json"]


SIDECARS: list[object] = [
    [],
    None,
    {},
    {"version": 1},
    {"version": 1, "shape": [10**9] * 3, "sha256": "", "facts": {}, "notes": {}},
    {"version": 1, "shape": [-1, 2], "sha256": "", "facts": {}, "notes": {}},
    {"version": 1, "shape": "64", "sha256": "", "facts": {}, "notes": {}},
    {"version": 2, "shape": [8], "sha256": "", "facts": {}, "notes": {}},
]


@pytest.mark.parametrize("content", SIDECARS)
def test_sidecars_that_lie_are_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "x.bits"
    built(path)
    if isinstance(content, dict):
        content = {**content, "checksum": key_of(content)}
    sidecar_of(path).write_text(json.dumps(content))
    with pytest.raises(InputError, match="sidecar is damaged"):
        bit_file.packed(path)


@pytest.mark.parametrize("trial", range(count(30)))
def test_kill_while_building_then_build(trial: int, tmp_path: Path) -> None:
    path, marker, log = tmp_path / "x.bits", tmp_path / "marker", tmp_path / "log"
    process = start(build_process, path, marker, 0.005, log)
    wait_for(marker, process)
    time.sleep(random.Random(trial).uniform(0.0, 0.15))
    process.kill()
    join(process)
    with contextlib.suppress(InputError):  # or it was faster, and then the bits are whole
        np.testing.assert_array_equal(bit_file.packed(path).slab(0, SHAPE[0]), voxels())
    grid = built(path)
    np.testing.assert_array_equal(grid.slab(0, SHAPE[0]), voxels())
    assert names(tmp_path) == [*(["log"] if log.exists() else []), "marker", "x.bits", "x.bits.json"]


def test_kill_at_every_step_of_the_end_leaves_old_bits_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process leaves that dies just before or after each call that changes the folder."""
    path = tmp_path / "x.bits"
    for call in ("replace", "unlink", "fsync"):
        for nth in range(4):
            _die_at(monkeypatch, call, nth, path)
            np.testing.assert_array_equal(built(path).slab(0, SHAPE[0]), voxels())
            assert names(tmp_path) == ["x.bits", "x.bits.json"]
            path.unlink()


def _die_at(monkeypatch: pytest.MonkeyPatch, call: str, nth: int, path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        owner: Any = os if call == "fsync" else Path
        original, calls = getattr(owner, call), 0

        def deadly(*args: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > nth:
                os._exit(9)
            return original(*args, **options)

        setattr(owner, call, deadly)
        built(path)
        os._exit(0)
    os.waitpid(pid, 0)


def test_two_builders_build_once(tmp_path: Path) -> None:
    path, log = tmp_path / "x.bits", tmp_path / "log"
    processes = []
    for number in range(2):
        marker = tmp_path / f"marker{number}"
        processes.append(start(build_process, path, marker, 0.002, log))
        wait_for(marker, processes[-1])
    assert [join(process) for process in processes] == [0, 0]
    assert log.read_text() == "begun\n"
    np.testing.assert_array_equal(bit_file.packed(path, FACTS).slab(0, SHAPE[0]), voxels())


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    for name in (".x.bits.123.tmp", ".x.bits.json.123.tmp", ".y.bits.7.tmp"):
        (tmp_path / name).write_bytes(b"rest")
    built(tmp_path / "x.bits")
    assert names(tmp_path) == [".y.bits.7.tmp", "x.bits", "x.bits.json"]


def failing(number: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_full_disk_is_known_before_the_work_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
    with pytest.raises(RunError, match="No space left on device; free some space"):
        bit_file.build(tmp_path / "x.bits", SHAPE, never, FACTS)
    with pytest.raises(RunError, match="No space left"):
        bit_file.build_unnamed(tmp_path, SHAPE, never)
    assert names(tmp_path) == []


def test_a_limit_of_file_size_is_met_like_a_full_disk(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(RunError, match="File too large"):
            built(tmp_path / "x.bits")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


@pytest.mark.parametrize("reserved", [True, False])
def test_a_disk_that_fills_up_midway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserved: bool
) -> None:
    if not reserved:  # a file system that cannot reserve
        monkeypatch.setattr(os, "posix_fallocate", failing(errno.EOPNOTSUPP))
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(RunError, match="No space left"):
        built(tmp_path / "x.bits")
    assert names(tmp_path) == []


def test_a_disk_that_is_full_for_the_sidecar_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastsnf.signals.bit_file.write_sidecar", failing(errno.EDQUOT))
    with pytest.raises(RunError, match="quota"):
        built(tmp_path / "x.bits")
    assert names(tmp_path) == []


def test_file_systems_without_locks_and_reserves_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(os, "posix_fallocate", failing(errno.EOPNOTSUPP))
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    other = tmp_path / ".x.bits.123.tmp"  # perhaps of a process that builds at this moment
    other.touch()
    np.testing.assert_array_equal(built(tmp_path / "x.bits").slab(0, SHAPE[0]), voxels())
    assert other.exists()


def test_a_file_that_may_not_be_mapped_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.bits"
    built(path)
    monkeypatch.setattr(np, "memmap", failing(errno.ENOMEM))
    with pytest.raises(RunError, match="address space"):
        bit_file.build(path, SHAPE, never, FACTS)
    assert names(tmp_path) == ["x.bits", "x.bits.json"]


def test_slabs_of_the_wrong_number_of_voxels_leave_nothing(tmp_path: Path) -> None:
    for wrong in (voxels()[1:], np.concatenate([voxels(), voxels()]), voxels()[:0]):
        with pytest.raises(InputError, match="slabs of 122880 voxels"):
            bit_file.build(tmp_path / "x.bits", SHAPE, lambda wrong=wrong: [wrong], FACTS)
        with pytest.raises(InputError, match="slabs of 122880 voxels"):
            bit_file.filled(SHAPE, lambda wrong=wrong: [wrong])
    assert names(tmp_path) == []


def test_what_the_slabs_raise_passes_and_leaves_nothing(tmp_path: Path) -> None:
    for raised in (RunError("the source failed"), KeyboardInterrupt()):

        def broken(raised: BaseException = raised) -> Iterator[np.ndarray]:
            yield voxels()[:9]
            raise raised

        with pytest.raises(type(raised)):
            bit_file.build(tmp_path / "x.bits", SHAPE, broken, FACTS)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="FASTSNF_CACHE"):
        built(tmp_path / "missing" / "x.bits")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="FASTSNF_CACHE"):
        built(tmp_path / "file" / "x.bits")


def test_unnamed_files_leave_no_name(tmp_path: Path) -> None:
    grid = bit_file.build_unnamed(tmp_path, SHAPE, slabs)
    np.testing.assert_array_equal(grid.slab(0, SHAPE[0]), voxels())
    assert grid.mapped
    assert grid.path is None
    assert names(tmp_path) == []


def test_grids_in_memory_are_filled_alike() -> None:
    done: list[int] = []
    grid = bit_file.filled(SHAPE, slabs, lambda at, _: done.append(at))
    np.testing.assert_array_equal(grid.slab(0, SHAPE[0]), voxels())
    assert not grid.mapped
    assert done[-1] == voxels().size

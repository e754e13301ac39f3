"""Mesh files that lie, break off or try to harm: an `InputError` or a sane mesh, nothing else."""

from __future__ import annotations

import json
import os
import resource
import struct
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError
from fastsnf.signals.mesh.read import read_mesh
from tests.cases import count
from tests.signals.damage import lengths
from tests.signals.mesh.files import WRITERS, glb, obj, off, ply, sphere, stl

MESH = sphere(1)
FILES = {name: write(MESH) for name, (write, _) in WRITERS.items()}


@pytest.mark.parametrize("name", WRITERS)
def test_truncated_files_are_refused_or_seen_to_be_open(tmp_path: Path, name: str) -> None:
    whole, path = FILES[name], tmp_path / f"x{WRITERS[name][1]}"
    corners = MESH[0][MESH[1]]
    cuts = lengths(len(whole), count(200), 84)
    refused = 0
    for length in cuts:
        path.write_bytes(whole[:length])
        try:
            mesh = read_mesh(path)
        except InputError:
            refused += 1
            continue
        if name == "obj" and length < len(whole) - 1:
            # cut at the end of a line: the format has no counts, but the hole is seen
            assert whole[length - 1 : length] == b"\n" or whole[length : length + 1] == b"\n"
            assert mesh.findings.open_edges > 0
        else:  # nothing but the last end of a line, or characters that mean nothing, is gone
            np.testing.assert_allclose(mesh.vertices[mesh.faces], corners, atol=1e-6)
            assert len(whole) - length <= 6
    assert refused > 0.8 * len(cuts)
    path.write_bytes(whole)
    assert read_mesh(path).findings.closed


@pytest.mark.parametrize("name", WRITERS)
def test_files_with_flipped_bits_never_crash(tmp_path: Path, name: str) -> None:
    whole, path = FILES[name], tmp_path / f"x{WRITERS[name][1]}"
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(count(200)):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            # Half of the damage in the first bytes, where counts and types are.
            place = rng.integers(0, len(whole) if rng.random() < 0.5 else min(600, len(whole)))
            data[place] ^= 1 << rng.integers(0, 8)
        path.write_bytes(data)
        try:
            mesh = read_mesh(path)
        except InputError:
            refused += 1
            continue
        assert np.isfinite(mesh.vertices).all()
        assert np.abs(mesh.vertices).max() <= 1e12
        assert 0 < len(mesh.faces) <= 4 * len(MESH[1])
        assert 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices)
    # a binary STL is coordinates and nothing else
    assert refused > 0 if name == "stl" else refused > 0.2 * count(200)


def _many(count_: int) -> bytes:
    return struct.pack("<I", count_)


def _glb_of(**header: object) -> bytes:
    return glb(MESH, None, **header)


_ACCESSORS = json.loads(FILES["glb"][20 : 20 + struct.unpack_from("<I", FILES["glb"], 12)[0]])["accessors"]
_VIEWS = json.loads(FILES["glb"][20 : 20 + struct.unpack_from("<I", FILES["glb"], 12)[0]])["bufferViews"]

LIES: dict[str, tuple[bytes, str]] = {
    "stl of 2^32 triangles": (stl(MESH)[:80] + _many(2**32 - 1) + stl(MESH)[84:], ".stl"),
    "stl of no triangles": (stl(MESH)[:80] + _many(0), ".stl"),
    "off of a trillion vertices": (off(MESH).replace(b"42 80 0", b"1000000000000 80 0"), ".off"),
    "off of a trillion faces": (off(MESH).replace(b"42 80 0", b"42 1000000000000 0"), ".off"),
    "off of negative counts": (off(MESH).replace(b"42 80 0", b"-42 80 0"), ".off"),
    "off of a face that says a billion": (off(MESH).replace(b"\n3 ", b"\n1000000000 ", 1), ".off"),
    "ply of a trillion vertices": (ply(MESH).replace(b"vertex 42", b"vertex 1000000000000"), ".ply"),
    "ply of a trillion faces": (ply(MESH).replace(b"face 80", b"face 1000000000000"), ".ply"),
    "text ply of a trillion": (ply(MESH, "").replace(b"vertex 42", b"vertex 1000000000000"), ".ply"),
    "ply of a list of 2^32": (
        ply(MESH).replace(b"list uchar int", b"list uint int "),
        ".ply",
    ),
    "ply without properties": (
        b"ply\nformat ascii 1.0\nelement vertex 9\nelement face 9\nend_header\n",
        ".ply",
    ),
    "ply with an endless header": (b"ply\nformat ascii 1.0\n" + b"comment x\n" * 100_000, ".ply"),
    "glb of a longer file": (FILES["glb"][:8] + _many(2**31) + FILES["glb"][12:], ".glb"),
    "glb of a longer json": (FILES["glb"][:12] + _many(2**31) + FILES["glb"][16:], ".glb"),
    "glb of a billion vertices": (
        _glb_of(accessors=[{**_ACCESSORS[0], "count": 10**9}, _ACCESSORS[1]]),
        ".glb",
    ),
    "glb of a billion vertices from nothing": (
        _glb_of(accessors=[{"componentType": 5126, "count": 10**9, "type": "VEC3"}, _ACCESSORS[1]]),
        ".glb",
    ),
    "glb with overlapping rows": (
        _glb_of(
            accessors=[{**_ACCESSORS[0], "count": 400}, _ACCESSORS[1]],
            bufferViews=[{**_VIEWS[0], "byteStride": 1}, _VIEWS[1]],
        ),
        ".glb",
    ),
    "glb of many copies of its buffer": (_glb_of(bufferViews=_VIEWS * 5_000), ".glb"),
    "glb with a buffer elsewhere": (_glb_of(buffers=[{"byteLength": 99, "uri": "../../etc/passwd"}]), ".glb"),
    "glb with a buffer on the net": (_glb_of(buffers=[{"byteLength": 9, "uri": "http://x.y/z"}]), ".glb"),
    "glb of a billion triangles by copies": (
        glb(
            MESH,
            [{"mesh": 0}] * 99_999,
            meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}] * 9}],
        ),
        ".glb",
    ),
    "glb of nodes in a ring": (glb(MESH, [{"children": [1]}, {"mesh": 0, "children": [0]}]), ".glb"),
    "glb of nodes in a long chain": (
        glb(
            MESH,
            [{"mesh": 0, "children": [i + 1]} for i in range(5_000)] + [{"mesh": 0}],
            scenes=[{"nodes": [0]}],
        ),
        ".glb",
    ),
    "glb without a scene": (_glb_of(scenes=[]), ".glb"),
    "glb of lines": (_glb_of(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 1}]}]), ".glb"),
    "glb of fans": (_glb_of(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 6}]}]), ".glb"),
    "glb of indices beyond": (_glb_of(accessors=[{**_ACCESSORS[0], "count": 3}, _ACCESSORS[1]]), ".glb"),
    "obj of one vertex a thousand digits long": (b"v " + b"9" * 1000 + b" 0 0\nf 1 1 1\n", ".obj"),
    "obj of a face beyond 64 bits": (obj(MESH).replace(b"\nf ", b"\nf 99999999999999999999 ", 1), ".obj"),
    "zeros": (bytes(5000), ".stl"),
    "text": (b"solid of nothing\nendsolid\n", ".stl"),
    "pickle": (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.", ".ply"),
    "zip": (b"PK\x03\x04" + bytes(30), ".glb"),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_refused_in_one_line_and_without_memory(tmp_path: Path, name: str) -> None:
    read_mesh(_written(tmp_path / "warm.obj", FILES["obj"]))
    content, suffix = LIES[name]
    path = _written(tmp_path / f"it's a mesh é{suffix}", content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="expected") as caught:
        read_mesh(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_json_too_deep_to_parse_is_refused(tmp_path: Path) -> None:
    text = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    head = struct.pack("<5I", 0x46546C67, 2, 20 + len(text), len(text), 0x4E4F534A)
    with pytest.raises(InputError, match="expected"):
        read_mesh(_written(tmp_path / "x.glb", head + text))


def test_missing_folders_pipes_and_odd_names_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.obj"
    os.mkfifo(pipe)
    (tmp_path / "folder.obj").mkdir()
    (tmp_path / "loop.obj").symlink_to(tmp_path / "loop.obj")
    (tmp_path / "empty.obj").touch()
    names = ["missing.obj", "pipe.obj", "folder.obj", "loop.obj", "empty.obj", "x" * 300 + ".obj", "a\0b.obj"]
    for name in names:
        with pytest.raises(InputError, match="expected a"):
            read_mesh(tmp_path / name)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.stl"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no space
    with pytest.raises(InputError, match="at most 2147483648 bytes"):
        read_mesh(path)

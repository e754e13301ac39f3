"""Meshes come out of their files as they are, whatever else the files hold."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsnf.errors import InputError
from fastsnf.signals.mesh import read
from fastsnf.signals.mesh.read import Mesh, read_mesh
from tests.signals.mesh.files import WRITERS, box, glb, joined, obj, ply, sphere


def parsed(folder: Path, content: bytes, suffix: str) -> Mesh:
    path = folder / f"mesh{suffix}"
    path.write_bytes(content)
    return read_mesh(path)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_triangles_in_order(tmp_path: Path, name: str) -> None:
    vertices, faces = sphere(1)
    write, suffix = WRITERS[name]
    mesh = parsed(tmp_path, write((vertices, faces)), suffix)
    single = name in ("stl", "glb")
    expected = vertices.astype(np.float32).astype(np.float64) if single else vertices
    np.testing.assert_array_equal(mesh.vertices[mesh.faces], expected[faces])
    assert mesh.format == suffix[1:].upper()
    assert mesh.findings.closed
    assert mesh.findings.vertices == len(vertices)


def square(lines: str) -> bytes:
    """A pyramid over a square whose faces are `lines`."""
    return ("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0.5 0.5 1\n" + lines).encode()


SIDES = "f 1 2 5\nf 2 3 5\nf 3 4 5\nf 4 1 5\n"


@pytest.mark.parametrize(
    "content",
    [
        square(SIDES + "f 4 3 2 1\n"),
        square(SIDES + "f 4 3 2\nf 4 2 1\n"),
        square(SIDES.replace("f 1 2 5", "f -5 -4 -1") + "f 4 3 2 1"),
        square(SIDES + "f 4 3 \\\n 2 1\n"),
        square(
            "vt 0 0\nvn 0 0 1\n" + SIDES.replace(" 5", " 5/1/1").replace("f 1", "f 1/1/1") + "f 4 3 2 1\n"
        ),
        square(
            "mtllib ../../../etc/passwd\nusemtl x\no one\ng a b\ns 1\n"
            + SIDES
            + "usemtl y\no two\nf 4 3 2 1\n"
        ),
        square(SIDES + "f 4 3 2 1\n").replace(b"\n", b"\r\n"),
    ],
)
def test_obj_files_of_every_dialect(tmp_path: Path, content: bytes) -> None:
    mesh = parsed(tmp_path, content, ".obj")
    assert len(mesh.faces) == 6
    assert mesh.findings.closed
    assert mesh.findings.volume == pytest.approx(1 / 3)


def test_polygons_are_cut_into_fans(tmp_path: Path) -> None:
    angle = np.arange(5) * 2 * np.pi / 5
    lines = [f"v {np.cos(a):.17g} {np.sin(a):.17g} {z}" for z in (0, 1) for a in angle]
    lines += ["f 5//1 4//1 3//1 2//1 1//1", "f 6 7 8 9 10"]
    lines += [f"f {i + 1} {(i + 1) % 5 + 1} {(i + 1) % 5 + 6} {i + 6}" for i in range(5)]
    mesh = parsed(tmp_path, ("\n".join(lines) + "\n").encode(), ".obj")
    assert len(mesh.faces) == 16
    assert mesh.findings.closed
    assert mesh.findings.volume == pytest.approx(5 / 2 * np.sin(2 * np.pi / 5))


def test_strips_of_triangles(tmp_path: Path) -> None:
    vertices, _ = box((1, 1, 1))
    strip = np.array([[3, 1, 7, 5, 4, 1, 0, 3, 2, 7, 6, 4, 2, 0]])
    primitive = {"attributes": {"POSITION": 0}, "indices": 1, "mode": 5}
    mesh = parsed(tmp_path, glb((vertices, strip), meshes=[{"primitives": [primitive]}]), ".glb")
    assert mesh.findings.closed
    assert mesh.findings.volume == pytest.approx(1)


@pytest.mark.parametrize(
    "content",
    [
        square(SIDES + "f 4 3 2 9\n"),
        square(SIDES + "f 4 3 2 0\n"),
        square(SIDES + "f 4 3 2 -9\n"),
        square(SIDES + "f 4 3\n"),
        square(SIDES + "f 4 3 2.5\n"),
        square(SIDES.replace("f 1 2 5", "f -5 -4 -1") + "v 7 7 7\nf 4 3 2 1\n"),
        square(SIDES).replace(b"v 1 1 0", b"v 1 1"),
        square(SIDES).replace(b"v 1 1 0", b"v 1 1 a"),
        square(""),
        b"v 0 0 0\n",
        b"f 1 2 3\n",
        b"# nothing\n",
    ],
)
def test_obj_files_that_would_be_read_wrongly_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="expected"):
        parsed(tmp_path, content, ".obj")


def test_an_open_obj_file_without_the_end_of_its_last_line_is_taken_for_cut(tmp_path: Path) -> None:
    assert not parsed(tmp_path, square(SIDES), ".obj").findings.closed
    with pytest.raises(InputError, match="cut short"):
        parsed(tmp_path, square(SIDES)[:-1], ".obj")


def test_no_file_that_a_mesh_names_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.mtl").write_text("newmtl x\nmap_Kd x.png\n")
    read_mesh(write(tmp_path, obj(sphere(0)), ".obj"))  # what trimesh imports on first use is open by now
    opened: list[Any] = []

    def spy(name: Any, *args: Any, **options: Any) -> Any:
        opened.append(name)
        return original(name, *args, **options)

    original = builtins.open
    monkeypatch.setattr(builtins, "open", spy)
    content = obj(sphere(0), "mtllib x.mtl\nusemtl x\n")
    assert read_mesh(write(tmp_path, content, ".obj")).findings.closed
    textured = ply(sphere(0)).replace(b"comment made by a test", b"comment TextureFile x.mtl")
    assert read_mesh(write(tmp_path, textured, ".ply")).findings.closed
    assert opened == []


def write(folder: Path, content: bytes, suffix: str) -> Path:
    path = folder / f"named{suffix}"
    path.write_bytes(content)
    return path


def test_a_scene_is_placed_as_its_nodes_say(tmp_path: Path) -> None:
    nodes: list[dict[str, Any]] = [
        {"mesh": 0},
        {"mesh": 0, "translation": [5, 0, 0], "scale": [2, 2, 2]},
        {"translation": [0, 9, 0], "children": [3]},
        {"mesh": 0, "scale": [-1, 1, 1]},
    ]
    mesh = parsed(tmp_path, glb(box((1, 1, 1)), nodes, scenes=[{"nodes": [0, 1, 2]}]), ".glb")
    assert mesh.findings.closed
    assert mesh.findings.volume == pytest.approx(1 + 8 + 1)  # the mirrored one is not inside out
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [-0.5, -1, -1])
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [6, 9.5, 1])


def test_files_of_several_objects_are_one_mesh(tmp_path: Path) -> None:
    both = joined(box(), sphere(1, 1.0, (5, 0, 0)))
    lines = obj(both).decode().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("f "))
    lines.insert(first + 12, "o second\nusemtl other")
    mesh = parsed(tmp_path, "\n".join(lines).encode() + b"\n", ".obj")
    assert len(mesh.faces) == len(both[1])
    assert mesh.findings.closed


def test_ply_files_with_more_than_positions(tmp_path: Path) -> None:
    vertices, faces = sphere(0)
    rows = np.empty(len(vertices), np.dtype("<f4, <f4, <f4, <f4, <f4, u1"))
    for axis in range(3):
        rows[f"f{axis}"] = vertices[:, axis]
    rows["f3"] = rows["f4"] = 0.5
    rows["f5"] = 7
    quads = np.empty(len(faces), np.dtype([("n", "<u4"), ("i", "<u2", 3), ("m", "u1"), ("t", "<f4", 6)]))
    quads["n"], quads["i"], quads["m"], quads["t"] = 3, faces, 6, 0
    header = (
        "ply\nformat binary_little_endian 1.0\nelement vertex 12\nproperty float x\nproperty float y\n"
        "property float z\nproperty float s\nproperty float t\nproperty uchar red\nelement face 20\n"
        "property list uint ushort vertex_index\nproperty list uchar float texcoord\nend_header\n"
    )
    mesh = parsed(tmp_path, header.encode() + rows.tobytes() + quads.tobytes(), ".ply")
    np.testing.assert_allclose(mesh.vertices[mesh.faces], vertices[faces], atol=1e-6)


def test_a_file_of_a_suffix_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="suffix"):
        parsed(tmp_path, obj(sphere(0)), ".fbx")


def test_more_triangles_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_FACES", 10)
    for name, (writer, suffix) in WRITERS.items():
        with pytest.raises(InputError, match="20 triangles"):
            parsed(tmp_path, writer(sphere(0)), suffix)
        assert name


def test_trimesh_is_asked_for_by_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(InputError, match=r"pip install 'fastsnf\[mesh\]'"):
        parsed(tmp_path, obj(sphere(0)), ".obj")

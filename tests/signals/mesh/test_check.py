"""What is known of a mesh, beside what trimesh says of it; and which ones are refused."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from fastsnf.errors import InputError
from fastsnf.signals.mesh import check
from fastsnf.signals.mesh.check import Findings, checked_mesh, examined
from tests.signals.mesh.files import Mesh, box, joined, sphere, torus


def found(mesh: Mesh) -> Findings:
    return examined(*checked_mesh(*mesh))


def turned(mesh: Mesh, which: slice) -> Mesh:
    faces = mesh[1].copy()
    faces[which] = faces[which, ::-1]
    return mesh[0], faces


def loose(mesh: Mesh) -> Mesh:
    """Every triangle with vertices of its own, as in an STL file."""
    return mesh[0][mesh[1]].reshape(-1, 3), np.arange(mesh[1].size).reshape(-1, 3)


MESHES: dict[str, Mesh] = {
    "sphere": sphere(2),
    "torus": torus(),
    "box": box(),
    "two that overlap": joined(sphere(2), sphere(2, 1.0, (0.7, 0.1, 0))),
    "a hole": (sphere(2)[0], sphere(2)[1][3:]),
    "inside out": turned(sphere(2), slice(None)),
    "some turned": turned(sphere(2), slice(5, 25)),
}


@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("split", [False, True])
def test_closed_is_watertight_and_consistent(name: str, split: bool) -> None:
    mesh = MESHES[name]
    judge = trimesh.Trimesh(*mesh, process=False)
    findings = found(loose(mesh) if split else mesh)
    assert findings.closed == (judge.is_watertight and judge.is_winding_consistent)
    assert (findings.open_edges == 0) == judge.is_watertight
    assert (findings.turned_edges == 0) == judge.is_winding_consistent
    assert findings.vertices == len(np.unique(mesh[0][np.unique(mesh[1])], axis=0))
    if findings.closed:
        assert findings.volume == pytest.approx(judge.volume)


def test_a_hole_and_turned_triangles_are_counted() -> None:
    assert found((sphere(2)[0], sphere(2)[1][1:])).open_edges == 3
    one = found(turned(sphere(2), slice(7, 8)))
    assert (one.turned_edges, one.open_edges, one.closed) == (3, 0, False)
    assert "3 edges" in one.remarks()[0]


def test_boxes_that_share_an_edge_are_closed_though_trimesh_calls_them_not_watertight() -> None:
    vertices, faces = joined(box((1, 1, 1)), (box((1, 1, 1))[0] + (1, 1, 0), box((1, 1, 1))[1]))
    findings = found((vertices, faces))
    assert findings.crowded_edges == 1
    assert findings.closed
    assert findings.volume == pytest.approx(2)


def test_collapsed_triangles_do_not_open_a_mesh() -> None:
    vertices, faces = sphere(1)
    extra = np.array([[0, 0, 1], [3, 3, 3]])
    findings = found((vertices, np.concatenate([faces, extra])))
    assert findings.degenerate_faces == 2
    assert findings.closed


def test_remarks_say_what_is_doubtful_and_nothing_else() -> None:
    assert found(sphere(2)).remarks() == []
    assert "inside out" in found(MESHES["inside out"]).remarks()[0]
    assert "open" in found(MESHES["a hole"]).remarks()[0]
    far = sphere(3)
    far[0][0] *= 1e7
    assert any("far from all others" in remark for remark in found(far).remarks())


def test_vertices_that_no_face_uses_are_left_out() -> None:
    vertices, faces = sphere(0)
    mesh = checked_mesh(np.concatenate([[[9e9, 0, np.nan]], vertices]), faces + 1)
    np.testing.assert_array_equal(mesh[0][mesh[1]], vertices[faces])


SPHERE = sphere(0)


def changed(row: int, value: object) -> np.ndarray:
    vertices = SPHERE[0].copy()
    vertices[row, 1] = value
    return vertices


REFUSED: dict[str, tuple[object, object, str]] = {
    "NaN": (changed(3, np.nan), SPHERE[1], "finite"),
    "infinity": (changed(3, -np.inf), SPHERE[1], "finite"),
    "enormous": (changed(3, 2e12), SPHERE[1], "up to 1e\\+12"),
    "flat along an axis": (SPHERE[0] * (1, 1, 0), SPHERE[1], "flat"),
    "flat far from 0": (SPHERE[0] * (1, 1, 1e-7) + 1e9, SPHERE[1], "flat"),
    "one point": (np.ones((3, 3)), [[0, 1, 2]], "flat"),
    "no area": (np.arange(9.0).reshape(3, 3), [[0, 1, 2], [2, 1, 0]], "no|none"),
    "no triangles": (SPHERE[0], np.empty((0, 3), int), "with triangles"),
    "no vertices": (np.empty((0, 3)), SPHERE[1], "with triangles"),
    "index beyond": (SPHERE[0][:-1], SPHERE[1], "0 to 10"),
    "negative index": (SPHERE[0], SPHERE[1] - 1, "numbers from -1"),
    "quadrangles": (SPHERE[0], [[0, 1, 2, 3]], r"\[F, 3\]"),
    "fractions": (SPHERE[0], [[0.0, 1.0, 2.5]], r"\[F, 3\]"),
    "two axes": (SPHERE[0][:, :2], SPHERE[1], r"\[V, 3\]"),
    "words": ([["a", "b", "c"]], [[0, 0, 0]], r"\[V, 3\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_encloses_nothing_is_refused(name: str) -> None:
    vertices, faces, match = REFUSED[name]
    with pytest.raises(InputError, match=match):
        examined(*checked_mesh(vertices, faces))


def test_the_number_of_triangles_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "MAX_FACES", 19)
    with pytest.raises(InputError, match="at most 19 triangles"):
        checked_mesh(*SPHERE)

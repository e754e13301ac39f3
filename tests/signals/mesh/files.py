"""Meshes and their files, written byte by byte so that the readers are not judged by their own writers."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

Mesh = tuple[np.ndarray, np.ndarray]
"""Vertices float64 [V, 3] and triangles int64 [F, 3]."""


def sphere(level: int = 2, radius: float = 1.0, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mesh:
    """An icosahedron whose triangles are cut in four `level` times, its vertices on the sphere."""
    g = (1 + 5**0.5) / 2
    points = [(-1, g, 0), (1, g, 0), (-1, -g, 0), (1, -g, 0), (0, -1, g), (0, 1, g), (0, -1, -g), (0, 1, -g)]
    points += [(g, 0, -1), (g, 0, 1), (-g, 0, -1), (-g, 0, 1)]
    faces = [(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2)]
    faces += [(10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5)]
    faces += [(2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)]
    vertices = [np.array(p) / np.linalg.norm(p) for p in points]
    for _ in range(level):
        middles: dict[tuple[int, int], int] = {}

        def middle(a: int, b: int, middles: dict[tuple[int, int], int] = middles) -> int:
            key = (min(a, b), max(a, b))
            if key not in middles:
                point = vertices[a] + vertices[b]
                middles[key] = len(vertices)
                vertices.append(point / np.linalg.norm(point))
            return middles[key]

        cut = []
        for a, b, c in faces:
            ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
            cut += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
        faces = cut
    return np.array(vertices) * radius + np.array(centre), np.array(faces)


def box(size: tuple[float, float, float] = (2.0, 1.0, 0.5)) -> Mesh:
    """A box of twelve triangles around 0."""
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2 * np.array(size)
    squares = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corners, np.array([t for a, b, c, d in squares for t in ((a, b, c), (a, c, d))])


def torus(around: int = 48, across: int = 24, big: float = 1.0, small: float = 0.4) -> Mesh:
    """A torus around the z axis, its corners on the surface."""
    u, v = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    a, b = u * 2 * np.pi / around, v * 2 * np.pi / across
    ring = big + small * np.cos(b)
    points = np.stack([ring * np.cos(a), ring * np.sin(a), small * np.sin(b)], -1).reshape(-1, 3)

    def at(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return (i % around * across + j % across).reshape(-1)

    p, q, r, s = at(u, v), at(u + 1, v), at(u + 1, v + 1), at(u, v + 1)
    return points, np.concatenate([np.stack([p, q, r], -1), np.stack([p, r, s], -1)])


def joined(*meshes: Mesh) -> Mesh:
    """Several meshes as one."""
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in meshes])
    faces = [faces + start for (_, faces), start in zip(meshes, starts, strict=False)]
    return np.concatenate([vertices for vertices, _ in meshes]), np.concatenate(faces)


def obj(mesh: Mesh, extra: str = "") -> bytes:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in mesh[0].tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (mesh[1] + 1).tolist()]
    return ("# a mesh\n" + extra + "\n".join(lines) + "\n").encode()


def off(mesh: Mesh) -> bytes:
    lines = ["OFF", f"{len(mesh[0])} {len(mesh[1])} 0"]
    lines += [f"{x!r} {y!r} {z!r}" for x, y, z in mesh[0].tolist()]
    lines += [f"3 {a} {b} {c}" for a, b, c in mesh[1].tolist()]
    return ("\n".join(lines) + "\n").encode()


def stl(mesh: Mesh) -> bytes:
    corners = mesh[0][mesh[1]].astype("<f4")
    facets = b"".join(bytes(12) + corner.tobytes() + bytes(2) for corner in corners)
    return b"made by a test".ljust(80, b"\0") + struct.pack("<I", len(corners)) + facets


def stl_text(mesh: Mesh) -> bytes:
    facets = []
    for corners in mesh[0][mesh[1]].tolist():
        points = "".join(f"      vertex {x!r} {y!r} {z!r}\n" for x, y, z in corners)
        facets.append(f"  facet normal 0 0 0\n    outer loop\n{points}    endloop\n  endfacet\n")
    return ("solid test\n" + "".join(facets) + "endsolid test\n").encode()


def ply(mesh: Mesh, order: str = "<") -> bytes:
    """A PLY file: binary in a byte order, or text for the order ""."""
    format_ = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    head = (
        f"ply\nformat {format_} 1.0\ncomment made by a test\nelement vertex {len(mesh[0])}\n"
        "property double x\nproperty double y\nproperty double z\n"
        f"element face {len(mesh[1])}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()
    if not order:
        lines = [f"{x!r} {y!r} {z!r}" for x, y, z in mesh[0].tolist()]
        return head + "\n".join(lines + [f"3 {a} {b} {c}" for a, b, c in mesh[1].tolist()] + [""]).encode()
    rows = np.empty(len(mesh[1]), np.dtype([("n", "u1"), ("i", order + "i4", 3)]))
    rows["n"], rows["i"] = 3, mesh[1]
    return head + mesh[0].astype(order + "f8").tobytes() + rows.tobytes()


def glb(mesh: Mesh, nodes: list[dict[str, Any]] | None = None, **header: Any) -> bytes:
    """A GLB file; `header` replaces parts of its JSON chunk."""
    points, corners = mesh[0].astype("<f4").tobytes(), mesh[1].astype("<u4").tobytes()
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes or [0])))}],
        "nodes": nodes or [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(mesh[0]), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": mesh[1].size, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": len(points)},
            {"buffer": 0, "byteOffset": len(points), "byteLength": len(corners)},
        ],
        "buffers": [{"byteLength": len(points) + len(corners)}],
        **header,
    }
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<2I", len(text), 0x4E4F534A) + text
    body += struct.pack("<2I", len(points) + len(corners), 0x004E4942) + points + corners
    return struct.pack("<3I", 0x46546C67, 2, 12 + len(body)) + body


WRITERS = {
    "obj": (obj, ".obj"),
    "off": (off, ".off"),
    "stl": (stl, ".stl"),
    "stl text": (stl_text, ".stl"),
    "ply": (ply, ".ply"),
    "ply big": (lambda mesh: ply(mesh, ">"), ".ply"),
    "ply text": (lambda mesh: ply(mesh, ""), ".ply"),
    "glb": (glb, ".glb"),
}
"""Name -> (writer, suffix)."""

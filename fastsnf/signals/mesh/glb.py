"""How many triangles a GLB file promises, and whether what it says of its buffers holds."""

from __future__ import annotations

import json
import struct
from typing import Any

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942

_SIZES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
"""Bytes of the component types."""

_COUNTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}

_TRIANGLES, _STRIP, _FAN = 4, 5, 6

MAX_ITEMS = 100_000
"""Nodes, meshes, accessors or views that a file may list."""

MAX_DEPTH = 100
"""Nodes from a root of the scene to a leaf."""

MAX_SHARED = 8
"""How many times the views, or the accessors, may together be as large as the file: they may overlap."""


def promised(data: bytes, most: int) -> int:
    """Return the number of triangles of the scene of a GLB file; raise `ValueError` if it is not whole.

    The lengths of the file and of its chunks, all views and all accessors must fit; nodes form a tree;
    nothing may lie outside of the file. There is no checksum: numbers that were changed are not seen.

    Args:
        data: the file.
        most: triangles that it may have, copies of a mesh counted each.
    """
    header, size = _chunks(data)
    for name in ("buffers", "bufferViews", "accessors", "meshes", "nodes", "scenes"):
        items = header.get(name, [])
        if (
            not isinstance(items, list)
            or len(items) > MAX_ITEMS
            or not all(isinstance(i, dict) for i in items)
        ):
            raise ValueError(f"{name} that are no list of up to {MAX_ITEMS} objects")
    buffers = header.get("buffers", [])
    if len(buffers) > 1 or any("uri" in buffer for buffer in buffers):
        raise ValueError("buffers outside of the file: pack it into one GLB")
    views = [_view(view, size) for view in header.get("bufferViews", [])]
    lengths = [_accessor(accessor, header["bufferViews"]) for accessor in header.get("accessors", [])]
    if max(sum(views), sum(lengths)) > MAX_SHARED * len(data):
        raise ValueError(f"views or accessors of {max(sum(views), sum(lengths))} bytes in {len(data)}")
    meshes = [_triangles(mesh, header["accessors"]) for mesh in header.get("meshes", [])]
    count = sum(meshes[number] for number in _instances(header))
    if count > most:
        raise ValueError(f"{count} triangles in all copies of its meshes; at most {most} are read")
    return count


def _chunks(data: bytes) -> tuple[dict[str, Any], int]:
    """Return the JSON header of a file and the bytes of its binary chunk."""
    magic, version, length, json_length, json_type = struct.unpack_from("<5I", data.ljust(20, b"\0"))
    if magic != _MAGIC or version != 2 or json_type != _JSON:
        raise ValueError("no header of a GLB file of version 2")
    if length != len(data):
        raise ValueError(f"{len(data)} bytes, where its header promises {length}")
    place, size = 20 + json_length, 0
    if place > len(data):
        raise ValueError(f"{len(data)} bytes, too few for its JSON chunk of {json_length}")
    header = json.loads(data[20:place])
    if not isinstance(header, dict):
        raise ValueError("a JSON chunk that is no object")
    while place < len(data):
        chunk, kind = struct.unpack_from("<2I", data[place : place + 8].ljust(8, b"\0"))
        if place + 8 + chunk > len(data):
            raise ValueError(f"{len(data)} bytes, too few for a chunk of {chunk}")
        if kind == _BIN and not size:
            size = chunk
        elif kind == _BIN:
            raise ValueError("two binary chunks")
        place += 8 + chunk
    return header, size


def _view(view: dict[str, Any], size: int) -> int:
    """Return the bytes of a view into the binary chunk of `size` bytes."""
    offset, length = _whole(view.get("byteOffset", 0)), _whole(view["byteLength"])
    if view.get("buffer") != 0 or offset + length > size:
        raise ValueError(f"a view of {offset + length} bytes into a buffer of {size}")
    return length


def _accessor(accessor: dict[str, Any], views: list[dict[str, Any]]) -> int:
    """Return the bytes of the numbers that an accessor gives."""
    if "sparse" in accessor or "bufferView" not in accessor:
        raise ValueError("sparse or compressed geometry, which is not read: convert it")
    item = _SIZES[accessor["componentType"]] * _COUNTS[accessor["type"]]
    count, view = _whole(accessor["count"]), views[_whole(accessor["bufferView"])]
    stride = _whole(view.get("byteStride", item))
    if stride < item:
        raise ValueError(f"items of {item} bytes every {stride} bytes")
    needed = _whole(accessor.get("byteOffset", 0)) + (stride * (count - 1) + item if count else 0)
    if needed > view["byteLength"]:
        raise ValueError(f"an accessor of {needed} bytes into a view of {view['byteLength']}")
    return count * item


def _triangles(mesh: dict[str, Any], accessors: list[dict[str, Any]]) -> int:
    """Return the triangles of a mesh; its points and lines enclose nothing."""
    count = 0
    for primitive in mesh["primitives"]:
        mode = primitive.get("mode", _TRIANGLES)
        if mode == _FAN or mode not in range(_FAN):
            raise ValueError("fans of triangles, which are not read: convert it to triangles")
        if mode not in (_TRIANGLES, _STRIP):
            continue
        position = accessors[_whole(primitive["attributes"]["POSITION"])]
        corners = accessors[_whole(primitive["indices"])] if "indices" in primitive else position
        if position["type"] != "VEC3" or position.get("normalized") or corners.get("normalized"):
            raise ValueError("positions that are no plain triples of numbers: convert it")
        if "indices" in primitive and (corners["type"] != "SCALAR" or corners["componentType"] == 5126):
            raise ValueError("indices that are no whole numbers")
        number = corners["count"]
        if mode == _TRIANGLES and number % 3:
            raise ValueError(f"{number} corners of triangles")
        count += number // 3 if mode == _TRIANGLES else max(0, number - 2)
    return count


def _instances(header: dict[str, Any]) -> list[int]:
    """Return the meshes that the nodes of the scene place, each as often as it is placed."""
    nodes, scenes = header.get("nodes", []), header.get("scenes", [])
    roots = scenes[_whole(header.get("scene", 0))].get("nodes", [])
    level, seen, found = list(roots), set(roots), []
    for _ in range(MAX_DEPTH):
        below: list[int] = []
        for number in level:
            node = nodes[_whole(number)]
            found += [_whole(node["mesh"])] if "mesh" in node else []
            below += node.get("children", [])
        if len(seen | set(below)) != len(seen) + len(below):
            raise ValueError("nodes that are no tree")
        seen |= set(below)
        level = below
    if level:
        raise ValueError(f"nodes more than {MAX_DEPTH} deep")
    return found


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} where a whole number belongs")
    return value

"""How many triangles a PLY file promises, and whether it has the bytes or the lines for them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float32": "f4",
    "float64": "f8",
}

_FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}

_INDICES = ("vertex_index", "vertex_indices")

_LONGEST_HEADER = 1 << 16


@dataclass
class Element:
    """What a header says of vertices, faces or another element: rows, and (name, type, type of its count)."""

    name: str
    count: int
    properties: list[tuple[str, str, str | None]] = field(default_factory=list)


def promised(data: bytes) -> int:
    """Return the number of triangles of a PLY file; raise `ValueError` for one that is not whole.

    The file must have exactly the bytes (binary) or lines (text) that its header says, and its faces be
    triangles and quadrangles with as many corners as they say. Of a text file that was cut within its last
    number nothing is seen here; its mesh is open then.
    """
    order, elements, start = _header(data)
    names = [element.name for element in elements]
    if len(set(names)) != len(names) or "vertex" not in names or "face" not in names:
        raise ValueError(f"elements {names}, where one of vertices and one of faces belong")
    properties = {
        name for element in elements if element.name == "vertex" for name, _, _ in element.properties
    }
    if not {"x", "y", "z"} <= properties:
        raise ValueError("vertices without x, y and z")
    if sum(element.count for element in elements) > len(data):  # a row takes a byte at least
        raise ValueError(f"{len(data)} bytes, where its header promises {sum(_counts(elements))} rows")
    return _in_text(data[start:], elements) if not order else _in_binary(data, start, order, elements)


def _counts(elements: list[Element]) -> list[int]:
    return [element.count for element in elements]


def _header(data: bytes) -> tuple[str, list[Element], int]:
    """Return (byte order, "" for text; elements; where the rows begin)."""
    end = data.find(b"end_header", 0, _LONGEST_HEADER)
    after = data.find(b"\n", end) + 1
    if end < 0 or not after or data[end + 10 : after].strip():
        raise ValueError("a header without its end")
    lines = [line.split() for line in data[:end].decode("ascii", "replace").splitlines()]
    if lines[0] != ["ply"] or len(lines) < 2 or len(lines[1]) != 3 or lines[1][1] not in _FORMATS:
        raise ValueError("no header of a PLY file")
    elements: list[Element] = []
    for words in lines[2:]:
        match words:
            case ["element", name, count] if count.isdigit():
                elements.append(Element(name, int(count)))
            case ["property", "list", counted, type_, name] if (
                elements and _integer(counted) and type_ in _TYPES
            ):
                elements[-1].properties.append((name, _TYPES[type_], _TYPES[counted]))
            case ["property", type_, name] if elements and type_ in _TYPES:
                elements[-1].properties.append((name, _TYPES[type_], None))
            case [] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise ValueError(f"a header line {' '.join(words)[:60]!r}")
    return _FORMATS[lines[1][1]], elements, after


def _integer(name: str) -> bool:
    return _TYPES.get(name, "f")[0] in "iu"


def _in_binary(data: bytes, start: int, order: str, elements: list[Element]) -> int:
    """Return the triangles of a binary file whose lists have one length in each element, as trimesh reads."""
    triangles = 0
    for element in elements:
        if not element.count:
            continue
        if not element.properties:
            raise ValueError(f"rows of {element.name} without properties")
        fields: list[tuple[str, str, tuple[int, ...]]] = []
        for number, (_, type_, counted) in enumerate(element.properties):
            length = 1
            if counted is not None:
                place = start + np.dtype(fields).itemsize
                fields.append((f"count {number}", order + counted, ()))
                length = int(np.frombuffer(data, order + counted, 1, place)[0])
                if not 0 <= length <= len(data):
                    raise ValueError(f"a list of {length}")
            fields.append((f"{number}", order + type_, (length,)))
        row = np.dtype(fields)
        if start + row.itemsize * element.count > len(data):
            raise ValueError(f"{len(data)} bytes, too few for {element.count} rows of {element.name}")
        rows = np.frombuffer(data, row, element.count, start)
        for number, (name, _, counted) in enumerate(element.properties):
            if counted is None:
                continue
            lengths = rows[f"count {number}"]
            if (lengths != lengths[0]).any():
                raise ValueError(f"rows of {element.name} with lists of different lengths: triangulate it")
            if element.name == "face" and name in _INDICES:
                triangles = _of_corners(int(lengths[0])) * element.count
        start += row.itemsize * element.count
    if start != len(data):
        raise ValueError(f"{len(data)} bytes, where its header promises {start}")
    return triangles


def _in_text(rows: bytes, elements: list[Element]) -> int:
    lines = rows.rstrip().splitlines()
    if len(lines) != sum(_counts(elements)):
        raise ValueError(f"{len(lines)} lines, where its header promises {sum(_counts(elements))}")
    triangles, first = 0, 0
    for element in elements:
        for line in lines[first : first + element.count]:
            triangles += _in_line(line.split(), element)
        first += element.count
    return triangles


def _in_line(words: list[bytes], element: Element) -> int:
    """Return the triangles of one row of text."""
    place, triangles = 0, 0
    for name, type_, counted in element.properties:
        length = 1
        if counted is not None:
            length = int(words[place]) if place < len(words) else -1
            place += 1
            if element.name == "face" and name in _INDICES:
                triangles = _of_corners(length)
        if length < 0:
            raise ValueError(f"a row of {element.name} that is cut short")
        for word in words[place : place + length]:
            int(word) if type_[0] in "iu" else float(word)
        place += length
    if place != len(words):
        raise ValueError(f"a row of {element.name} of {len(words)} numbers instead of {place}")
    return triangles


def _of_corners(corners: int) -> int:
    if corners not in (3, 4):
        raise ValueError(f"a face of {corners} corners, where triangles and quadrangles are read")
    return corners - 2

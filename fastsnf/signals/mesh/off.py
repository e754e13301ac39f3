"""How many triangles an OFF file promises, and whether it has the lines for them."""

from __future__ import annotations

from fastsnf.signals.mesh.stl import is_number

_HEADERS = (b"OFF", b"COFF", b"NOFF", b"CNOFF")


def promised(data: bytes) -> int:
    """Return the number of triangles of an OFF file; raise `ValueError` if it is not whole.

    The counts in its header must be those of its lines, and each face have its corners. Of a file that was
    cut within the last number of its last line nothing is seen here; its mesh is open then.
    """
    lines = [line.split(b"#")[0].split() for line in data.splitlines()]
    words = [line for line in lines if line]
    if not words or words[0][0] not in _HEADERS:
        raise ValueError("no OFF header, or a binary or other variant of it, which is not read")
    head = words[0][1:]
    body = words[1:] if head else words[2:]
    counts = head or (words[1] if len(words) > 1 else [])
    if not 2 <= len(counts) <= 3 or not all(word.isdigit() for word in counts):
        raise ValueError("an OFF header without its counts")
    vertices, faces = int(counts[0]), int(counts[1])
    if len(body) < vertices + faces or (len(counts) == 3 and len(body) > vertices + faces + int(counts[2])):
        raise ValueError(
            f"{len(body)} lines, where its header promises {vertices} vertices and {faces} faces"
        )
    if not all(len(line) >= 3 and all(map(is_number, line[:3])) for line in body[:vertices]):
        raise ValueError("a vertex without three numbers")
    return sum(map(_triangles, body[vertices : vertices + faces]))


def _triangles(line: list[bytes]) -> int:
    corners = int(line[0]) if line[0].isdigit() else 0
    if corners not in (3, 4) or len(line) <= corners or not all(map(bytes.isdigit, line[1 : corners + 1])):
        raise ValueError(f"a face {b' '.join(line[:8])!r}, where triangles and quadrangles are read")
    return corners - 2

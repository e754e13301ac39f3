"""How many triangles an OBJ file promises, and whether its faces name vertices that it has."""

from __future__ import annotations

from fastsnf.signals.mesh.stl import is_number


def promised(data: bytes) -> int:
    """Return the number of triangles of an OBJ file; raise `ValueError` if it is not whole.

    The format has no counts. A vertex without three numbers, a face of less than three corners, or one of a
    vertex that is not there is seen. A file cut at the end of a line, or within the last number of a face,
    is seen only if a face needs what is gone: otherwise the mesh is open then, which `read_mesh` looks at.
    """
    vertices, triangles, highest, lowest = 0, 0, 0, 1
    late = False
    for line in data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines():
        words = line.split(b"#")[0].split()
        if not words:
            continue
        if words[0] == b"v":
            vertices += 1
            late |= triangles > 0
            if len(words) < 4 or not all(map(is_number, words[1:])):
                raise ValueError(f"a vertex {line[:60]!r}, where three numbers belong")
        elif words[0] == b"f":
            numbers = [int(word.split(b"/", 1)[0]) for word in words[1:]]
            triangles += len(numbers) - 2
            if len(numbers) < 3 or 0 in numbers:
                raise ValueError(f"a face {line[:60]!r}, where three corners or more, from 1, belong")
            highest, lowest = max(highest, *numbers), min(lowest, *numbers)
    if highest > vertices or lowest < -vertices:
        raise ValueError(f"a face of vertex {highest if highest > vertices else lowest} of {vertices}")
    if lowest < 0 and late:
        # trimesh counts these from the last vertex of the file rather than from the last one before the face
        raise ValueError("faces that count vertices backwards, amid vertices: convert it to absolute numbers")
    return triangles

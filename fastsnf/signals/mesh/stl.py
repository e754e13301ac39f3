"""How many triangles an STL file promises, and whether it has the bytes for them."""

from __future__ import annotations

import re

HEADER, FACET = 84, 50
"""Bytes of the header, its triangle count included, and of a triangle of a binary file."""

_TOKENS = re.compile(rb"\b(facet|outer|vertex|endloop|endfacet)\b[^\n]*", re.IGNORECASE)


def promised(data: bytes) -> int:
    """Return the number of triangles of an STL file; raise `ValueError` for one that is not whole.

    A binary file has exactly the length that its count says: any cut is seen. A text file ends with
    ``endsolid``, and has three corners in each facet. Numbers that were changed cannot be seen in either.
    """
    count = int.from_bytes(data[80:HEADER], "little")
    if len(data) == HEADER + FACET * count and len(data) > HEADER:
        return count
    if data[:5].lower() != b"solid" or b"\0" in data:
        raise ValueError(
            f"{len(data)} bytes, where {count} triangles of a binary STL take {HEADER + FACET * count}"
        )
    return _promised_by_text(data)


def _promised_by_text(data: bytes) -> int:
    lines = data.rstrip().rsplit(b"\n", 1)
    if len(lines) < 2 or not re.fullmatch(rb"\s*endsolid\b.*", lines[1], re.IGNORECASE):
        raise ValueError("a text STL without endsolid at its end: it is cut short")
    if len(re.findall(rb"^\s*solid\b", data, re.IGNORECASE | re.MULTILINE)) != 1:
        raise ValueError("a text STL of several solids, which are not read: join them")
    steps = [match[0].split() for match in _TOKENS.finditer(data, data.find(b"\n"))]
    facet = [b"facet", b"outer", b"vertex", b"vertex", b"vertex", b"endloop", b"endfacet"]
    count, rest = divmod(len(steps), len(facet))
    for place, words in enumerate(steps):
        name = words[0].lower()
        if name != facet[place % len(facet)] or (name == b"vertex" and not _three_numbers(words[1:])):
            raise ValueError(f"a text STL whose facet {place // len(facet)} is not of three corners")
    if rest:
        raise ValueError("a text STL whose last facet is cut short")
    return count


def _three_numbers(words: list[bytes]) -> bool:
    return len(words) == 3 and all(map(is_number, words))


def is_number(word: bytes) -> bool:
    """Return whether a word of a text file is a number; NaN and infinity are."""
    try:
        float(word)
    except ValueError:
        return False
    return True

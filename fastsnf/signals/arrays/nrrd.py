"""NRRD files: the header by pynrrd, the entries by a memory map or decompressed with their checksum."""

from __future__ import annotations

import bz2
import gzip
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from fastsnf.errors import InputError
from fastsnf.signals.arrays.array import Array, Entry, checked_spacing, mapped
from fastsnf.signals.arrays.limits import MAX_AXES, check_limit, check_sizes
from fastsnf.signals.arrays.source import Source
from fastsnf.signals.arrays.unnamed import Stream, expanded
from fastsnf.signals.optional import require

_TYPES: dict[str, str] = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("signed long long int",), "i8"),
    **dict.fromkeys(
        ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"
    ),
    "float": "f4",
    "double": "f8",
}
_PLACES = ("domain", "space", "time", "???", "none")
"""Kinds of axes along which places lie, or of which nothing is said."""

_COMPONENTS = (
    *("list", "point", "vector", "covariant-vector", "normal", "stub", "scalar", "complex", "2-vector"),
    *("3-color", "rgb-color", "hsv-color", "xyz-color", "4-color", "rgba-color", "3-vector", "3-gradient"),
    *("3-normal", "4-vector", "quaternion", "2d-symmetric-matrix", "2d-masked-symmetric-matrix", "2d-matrix"),
    *(
        "2d-masked-matrix",
        "3d-symmetric-matrix",
        "3d-masked-symmetric-matrix",
        "3d-matrix",
        "3d-masked-matrix",
    ),
)
"""Kinds of axes along which the components of one place lie."""

_FIELDS = (
    *("dimension", "type", "encoding", "endian", "content", "old min", "oldmin", "old max", "oldmax", "min"),
    *(
        "max",
        "data file",
        "datafile",
        "line skip",
        "lineskip",
        "byte skip",
        "byteskip",
        "number",
        "sample units",
    ),
    *("sampleunits", "sizes", "spacings", "thicknesses", "axis mins", "axismins", "axis maxs", "axismaxs"),
    *("centers", "centerings", "labels", "units", "kinds", "space", "space dimension", "space units"),
    *("space origin", "space directions", "measurement frame", "block size", "blocksize"),
)
"""Fields of the format: another one is damage, which might hide what an axis or a number means."""

_MAX_HEADER = 1 << 20


def entries(source: Source) -> list[Entry]:
    """Return the array of an NRRD file."""
    header, start = _header(source)
    if any(name in header for name in ("data file", "datafile")):
        raise InputError(
            f"expected an NRRD file with its data; got {source.name!r}, a header that points to another "
            "file; join them, as with: unu save -f nrrd"
        )
    shape, dtype = _sizes(header), _dtype(header)
    nbytes = check_sizes(shape, dtype)
    axes, spacing = _axes(header, len(shape))

    def open_it() -> Array:
        flat, offset = _data(source, header, start, nbytes)
        view = flat.map(dtype, shape, offset, "F").transpose(axes)
        if flat is not source:
            flat.file.close()
        return mapped(source.name, "", view, spacing=spacing, source="NRRD")

    return [Entry("", tuple(shape[axis] for axis in axes), dtype, open_it)]


def _header(source: Source) -> tuple[Mapping[str, Any], int]:
    """Return the parsed header and where the data begin: after the first empty line."""
    text = source.start(_MAX_HEADER)
    ends = [text.find(mark) + len(mark) for mark in (b"\n\n", b"\n\r\n") if mark in text]
    if not ends:
        raise ValueError("a header without an end")
    lines = [line.decode() for line in text[: min(ends)].splitlines()]
    for line in lines[1:]:
        field, mark, _ = line.partition(":")
        if line and line[0] != "#" and ":=" not in line and (not mark or field.strip() not in _FIELDS):
            raise ValueError(f"an unknown field in {line[:60]!r}")
    return require("nrrd", "arrays", "NRRD files").read_header(lines), min(ends)


def _sizes(header: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the sizes, first axis fastest."""
    shape = tuple(int(size) for size in header["sizes"])
    if int(header["dimension"]) != len(shape) or len(shape) > MAX_AXES:
        raise ValueError(f"{len(shape)} sizes of {header['dimension']} axes")
    return shape


def _dtype(header: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the type of the entries."""
    name = " ".join(str(header["type"]).split())
    if name not in _TYPES:
        raise ValueError(f"entries of type {name!r}, where numbers are read")
    if _TYPES[name].endswith("1"):
        return np.dtype(_TYPES[name])
    return np.dtype({"little": "<", "big": ">"}[str(header["endian"])] + _TYPES[name])


def _axes(header: Mapping[str, Any], ndim: int) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """Return the order of the axes, places first and components last, and the spacing of the places."""
    kinds = list(header.get("kinds", ())) or ["domain"] * ndim
    if len(kinds) != ndim:
        raise ValueError(f"{len(kinds)} kinds of {ndim} axes")
    kinds = [str(kind).lower() for kind in kinds]
    if not {*kinds} <= {*_PLACES, *_COMPONENTS}:
        raise ValueError(f"axes of kinds {kinds}, some of them unknown")
    places = [axis for axis in range(ndim) if kinds[axis] in _PLACES]
    order = (*places, *(axis for axis in range(ndim) if axis not in places))
    return order, _spacing(header, ndim, places)


def _spacing(header: Mapping[str, Any], ndim: int, places: Sequence[int]) -> tuple[float, ...] | None:
    """Return the distance of neighbours along the axes `places`, None where the header lacks one of them."""
    if "spacings" in header:
        steps = [float(step) for step in header["spacings"]]
    elif "space directions" in header:
        rows = header["space directions"]
        steps = [math.nan if row is None else float(np.linalg.norm(np.asarray(row, float))) for row in rows]
    else:
        return None
    if len(steps) != ndim:
        raise ValueError(f"{len(steps)} spacings of {ndim} axes")
    return checked_spacing([steps[axis] for axis in places])


def _data(source: Source, header: Mapping[str, Any], start: int, nbytes: int) -> tuple[Source, int]:
    """Return a source with the entries as they are, and where they begin in it."""
    encoding = str(header["encoding"]).lower()
    lines, skip = (int(header.get(f"{unit} skip", header.get(f"{unit}skip", 0))) for unit in ("line", "byte"))
    if lines or not -1 <= skip <= source.size or (skip == -1 and encoding != "raw"):
        raise ValueError(
            f"line skip {lines} and byte skip {skip}, which lead out of the file or are not read"
        )
    if encoding == "raw":
        offset = source.size - nbytes if skip == -1 else start + skip
        if offset < start or offset + nbytes != source.size:
            raise ValueError(
                f"{source.size - start - max(skip, 0)} bytes of entries, where {nbytes} are promised"
            )
        check_limit(source.name, nbytes, source.limits.lazy)
        return source, offset
    source.file.seek(start)
    if encoding in ("gzip", "gz"):
        return expanded(cast(Stream, gzip.GzipFile(fileobj=source.file)), skip + nbytes, source), skip
    if encoding in ("bzip2", "bz2"):
        return expanded(cast(Stream, bz2.BZ2File(source.file)), skip + nbytes, source), skip
    raise InputError(
        f"expected NRRD entries that are raw, gzip or bzip2; got {encoding!r} in {source.name!r}; "
        "save it again, as with: unu save -f nrrd -e gzip"
    )

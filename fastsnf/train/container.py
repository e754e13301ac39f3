"""The file format of weights: safetensors, whose metadata hold one JSON object with a SHA-256 of the whole
file.

safetensors runs no code, but a flipped bit in it loads silently, and it accepts duplicate names. So a file is
checked before anything in it is used: the size of its header, its names, format and version, the hash over
every byte (the digest itself read as zeros), and that every number is finite. torch.load is never called.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from fastsnf.errors import InputError, RunError
from fastsnf.train.files import write_atomic
from fastsnf.version import __version__

FORMAT = "fastsnf"
VERSION = 1
"""Version of the format; a reader refuses any other."""

HEADER_CAP = 16 << 20
"""Longest header that is parsed, bytes."""

_KEY = "fastsnf"
_PAIRS = "complex128"
"""Names, in the metadata, of tensors that stand as float64 [..., 2]: safetensors has no complex128."""

_NAME = re.compile(r"[A-Za-z0-9_.]+")
_BLANK = "sha256:" + "0" * 64
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class Contents:
    """What a file holds: named tensors and JSON-able metadata."""

    tensors: dict[str, Tensor]
    metadata: dict[str, Any]


def encode(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], kind: str) -> bytes:
    """Return the bytes of a file; the same contents give the same bytes.

    Args:
        tensors: any device, any dtype that safetensors knows (complex64 included), and complex128.
        metadata: JSON-able.
        kind: ``field`` or ``run``, checked by `decode`.

    Raises:
        InputError: for a tensor name outside [A-Za-z0-9_.].
        RunError: for a number that is not finite.
    """
    for name, tensor in tensors.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"expected tensor names of letters, digits, '_' and '.'; got {name!r}")
        if not _is_finite(tensor):
            raise RunError(
                f"expected finite numbers to save; got NaN or infinity in {name}: the fit diverged, lower lr"
            )
    # The digest comes first, and one metadata entry holds everything: safetensors does not keep the order of
    # several.
    record = {
        "sha256": _BLANK,
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "fastsnf": __version__,
        **metadata,
    }
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    pairs = sorted(name for name, tensor in copies.items() if tensor.dtype == torch.complex128)
    if pairs:
        record[_PAIRS] = pairs
        copies.update({name: torch.view_as_real(copies[name].resolve_conj()) for name in pairs})
    text = json.dumps(record, allow_nan=False)
    data = bytearray(safetensors.torch.save(copies, metadata={_KEY: text}))
    match = _DIGEST.search(data)
    assert match is not None, "the digest is the first entry of the metadata"
    data[match.start() : match.end()] = f"sha256:{hashlib.sha256(data).hexdigest()}".encode()
    return bytes(data)


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], kind: str) -> bytes:
    """Write a file that is complete or absent; return its bytes. Raises as `encode` and `write_atomic`."""
    data = encode(tensors, metadata, kind)
    write_atomic(path, data)
    return data


def read(path: Path, kind: str, *, sha256: str | None = None) -> Contents:
    """Return the contents of a file that passed every check.

    Args:
        path: the file.
        kind: ``field`` or ``run``.
        sha256: what the bytes of the file must hash to, from a manifest; None leaves it to the file's own
        digest.

    Raises:
        InputError: saying which check failed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"expected a readable file at {path}; got: {error.strerror or error}") from error
    try:
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise InputError("its SHA-256 is not the manifest's: the file is damaged")
        return decode(data, kind)
    except InputError as error:
        raise InputError(f"cannot load {path}: {error}") from error


def decode(data: bytes, kind: str) -> Contents:
    """Return the contents of the bytes that `encode` made, after every check; raises as `read`."""
    header = _header(data)
    metadata = _metadata(header, kind)
    match = _DIGEST.search(data)
    if match is None or metadata.pop("sha256", None) != match.group().decode():
        raise InputError("expected a SHA-256 in its metadata; got none: the file is damaged")
    blank = data[: match.start()] + _BLANK.encode() + data[match.end() :]
    if f"sha256:{hashlib.sha256(blank).hexdigest()}" != match.group().decode():
        raise InputError(
            "its contents differ from its SHA-256: the file is damaged; use a copy or an earlier checkpoint"
        )
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"expected a safetensors file; got: {error}") from error
    for name, tensor in tensors.items():
        if not _is_finite(tensor):
            raise InputError(f"expected finite numbers; got NaN or infinity in {name}")
    return Contents(_paired(tensors, metadata.pop(_PAIRS, [])), metadata)


def _paired(tensors: dict[str, Tensor], pairs: object) -> dict[str, Tensor]:
    """Return `tensors`, those named in `pairs` as the complex128 that they stand for."""
    if not isinstance(pairs, list) or not all(isinstance(name, str) for name in pairs):
        raise InputError(f"expected a list of names under {_PAIRS!r} in its metadata; got {pairs!r}")
    for name in pairs:
        tensor = tensors.get(name)
        if tensor is None or tensor.dtype != torch.float64 or tensor.shape[-1:] != (2,):
            raise InputError(f"expected {name!r} as pairs of float64, as its metadata says: it is damaged")
        tensors[name] = torch.view_as_complex(tensor)
    return tensors


def _header(data: bytes) -> dict[str, Any]:
    """Return the header of a safetensors file as JSON, with its size, syntax and names checked."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(HEADER_CAP, len(data) - 8):
        if data.startswith(_PICKLES):
            raise InputError(
                "expected a safetensors file; got a pickle or torch.save file, which can run code and is "
                "never opened: load its state dict yourself and write it with fastsnf.save"
            )
        raise InputError(
            f"expected a safetensors file; got {len(data)} bytes that are none: truncated or damaged"
        )
    try:
        header = json.loads(data[8 : 8 + length].decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected a JSON header; got: {error}: the file is damaged") from error
    if not isinstance(header, dict):
        raise InputError("expected a JSON object as header: the file is damaged")
    for name in header:
        if name != "__metadata__" and not _NAME.fullmatch(name):
            raise InputError(f"expected tensor names of letters, digits, '_' and '.'; got {name!r}")
    return header


def _metadata(header: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the metadata of a header, with format, version and kind checked."""
    entries = header.get("__metadata__")
    text = entries.get(_KEY) if isinstance(entries, dict) and set(entries) == {_KEY} else None
    if not isinstance(text, str):
        raise InputError("expected a file of fastsnf; got a safetensors file without its metadata")
    try:
        metadata = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected JSON metadata; got: {error}: the file is damaged") from error
    if not isinstance(metadata, dict) or metadata.pop("format", None) != FORMAT:
        raise InputError("expected a file of fastsnf; got a safetensors file of another origin")
    version = metadata.pop("version", None)
    if version != VERSION:
        raise InputError(
            f"expected format version {VERSION}; got {version!r}, written by fastsnf "
            f"{metadata.get('fastsnf')!r}: use that version of fastsnf"
        )
    found = metadata.pop("kind", None)
    if found != kind:
        raise InputError(f"expected a file of kind {kind!r}; got {found!r}")
    return metadata


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return names


def _is_finite(tensor: Tensor) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    return bool(torch.isfinite(tensor.detach()).all())

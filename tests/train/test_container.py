"""The file format: what was written is read back, and anything else is refused."""

from __future__ import annotations

import json
import pickle
import random

import pytest
import safetensors.torch
import torch

from fastsnf.errors import InputError, RunError
from fastsnf.train.container import HEADER_CAP, decode, encode, read, write
from tests.cases import count

TENSORS = {
    "net.0.weight": torch.linspace(-1, 1, 12).reshape(3, 4),
    "net.0.bias": torch.zeros(3),
    "complex": torch.randn(2, 3, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)),
    "step": torch.tensor(7.0),
    "rng": torch.arange(5, dtype=torch.uint8),
    "empty": torch.zeros(0, 2),
}
METADATA = {"field": {"class": "snf", "omega": 0.1 + 0.2}, "names": ["é", "\u20ac"]}


@pytest.fixture
def data():
    return encode(TENSORS, METADATA, "field")


def test_round_trip(data):
    contents = decode(data, "field")
    assert contents.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(contents.tensors[name], TENSORS[name]) for name in TENSORS)
    assert {key: contents.metadata[key] for key in METADATA} == METADATA


def test_same_contents_same_bytes(data):
    assert encode(dict(reversed(TENSORS.items())), METADATA, "field") == data


def test_views_are_stored_as_they_are_seen():
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"transposed": base.T, "shared": base, "slice": base[:, 1:3]}
    found = decode(encode(tensors, {}, "field"), "field").tensors
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def flips(data: bytes, full: int) -> list[int]:
    """Return bits to flip: half in the header, half in the tensors, and every bit of the length."""
    chance, header = random.Random(0), 8 + int.from_bytes(data[:8], "little")
    half = count(full) // 2
    inside = [chance.randrange(64, 8 * header) for _ in range(half)]
    behind = [chance.randrange(8 * header, 8 * len(data)) for _ in range(half)]
    return [*range(64), *inside, *behind]


def test_every_flipped_bit_is_detected(data):
    for bit in flips(data, 800):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InputError):
            decode(bytes(damaged), "field")


def test_every_truncation_is_detected(data):
    chance = random.Random(0)
    for length in [0, 1, 7, 8, 9, len(data) - 1, *(chance.randrange(len(data)) for _ in range(count(200)))]:
        with pytest.raises(InputError):
            decode(data[:length], "field")


def test_appended_bytes_are_detected(data):
    with pytest.raises(InputError, match="SHA-256"):
        decode(data + b"\0", "field")


def test_pickles_are_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("executed").touch, ())

    for protocol in range(2, 6):
        with pytest.raises(InputError, match="pickle"):
            decode(pickle.dumps(Bomb(), protocol), "field")
    torch.save({"weight": Bomb()}, tmp_path / "field.pt")
    torch.save({"weight": Bomb()}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    for name in ("field.pt", "legacy.pt"):
        with pytest.raises(InputError, match="pickle"):
            read(tmp_path / name, "field")
    assert not (tmp_path / "executed").exists()


def rewritten(data: bytes, change) -> bytes:
    """Return the file with its metadata changed by `change`, and safetensors' own checks still satisfied."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    record = json.loads(header["__metadata__"]["fastsnf"])
    change(header, record)
    header["__metadata__"]["fastsnf"] = json.dumps(record)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header, record: record.update(version=2), "format version 1; got 2"),
        (lambda header, record: record.update(format="other"), "another origin"),
        (lambda header, record: record.update(kind="run"), "kind 'field'; got 'run'"),
        (lambda header, record: record.update(names=[]), "SHA-256"),
        (lambda header, record: record.pop("sha256"), "damaged"),
        (lambda header, record: header["__metadata__"].update(more="x"), "without its metadata"),
        (lambda header, record: header.update({"../x": header["step"]}), "tensor names"),
    ],
)
def test_changed_headers_are_refused(data, change, message):
    with pytest.raises(InputError, match=message):
        decode(rewritten(data, change), "field")


def test_a_foreign_safetensors_file_is_refused():
    with pytest.raises(InputError, match="without its metadata"):
        decode(safetensors.torch.save(TENSORS), "field")


def test_duplicate_names_are_refused(data):
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].rstrip()
    doubled = header[:-1] + b',"step":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'
    with pytest.raises(InputError, match="twice"):
        decode(len(doubled).to_bytes(8, "little") + doubled + data[8 + length :], "field")


def test_a_huge_header_is_refused_unread():
    with pytest.raises(InputError, match="truncated or damaged"):
        decode((HEADER_CAP + 1).to_bytes(8, "little") + b"[" * (HEADER_CAP + 1), "field")


def test_deep_nesting_is_refused():
    text = b"[" * 100_000
    with pytest.raises(InputError, match="damaged"):
        decode(len(text).to_bytes(8, "little") + text, "field")


def test_numbers_that_are_not_finite_are_neither_written_nor_read(monkeypatch):
    bad = {"w": torch.tensor([1.0, torch.nan])}
    with pytest.raises(RunError, match="NaN or infinity in w"):
        encode(bad, {}, "field")
    with monkeypatch.context() as patch:
        patch.setattr("fastsnf.train.container._is_finite", lambda tensor: True)
        data = encode(bad, {}, "field")
    with pytest.raises(InputError, match="NaN or infinity in w"):
        decode(data, "field")


def test_bad_names_are_not_written():
    with pytest.raises(InputError, match="tensor names"):
        encode({"../w": torch.zeros(1)}, {}, "field")


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "none.safetensors", "field")
    with pytest.raises(InputError, match="Is a directory"):
        read(tmp_path, "field")


def test_a_manifest_hash_is_checked(tmp_path):
    path = tmp_path / "step.safetensors"
    write(path, TENSORS, METADATA, "run")
    with pytest.raises(InputError, match="manifest"):
        read(path, "run", sha256="0" * 64)


def test_complex_numbers_of_float64():
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(3, 2, dtype=torch.complex128, generator=generator)
    tensors = {"z": z, "conjugate": z.conj().T, "number": z[0, 0], "pairs": torch.view_as_real(z)}
    data = encode(tensors, METADATA, "field")
    found = decode(data, "field")
    assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)
    assert {name: found.tensors[name].dtype for name in tensors} == {k: v.dtype for k, v in tensors.items()}
    assert {key: found.metadata[key] for key in METADATA} == METADATA
    assert encode(dict(reversed(tensors.items())), METADATA, "field") == data


@pytest.mark.parametrize("pairs", [["z", "z"], ["net.0.bias"], ["none"], [1], "z", None])
def test_wrong_names_of_complex_numbers_are_refused(pairs):
    tensors = {"z": torch.zeros(3, 2, dtype=torch.float64), "net.0.bias": torch.zeros(2)}
    with pytest.raises(InputError, match=r"damaged|list of names"):
        decode(encode(tensors, {"complex128": pairs}, "field"), "field")

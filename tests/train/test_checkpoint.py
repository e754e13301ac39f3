"""save and load: fields of every class, in files that hold nothing else."""

from __future__ import annotations

import errno
import os

import pytest
import torch

import fastsnf
from fastsnf.errors import InputError, RunError
from fastsnf.train import checkpoint, container
from fastsnf.train.files import STRAYS
from fastsnf.train.losses import LOGITS
from tests.train.samples import fit_small, same_state, small_field, small_image

FIELDS = {
    "sine": lambda: small_field(),
    "gabor": lambda: small_field(activation="gabor", scale=5.0),
    "mixed": lambda: small_field(bias=False, first_activation="gaussian", first_omega=None, hidden_omega=7.0),
    "float64": lambda: small_field(dtype=torch.float64),
    "gabor-float64": lambda: small_field(activation="gabor", scale=5.0, dtype=torch.float64),
    "siren": lambda: fastsnf.Siren(2, 8, 1, 3, outermost_linear=False),
}


@pytest.mark.parametrize("name", FIELDS)
def test_round_trip(name, tmp_path):
    field = FIELDS[name]()
    fastsnf.save(field, tmp_path / "field.safetensors")
    loaded = fastsnf.load(tmp_path / "field.safetensors")
    assert type(loaded) is type(field)
    assert loaded.spec == field.spec
    assert loaded.config() == field.config()
    assert same_state(loaded, field)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_loading_leaves_the_random_state_alone(tmp_path):
    fastsnf.save(small_field(), tmp_path / "field.safetensors")
    before = torch.get_rng_state()
    fastsnf.load(tmp_path / "field.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_signal_leaves_its_conventions(tmp_path):
    image = small_image()
    checkpoint.save(small_field(), tmp_path / "field.safetensors", image, outputs=LOGITS)
    found = checkpoint.read(tmp_path / "field.safetensors")
    assert found.signal == image.metadata()
    assert found.outputs == LOGITS


def test_a_class_that_load_does_not_know_is_refused(tmp_path):
    class Mine(fastsnf.SNF):
        def forward(self, x):
            return torch.sigmoid(super().forward(x))

    with pytest.raises(InputError, match="Mine"):
        fastsnf.save(Mine(2, 1), tmp_path / "field.safetensors")
    assert list(tmp_path.iterdir()) == []


def damaged(field, change):
    """Return the contents of a field's file after `change` (tensors, metadata), with a valid hash."""
    tensors, metadata = (
        dict(field.state_dict()),
        {**checkpoint.describe_field(field), "signal": None, "outputs": "values"},
    )
    change(tensors, metadata)
    return container.encode(tensors, metadata, "field")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: t.pop("net.0.linear.bias"), "missing: net.0.linear.bias"),
        (lambda t, m: t.update(extra=torch.zeros(1)), "foreign: extra"),
        (lambda t, m: t.update({"net.2.bias": torch.zeros(2)}), r"net.2.bias as torch.float32 \[1\]"),
        (lambda t, m: t.update({"net.2.bias": torch.zeros(1).double()}), "torch.float64"),
        (lambda t, m: m["field"].update({"class": "resnet"}), "resnet"),
        (lambda t, m: m["field"]["config"].update(hidden_features=10**12), "overflow"),
        (lambda t, m: m["field"]["config"].update(hidden_features=100), "expected net"),
        (lambda t, m: m["field"]["config"].update(hidden_layers=10**9), "1000000000 layers"),
        (lambda t, m: m["field"]["config"].update(colour=3), "colour"),
        (lambda t, m: m["field"]["spec"]["activations"][0].update(omega=3.0), "spec"),
        (lambda t, m: m.update(outputs="odds"), "odds"),
        (lambda t, m: m.update(signal=3), "signal"),
        (lambda t, m: m.pop("field"), "field"),
    ],
)
def test_contents_that_do_not_fit_are_refused(change, message, tmp_path):
    path = tmp_path / "field.safetensors"
    path.write_bytes(damaged(small_field(), change))
    with pytest.raises(InputError, match=message):
        fastsnf.load(path)


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path, first = tmp_path / "field.safetensors", small_field(seed=1)
    fastsnf.save(first, path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        fastsnf.save(small_field(seed=2), path)
    assert same_state(fastsnf.load(path), first)
    assert list(tmp_path.glob(STRAYS)) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="none"):
        fastsnf.save(small_field(), tmp_path / "none" / "field.safetensors")


def test_a_run_folder_loads(tmp_path):
    result = fit_small(tmp_path / "run")
    assert same_state(fastsnf.load(tmp_path / "run"), result.field)
    (tmp_path / "run" / checkpoint.FIELD_FILE).unlink()
    assert same_state(fastsnf.load(tmp_path / "run"), result.field)
    assert checkpoint.read(tmp_path / "run").signal == small_image().metadata()


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="run folder"):
        fastsnf.load(tmp_path)

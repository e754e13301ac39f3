"""``fastsnf render``: any resolution from a run or a file, and every request that it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fastsnf
from fastsnf.cli import render as module


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run folder of a 6 x 10 colour picture, weights as initialised."""
    monkeypatch.chdir(tmp_path)
    folder = Path("run")
    folder.mkdir()
    image = fastsnf.signals.Image.from_array(np.zeros((6, 10, 3), dtype=np.uint8))
    field = fastsnf.SNF(2, 3, hidden_features=8, hidden_layers=1)
    with torch.no_grad():  # mid-gray with structure, so that a wrong order of pixels shows
        field.net[-1].bias.fill_(0.5)
    fastsnf.save(field, folder / "field.safetensors", image)
    return folder


def expected(run, height, width):
    field = fastsnf.load(run)
    axes = [torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1) for side in (height, width)]
    with torch.no_grad():
        values = field(torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1))
    return (values.clamp(0, 1) * 255).round().numpy()


@pytest.mark.parametrize(
    ("args", "size", "name"),
    [
        ([], (10, 6), "run/render-10x6.png"),
        (["--size", "7x5"], (7, 5), "run/render-7x5.png"),
        (["--size", "1x1"], (1, 1), "run/render-1x1.png"),
        (["--scale", 2.5], (25, 15), "run/render-25x15.png"),
        (["--scale", 1e-9], (1, 1), "run/render-1x1.png"),
        (["--size", "40x3", "--output", "o ü.tif"], (40, 3), "o ü.tif"),
    ],
)
def test_a_run_is_decoded_at_any_resolution(command, run, args, size, name, monkeypatch):
    monkeypatch.setattr("fastsnf.train.evaluate.CHUNK_POINTS", 13)
    done = command("render", run, *args)
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{name}\n"
    with Image.open(name) as picture:
        assert picture.size == size
        pixels = np.asarray(picture).astype(int)
    assert np.abs(pixels - expected(run, size[1], size[0])).max() <= 1


def test_a_file_of_a_field_is_decoded_beside_it(command, run):
    done = command("render", run / "field.safetensors", "--engine", "reference")
    assert done.out == "run/field-10x6.png\n"
    assert Path("run/field-10x6.png").exists()


def test_logits_are_decoded_to_values(command, run, tmp_path):
    Image.fromarray(np.full((4, 4), 255, dtype=np.uint8)).save("white.png")
    fit = ("fit", "white.png", "--loss", "bce", "--steps", 40, "--out", "logits", "--hidden-features", 8)
    assert command(*fit, "--json").status == 0
    assert command("render", "logits").status == 0
    with Image.open("logits/render-4x4.png") as picture, Image.open("logits/reconstruction.png") as fitted:
        assert np.array_equal(np.asarray(picture), np.asarray(fitted))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "--size", "99999999x99999999"], "ask for a smaller --size"),
        (["run", "--scale", 1e30], "ask for a smaller --size"),
        (["run", "--size", "3x3", "--scale", 2], "expected --size or --scale; got both"),
        (["run", "--size", "3"], "two positive whole numbers"),
        (["run", "--scale", 0], "above 0"),
        (["run", "--output", "o.gif"], "expected a picture file ending in"),
        (["run", "--output", "absent/o.png"], "'absent'"),
        (["run", "--engine", "cuda"], "cuda"),
        (["run", "--device", "abacus"], "abacus"),
        (["run", "--outptu", "o.png"], "did you mean '--output'?"),
        (["absent"], "absent"),
        (["empty"], "empty"),
        (["text.safetensors"], "text.safetensors"),
    ],
)
def test_a_wrong_request_is_status_2_and_one_line(command, run, args, said):
    Path("empty").mkdir()
    Path("text.safetensors").write_text("no tensors")
    done = command("render", *args)
    assert done.status == 2
    assert said in done.line()
    assert done.out == ""
    assert not list(Path().glob("**/*.png"))


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.99])
def test_a_flipped_bit_is_found(command, run, place):
    path = run / "field.safetensors"
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 16
    path.write_bytes(data)
    done = command("render", run)
    assert done.status == 2
    assert "field.safetensors" in done.line()


def test_a_pickle_is_not_run(command, tmp_path, run):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (Path("touched"),))

    torch.save({"weights": Evil()}, run / "field.safetensors")
    done = command("render", run)
    assert done.status == 2
    assert done.line()
    assert not Path("touched").exists()


def test_a_field_without_its_signal_cannot_be_rendered(command, run):
    fastsnf.save(fastsnf.SNF(2, 3, hidden_features=8), "bare.safetensors")
    done = command("render", "bare.safetensors")
    assert done.status == 2
    assert "pass the signal to fastsnf.save" in done.line()


def test_a_full_disk_is_status_1_and_leaves_nothing(command, run, monkeypatch):
    import os

    def full(descriptor):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    done = command("render", run, "--output", "o.png")
    assert done.status == 1
    assert "No space left" in done.line()
    assert not list(Path().glob("*o.png*"))


def test_memory_is_asked_before_it_is_taken(monkeypatch, command, run):
    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    done = command("render", run, "--size", "20x20")
    assert done.status == 2
    assert "0.0 GB of free memory" in done.line()
    assert command("render", run, "--size", "2x2").status == 0

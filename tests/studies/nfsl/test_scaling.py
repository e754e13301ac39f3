"""The narrowest network that reaches a PSNR: the search, its data and networks, and the claims."""

import math

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from fastsnf.errors import InputError
from fastsnf.studies import reproduce
from fastsnf.studies.nfsl.config import ScalingSettings
from fastsnf.studies.nfsl.networks import curve, network, parameters, pixels, steps_to
from fastsnf.studies.nfsl.scaling import NO_DATA, PARTS, Scaling, exponent, narrowest
from fastsnf.studies.study import Outcome, Row

FACTS = {
    "activation": "sinc", "init": "lecun-normal", "deep": False, "omega": 30.0, "sigma": 5.0, "width": 6,
    "seed": 0, "psnr": 20.0, "steps": 400, "optimizer": "adam", "lr": 1e-2, "device": "cpu",
}  # fmt: skip
TINY = {
    "curve_samples": (4, 8), "pixels": (6, 12), "size": "16x16", "curve_psnr": 12.0, "pixel_psnr": 8.0,
    "width": 8, "most_width": 16, "steps": 20, "lr": 1e-2, "device": "cpu",
}  # fmt: skip


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "noise.png"
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("wanted", [2, 3, 5, 37, 64, 4095, 4096])
def test_the_search_finds_the_narrowest_and_asks_no_width_twice(wanted):
    asked = []

    def converges(width):
        asked.append(width)
        return width >= wanted

    assert narrowest(converges, 2, 4096) == wanted
    assert len(asked) == len(set(asked)) <= 2 * math.log2(4096)


def test_a_search_without_an_answer_ends_at_the_widest():
    asked = []
    assert narrowest(lambda width: bool(asked.append(width)), 2, 100) is None
    assert asked[-1] == 100


def test_the_exponent_is_that_of_a_power_law():
    samples = (10, 20, 50, 200)
    assert exponent(samples, [3.0 * n**1.5 for n in samples]) == pytest.approx(1.5)
    assert exponent(samples, [3.0 * 10**1.5, None, 3.0 * 50**1.5, None]) == pytest.approx(1.5)
    assert exponent(samples, [7.0, None, None, None]) is None


def test_the_curve_is_the_papers():
    x, y = curve(41)
    wanted = sum(np.sin(2 * np.pi * k * x.double().numpy()) for k in (1, 3, 5))
    assert x[0] == -1
    assert x[-1] == 1
    np.testing.assert_allclose(6 * (y.double().numpy() - 0.5), wanted, atol=2e-5)


def test_pixels_are_drawn_without_repetition(picture):
    from fastsnf.signals import Image

    image = Image.open(picture, mode="rgb")
    x, y = pixels(image, 100, seed=3)
    assert len({tuple(row) for row in x.tolist()}) == 100
    place = {tuple(c): v for c, v in zip(image.coords.tolist(), image.values.tolist(), strict=True)}
    assert all(place[tuple(c)] == v for c, v in zip(x.tolist(), y.tolist(), strict=True))
    assert torch.equal(pixels(image, 100, seed=3)[0], x)
    assert not torch.equal(pixels(image, 100, seed=4)[0], x)


@pytest.mark.parametrize("activation", ["sinc", "relu-pe"])
@pytest.mark.parametrize("deep", [False, True])
def test_only_the_last_hidden_layer_grows(activation, deep):
    facts = {**FACTS, "activation": activation, "deep": deep}
    narrow, wide = (network(facts, width, (2, 3)) for width in (4, 9))
    inputs = 2 if activation == "sinc" else 16 if deep else 8
    fixed = [6, 6, 6] if deep else []
    for field, width in ((narrow, 4), (wide, 9)):
        assert [linear.in_features for linear in field.linears()] == [inputs, *fixed, width]
        assert field.out_features == 3
        assert parameters(field) == sum(w.numel() + w.shape[0] for w in field.layer_tensors()[0])
        assert all(not bias.any() for bias in field.layer_tensors()[1])
    assert torch.isfinite(narrow(torch.rand(5, 2))).all()


def test_the_steps_are_those_to_the_psnr():
    points = curve(8)
    steps = steps_to(network(FACTS, 32, (1, 1)), points, FACTS)
    assert 0 < steps < 400
    field = network(FACTS, 32, (1, 1))
    assert steps_to(field, points, {**FACTS, "steps": steps}) is None  # it has made them, and not looked
    error = torch.nn.functional.mse_loss(field(points[0]), points[1]).item()
    assert -10 * math.log10(error) >= FACTS["psnr"]
    assert steps_to(network(FACTS, 32, (1, 1)), points, {**FACTS, "lr": 1e30, "optimizer": "sgd"}) is None


def test_every_part_end_to_end_and_without_data(undrawn, tmp_path, picture):
    few = {**TINY, "parts": ("shallow", "deep"), "curve_samples": (4,)}
    bare = reproduce("nfsl-scaling", out=tmp_path / "bare", **few)
    assert all((outcome.why == NO_DATA) == outcome.row.facts["deep"] for outcome in bare.outcomes)
    assert any(NO_DATA in note for note in bare.tables[1].notes)

    whole = reproduce("nfsl-scaling", out=tmp_path / "whole", data=str(picture), **TINY)
    assert not whole.failures
    assert len(whole.outcomes) == 2 * (6 + 6 + 1 + 4)  # equal networks of two parts are one row
    assert len(whole.tables) == 4
    for table in whole.tables:
        assert table.columns[-2:] == ("exponent", "theorem")
    own = [row[-1] for row in whole.tables[2].rows if row[0].endswith("nfsl-normal")]
    assert own == ["N^2 (4.9)"]
    others = {row[-1] for row in whole.tables[1].rows}
    assert others == {"N^2.5 (4.4)", "N^3 (Nguyen)"}  # Eq. 4.4, and the paper's account of Nguyen's
    assert all(row[-1].startswith("none (normal: ") for row in whole.tables[3].rows)
    for outcome in whole.outcomes:
        tried, width = dict(outcome.result["tried"]), outcome.result["width"]
        assert width is None or tried[width] is not None
        assert width in (None, 2) or tried[width - 1] is None


def test_claims_count_what_can_be_compared(tmp_path):
    counts = (10, 20, 30, 40)
    study = Scaling(ScalingSettings(parts=("normal",), pixels=counts, device="cpu"), tmp_path)
    needed = {
        "nfsl-normal": (5, 9, None, None),
        "lecun-normal": (8, None, None, None),
        "xavier-normal": (6, 8, 7, None),
        "kaiming-normal": (7, 7, None, None),
    }
    outcomes = [
        Outcome(
            Row({"deep": True, "activation": "sinc", "init": init, "samples": n, "seed": 0}, ""),
            {"parameters": value},
        )
        for init, values in needed.items()
        for n, value in zip(counts, values, strict=True)
    ]
    (table,) = study.tables(outcomes)
    assert "at 1 of 3 numbers" in table.notes[0]  # a rival alone got there at 30: that is a loss
    assert [row[1] for row in table.rows] == ["5", "8", "6", "7"]
    assert {part for part, row in PARTS.items() if row.deep} == {"deep", "normal", "uniform"}


def test_more_pixels_than_the_picture_has():
    with pytest.raises(InputError, match="at most 256 pixels"):
        ScalingSettings(size="16x16", pixels=(300,))

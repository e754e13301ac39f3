"""Super-resolution: averages of blocks as the operator of NFSL, Sec. 5.2, and what a fit of one is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import fastsnf
from fastsnf import signals
from fastsnf.errors import InputError
from fastsnf.signals import Image, SuperResolution
from fastsnf.train.metrics import ssim
from tests.signals.files import noise


def _smooth(height: int = 24, width: int = 32) -> Image:
    y, x = np.mgrid[0:height, 0:width] / 8.0
    return Image.from_array((0.5 + 0.4 * np.stack([np.sin(y), np.cos(x), np.sin(x + y)], -1)).astype("f4"))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_values_are_means_of_blocks_and_coordinates_those_of_their_pixels(factor: int) -> None:
    image = Image.from_array(noise((24, 36, 3), "float32"))
    signal = SuperResolution.from_image(image, factor)
    assert signal.shape == (24 // factor, 36 // factor)
    x, y, w = signal.batch(slice(0, signal.size))
    assert w is None
    assert x.shape == (signal.size, factor**2, 2)
    # the large picture, looked up at the very coordinates of the batch, averages to the values
    table = {tuple(point): value for point, value in zip(image.coords.tolist(), image.values, strict=True)}
    outputs = torch.stack([table[tuple(point)] for point in x.reshape(-1, 2).tolist()])
    reduced = signal.reduce(outputs.reshape(signal.size, factor**2, 3))
    assert torch.allclose(reduced, y, atol=1e-6)
    assert len(table) == x.shape[0] * x.shape[1]  # every pixel once
    assert torch.allclose(signal.coords, x.mean(dim=1), atol=1e-6)
    index = torch.tensor([5, 0, 5])
    for whole, part in zip((x, y), signal.batch(index), strict=False):
        assert torch.equal(whole[index], part)
    assert torch.equal(signal.batch(slice(3, 9, 2))[0], x[3:9:2])


def test_the_rest_beyond_whole_blocks_is_left_out() -> None:
    image = Image.from_array(noise((11, 18), "float32"))
    signal = SuperResolution.from_image(image, 4)
    assert signal.shape == (2, 4)
    assert signal.evaluation.shape == (8, 16)
    kept = image.values.reshape(11, 18)[:8, :16]
    assert torch.equal(signal.evaluation.values.reshape(8, 16), kept)
    assert torch.allclose(signal.values[-1], kept[4:, 12:].mean(), atol=1e-6)


def test_bad_pictures_and_factors_are_refused(tmp_path: Path) -> None:
    for factor in (0, 1, 2.0, True, 65, "4"):
        with pytest.raises(InputError, match="factor"):
            SuperResolution.from_image(_smooth(), factor)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lower the factor"):
        SuperResolution.from_image(_smooth(3, 32), 4)
    with pytest.raises(InputError, match="transparency"):
        SuperResolution.from_image(Image.from_array(noise((8, 8, 4))))
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="expected"):
        signals.open(tmp_path / "x.png", kind="super-resolution")


def test_metadata_restore_what_rendering_needs(tmp_path: Path) -> None:
    signal = SuperResolution.from_image(_smooth())
    metadata = json.loads(json.dumps(signal.metadata()))
    restored = signals.from_metadata(metadata)
    assert isinstance(restored, SuperResolution)
    assert restored.metadata() == signal.metadata()
    assert restored.evaluation.shape == (24, 32)
    assert not restored.held
    assert torch.equal(restored.to_coordinates([[3, 4.5]]), signal.image.to_coordinates([[3, 4.5]]))
    restored.write(signal.image.values, (24, 32), tmp_path / "a.png")
    with PIL.Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), signal.image.to_array())
    for key, value in (("factor", 5), ("factor", 1), ("image", None), ("shape", [6, 6]), ("out_features", 1)):
        with pytest.raises(InputError, match="expected"):
            signals.from_metadata({**metadata, key: value})


@pytest.mark.parametrize("activation", ["sine", "gaussian"])
def test_a_fit_is_measured_on_the_large_picture(tmp_path: Path, activation: str) -> None:
    PIL.Image.fromarray(_smooth().to_array()).save(tmp_path / "a.png")
    signal = signals.open(tmp_path / "a.png", kind="super-resolution", factor=4, mode="gray")
    if activation == "sine":
        field = fastsnf.SNF(2, 1, 32, 3, first_omega=6, hidden_omega=6, alpha=1)
    else:
        field = fastsnf.SNF(2, 1, 32, 3, activation=fastsnf.Gaussian(2.0), init="nfsl-normal")
    result = fastsnf.fit(field, signal, steps=300, lr=3e-3, run=tmp_path / "run")
    large = signal.evaluation
    assert result.values is not None
    assert result.values.shape == large.values.shape
    mse = float((result.values - large.values).square().mean())
    assert result.psnr == pytest.approx(-10 * np.log10(mse), abs=1e-3)
    shape = (*large.shape, 1)
    similar = ssim(result.values.reshape(shape), large.values.reshape(shape))
    assert result.metrics["ssim"] == pytest.approx(similar, abs=1e-5)
    assert result.psnr > 20
    with PIL.Image.open(tmp_path / "run" / "reconstruction.png") as picture:
        assert picture.size == (32, 24)
    restored = fastsnf.load(tmp_path / "run").signal
    assert isinstance(restored, SuperResolution)


def test_the_gradients_are_those_of_the_averages() -> None:
    from fastsnf.train import FitConfig
    from fastsnf.train.optimizers import make_optimizer
    from fastsnf.train.step import Step, trainable

    signal = SuperResolution.from_image(_smooth())
    field = fastsnf.SNF(2, 3, 16, 2)
    config = FitConfig()
    step = Step(field, make_optimizer(config, trainable(field)), config, signal)
    x, y, _ = signal.batch(torch.tensor([3, 40, 7]))
    loss = step.gradients(x, y)
    gradients = [parameter.grad.clone() for parameter in field.parameters() if parameter.grad is not None]
    field.zero_grad()
    expected = (field(x.reshape(-1, 2)).reshape(3, 16, 3).mean(dim=1) - y).square().mean()
    expected.backward()
    assert torch.allclose(loss, expected, rtol=1e-5)
    for parameter, gradient in zip(field.parameters(), gradients, strict=True):
        assert torch.allclose(gradient, parameter.grad, rtol=1e-3, atol=1e-6)


def test_without_the_large_picture_a_fit_is_measured_on_the_small_one(tmp_path: Path) -> None:
    small = SuperResolution.from_image(_smooth()).values.reshape(6, 8, 3)
    PIL.Image.fromarray(Image.from_array(small).to_array()).save(tmp_path / "small.png")
    signal = SuperResolution.open(tmp_path / "small.png", factor=4, small=True)
    assert signal.shape == (6, 8)
    assert signal.image.shape == (24, 32)
    field = fastsnf.SNF(2, 3, 32, 3, first_omega=6, hidden_omega=6, alpha=1)
    result = fastsnf.fit(field, signal, steps=300, lr=3e-3)
    assert result.values is not None
    assert result.values.shape == (48, 3)
    assert result.psnr > 25
    assert list(result.metrics) == ["psnr"]


def test_settings_that_need_single_outputs_are_refused() -> None:
    signal, field = SuperResolution.from_image(_smooth()), fastsnf.SNF(2, 3, 16, 2)
    for options, words in (
        ({"loss": "bce"}, "made of several outputs"),
        ({"holdout": 2}, "measured elsewhere"),
        ({"iga": fastsnf.ntk.IGA()}, "several outputs"),
    ):
        with pytest.raises(InputError, match=words):
            fastsnf.fit(field, signal, steps=1, **options)

"""Pictures decoded in strips: the samples of the whole, without its values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from fastsnf.signals import Image
from fastsnf.signals.image_rendering import ImageRendering
from fastsnf.signals.rendering import Rendering


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (1, 16), (3, 16)])
def test_strips_are_the_picture(tmp_path, channels, bits):
    image = Image((4, 6), channels, bits=bits)
    values = torch.rand(9 * 7, channels) * 1.2 - 0.1
    rendering = image.rendering((9, 7))
    assert isinstance(rendering, ImageRendering)
    assert rendering.bytes == 9 * 7 * channels * 8
    for start in range(0, 63, 10):
        rendering.add(start, values[start : start + 10])
    assert np.array_equal(rendering.samples, image.to_array(values, (9, 7)))
    rendering.write(tmp_path / "o.png")
    image.write(values, (9, 7), tmp_path / "whole.png")
    assert (tmp_path / "o.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    with Pillow.open(tmp_path / "o.png") as picture:
        assert picture.size == (7, 9)


def test_a_second_pass_starts_anew():
    rendering = Image((2, 2), 1).rendering((2, 2))
    assert isinstance(rendering, ImageRendering)
    rendering.add(0, torch.zeros(4, 1))
    rendering.add(0, torch.ones(4, 1))
    assert rendering.samples.tolist() == [[255, 255], [255, 255]]


def test_a_picture_with_its_data_keeps_values():
    image = Image.from_array(np.zeros((3, 5, 3), dtype=np.uint8))
    rendering = image.rendering(image.shape)
    assert type(rendering) is Rendering
    values = torch.rand(15, 3) * 3
    rendering.add(0, values[:8])
    rendering.add(8, values[8:])
    assert torch.equal(rendering.values, values)

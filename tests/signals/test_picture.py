"""Arrays, masks, gray, crop and resize against Pillow and plain NumPy."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals import Image
from fastsnf.signals.picture import FLOAT_SLACK
from tests.signals.files import noise

LANCZOS = PIL.Image.Resampling.LANCZOS


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (1, 1), (1, 9, 3), (9, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_arrays_become_unit_values(shape: tuple[int, ...], dtype: str) -> None:
    array = noise(shape, dtype)
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    for form in (
        array,
        torch.from_numpy(array),
        array.astype(array.dtype.newbyteorder(">")),
        array[::-1, ::-1],
    ):
        image = Image.from_array(form)
        expected = np.asarray(form).astype(np.float64).reshape(shape[0] * shape[1], -1) / top
        assert np.abs(image.values.numpy() - expected).max() < 1e-7
        assert image.values.dtype == torch.float32
        assert image.values.is_contiguous()
        assert image.shape == shape[:2]
        assert image.weights is None


def test_bools_float64_and_bfloat16_are_taken_too() -> None:
    assert Image.from_array([[True, False]]).values.tolist() == [[1.0], [0.0]]
    assert Image.from_array(np.array([[0.25, 1 + 1e-9]])).values.tolist() == [[0.25], [1.0]]
    assert Image.from_array(torch.tensor([[0.5]], dtype=torch.bfloat16)).values.tolist() == [[0.5]]


def test_the_image_does_not_share_memory_with_the_array() -> None:
    array = noise((4, 4), "float32")
    image = Image.from_array(array)
    before = image.values.clone()
    array[:] = 0
    assert torch.equal(image.values, before)


@pytest.mark.parametrize("channels", [2, 4])
def test_the_last_of_2_and_4_channels_is_alpha(channels: int) -> None:
    array = noise((5, 7, channels))
    image = Image.from_array(array)
    assert image.out_features == channels - 1
    assert image.weights is not None
    assert np.allclose(image.weights.numpy(), array[..., -1].reshape(-1) / 255, atol=1e-7)
    assert np.allclose(image.values.numpy(), array[..., :-1].reshape(35, -1) / 255, atol=1e-7)


def test_nan_holes_masks_and_alpha_multiply() -> None:
    array = noise((4, 5, 4), "float32")
    array[1, 2, 0] = np.nan
    array[2, 2, 3] = np.nan
    mask = noise((4, 5), "float32", seed=1)
    mask[3, 3] = 0
    image = Image.from_array(array, mask)
    expected = array[..., 3] * mask
    expected[1, 2] = expected[2, 2] = 0
    assert image.weights is not None
    assert np.allclose(image.weights.numpy(), expected.reshape(-1), atol=1e-7)
    assert image.values[7].tolist() == [0, *array[1, 2, 1:3].tolist()]
    assert image.values.isfinite().all()


def test_bool_masks_say_what_is_there() -> None:
    image = Image.from_array(noise((2, 2)), [[True, False], [True, True]])
    assert image.weights is not None
    assert image.weights.tolist() == [1, 0, 1, 1]
    assert Image.from_array(noise((2, 2)), np.ones((2, 2), bool)).weights is None


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 4), np.uint8), "at least one pixel"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((2, 2, 5), np.uint8), "C = 1, 2"),
        (np.zeros((1, 2, 2, 3), np.uint8), "shape"),
        (np.zeros((2, 2), np.int32), "uint8, uint16, float"),
        (np.zeros((2, 2), np.complex64), "uint8, uint16, float"),
        (np.array([["a"]]), "uint8, uint16, float"),
        (np.full((2, 2), 255.0), "clip or rescale"),
        (np.full((2, 2), 1 + 2 * FLOAT_SLACK), "clip or rescale"),
        (np.full((2, 2), 1e300), "clip or rescale"),
        (np.full((2, 2), -np.inf), "clip or rescale"),
        (np.full((2, 2), np.nan), "at least one pixel to fit"),
    ],
)
def test_arrays_that_are_no_picture_are_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Image.from_array(array)


@pytest.mark.parametrize(
    "mask",
    [np.ones((2, 3)), np.full((3, 2), 2.0), np.full((3, 2), np.nan), np.full((3, 2), -1), [["a", "b"]] * 3],
)
def test_masks_of_another_shape_or_range_are_refused(mask: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected a mask"):
        Image.from_array(noise((3, 2)), mask)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="at least one pixel to fit"):
        Image.from_array(noise((3, 2)), np.zeros((3, 2)))


def test_gray_is_pillows_l() -> None:
    array = noise((64, 64, 3))
    expected = np.asarray(PIL.Image.fromarray(array).convert("L"))
    assert np.array_equal(Image.from_array(array, mode="gray").to_array(), expected)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_gray_of_deeper_samples_keeps_their_depth(dtype: str) -> None:
    array = noise((16, 16, 3), dtype)
    array[0, 0] = 1 if dtype == "float32" else 65535
    image = Image.from_array(array, mode="gray")
    unit = array.astype(np.float64) / (1 if dtype == "float32" else 65535)
    expected = unit @ [0.299, 0.587, 0.114]
    # Half a step of 16 bits, and the fixed point of the weights.
    assert np.abs(image.values.numpy()[:, 0] - expected.reshape(-1)).max() < 0.5 / 65535 + 1e-5
    assert image.values[0, 0] == 1


def test_rgb_of_gray_repeats_it() -> None:
    array = noise((4, 5), "uint16")
    image = Image.from_array(array, mode="rgb")
    assert torch.equal(image.values, Image.from_array(array).values.expand(-1, 3))


@pytest.mark.parametrize("mode", ["grey", "RGB", "", 1])
def test_modes_that_are_none_are_refused(mode: str) -> None:
    with pytest.raises(InputError, match="gray, rgb"):
        Image.from_array(noise((2, 2)), mode=mode)


@pytest.mark.parametrize(
    "size", [(24, 16), (16, 24), (10, 10), (60, 40), (1, 1), (48, 1), (31, 17), (48, 32)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_crop_and_resize_are_pillows_fit(size: tuple[int, int], channels: int) -> None:
    array = noise((32, 48, channels)).squeeze()
    picture = PIL.Image.fromarray(array)
    assert np.array_equal(
        Image.from_array(array, size=size).to_array(), np.asarray(PIL.ImageOps.fit(picture, size, LANCZOS))
    )
    assert np.array_equal(
        Image.from_array(array, size=size, squeeze=True).to_array(), np.asarray(picture.resize(size, LANCZOS))
    )


def test_a_crop_alone_moves_no_sample() -> None:
    array = noise((32, 48, 3), "uint16")
    image = Image.from_array(array, size="32x32")
    assert np.array_equal(image.values.numpy(), Image.from_array(array[:, 8:40]).values.numpy())


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_resizing_deeper_samples_stays_in_range_and_depth(dtype: str) -> None:
    array = (noise((40, 40), "uint8") > 127).astype(dtype)  # hard edges: Lanczos overshoots
    array *= array.dtype.type(1 if dtype == "float32" else 65535)
    image = Image.from_array(array, size=(23, 23))
    plane = PIL.Image.fromarray(array.astype(np.float32) / np.float32(array.max()))
    expected = np.clip(np.asarray(plane.resize((23, 23), LANCZOS)), 0, 1)
    assert np.abs(image.values.numpy() - expected.reshape(-1, 1)).max() < 0.51 / 65535
    assert image.values.min() == 0
    assert image.values.max() == 1


def test_hidden_colours_do_not_bleed_into_seen_ones() -> None:
    array = np.zeros((16, 16, 4), np.uint8)
    array[..., :3] = 255  # white, but hidden, beside a visible gray
    array[:, :8] = [100, 110, 120, 255]
    image = Image.from_array(array, size=(8, 8))
    assert image.weights is not None
    seen = image.weights > 0.5
    expected = torch.tensor([100, 110, 120]) / 255
    torch.testing.assert_close(
        image.values[seen], expected.expand(int(seen.sum()), 3), rtol=0, atol=0.51 / 255
    )
    weights = image.weights.reshape(8, 8)
    assert (weights[:, :3] > 0.9).all()
    assert (weights[:, 5:] < 0.01).all()


def test_sizes_beyond_the_pixel_limit_are_refused() -> None:
    with pytest.raises(InputError, match="at most"):
        Image.from_array(noise((2, 2)), size=(10**5, 10**5))

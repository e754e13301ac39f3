from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fastsnf.errors import InputError, RunError
from fastsnf.signals import Samples, from_metadata, synthetic


def test_the_spectrum_in_one_dimension_is_the_lines() -> None:
    function = synthetic.BandLimited(((3.0,), (10.0,)), (0.7, 0.2), (0.4, -1.1), offset=0.05)
    signal = function.samples((65,))
    assert (signal.shape, signal.in_features, signal.out_features) == ((65,), 1, 1)
    spectrum = (
        np.fft.rfft(signal.values.double().numpy()[:-1, 0]) / 64
    )  # one period: the last point repeats the first
    expected = np.zeros(33, complex)
    expected[0] = 0.05
    expected[3] = 0.35 * np.exp(0.4j)
    expected[10] = 0.1 * np.exp(-1.1j)
    assert np.abs(spectrum - expected).max() < 1e-6


def test_the_spectrum_in_two_dimensions_is_the_lines() -> None:
    function = synthetic.BandLimited(((3.0, -5.0),), (0.25,), (0.3,), offset=0.5)
    image = function.image((33, 41))
    plane = image.values.double().numpy().reshape(33, 41)[:-1, :-1]
    spectrum = np.fft.fft2(plane) / plane.size
    expected = np.zeros_like(spectrum)
    expected[0, 0] = 0.5
    expected[3, -5] = 0.125 * np.exp(0.3j)
    expected[-3, 5] = 0.125 * np.exp(-0.3j)
    assert np.abs(spectrum - expected).max() < 1e-6


def test_a_function_can_be_asked_anywhere() -> None:
    function = synthetic.BandLimited(((2.0,),), (1.0,), (0.0,))
    x = torch.tensor([[[-1.0], [-0.75]], [[0.0], [0.25]]], dtype=torch.float64)
    expected = torch.cos(2 * math.pi * 2 * (x + 1) / 2)
    torch.testing.assert_close(function(x), expected)
    with pytest.raises(InputError, match="coordinates of 1 axes"):
        function(torch.zeros(3, 2))


@pytest.mark.parametrize(("dimensions", "lines", "top"), [(1, 5, 5), (1, 3, 20), (2, 12, 2), (3, 6, 4)])
def test_random_functions_follow_their_seed_and_bounds(dimensions: int, lines: int, top: int) -> None:
    first, again, other = (
        synthetic.random_band_limited(dimensions, lines, top, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    vectors = np.array(first.frequencies)
    assert vectors.shape == (lines, dimensions)
    assert np.abs(vectors).max() <= top
    both = {tuple(v) for v in (*vectors.tolist(), *(-vectors).tolist())}
    assert len(both) == 2 * lines  # distinct lines, none of them constant
    values = first.samples((9,) * dimensions).values
    assert 0 <= values.min() <= values.max() <= 1


def test_more_lines_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match="1 to 5 lines"):
        synthetic.random_band_limited(1, 6, 5, seed=0)


def test_lines_need_one_amplitude_and_phase_each() -> None:
    for frequencies, amplitudes in (((), ()), (((1.0,),), (1.0, 2.0)), (((1.0,), (1.0, 2.0)), (1.0, 1.0))):
        with pytest.raises(InputError, match="one amplitude"):
            synthetic.BandLimited(frequencies, amplitudes, amplitudes)


def test_checkerboard() -> None:
    board = synthetic.checkerboard((4, 6), 2).values.reshape(4, 6)
    assert board.tolist() == [[0, 0, 1, 1, 0, 0]] * 2 + [[1, 1, 0, 0, 1, 1]] * 2
    with pytest.raises(InputError, match="at least one pixel"):
        synthetic.checkerboard((4, 6), 0)


def test_siemens_star_has_its_spokes() -> None:
    star = synthetic.siemens_star((201, 201), 12).values.reshape(201, 201)
    angles = torch.arange(0, 360) * (math.pi / 180)
    rows, columns = (
        (100 + 80 * torch.sin(angles)).round().long(),
        (100 + 80 * torch.cos(angles)).round().long(),
    )
    circle = star[rows, columns].numpy()
    assert np.argmax(np.abs(np.fft.rfft(circle - circle.mean()))) == 12
    with pytest.raises(InputError, match="spoke"):
        synthetic.siemens_star((9, 9), 0)


def test_samples_round_trip(tmp_path: Path) -> None:
    weights = torch.rand(3, 4) + 0.1
    signal = Samples.from_array(torch.randn(3, 4, 2, dtype=torch.float64), weights)
    assert (signal.shape, signal.out_features) == ((3, 4), 2)
    assert signal.weights is not None
    assert torch.equal(signal.weights, weights.reshape(-1))
    restored = from_metadata(json.loads(json.dumps(signal.metadata())))
    assert isinstance(restored, Samples)
    path = tmp_path / restored.default_name
    restored.write(signal.values, signal.shape, path)
    with np.load(path, allow_pickle=False) as file:
        assert np.array_equal(file["values"], signal.values.numpy().reshape(3, 4, 2))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    with pytest.raises(InputError, match=r"\.npz"):
        signal.write(signal.values, signal.shape, tmp_path / "x.png")
    with pytest.raises((InputError, RunError), match="expected a place"):
        signal.write(signal.values, signal.shape, tmp_path / "missing" / "x.npz")


@pytest.mark.parametrize(
    "array", [torch.zeros(3), torch.zeros(0, 1), torch.zeros(3, 1, dtype=torch.complex64)]
)
def test_arrays_that_are_no_samples_are_refused(array: torch.Tensor) -> None:
    with pytest.raises(InputError, match="real samples"):
        Samples.from_array(array)

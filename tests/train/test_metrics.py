from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.train.metrics import SquaredError, psnr, psnr_of, psnr_published, ssim


def test_psnr_is_unclipped_and_over_all_values() -> None:
    target = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    prediction = target + torch.tensor([[-0.1, 0.3], [0.0, 0.0]])
    assert psnr(prediction, target) == pytest.approx(-10 * math.log10((0.01 + 0.09) / 4), abs=1e-5)


def test_exact_predictions_are_infinitely_good_and_nan_stays_nan() -> None:
    target = torch.rand(5, 3)
    assert psnr(target, target) == math.inf
    assert psnr_published(target, target) == pytest.approx(80)
    assert math.isnan(psnr(target * torch.nan, target))
    assert psnr_of(0.01) == pytest.approx(20)


@pytest.mark.parametrize("weighted", [False, True])
def test_chunks_add_up_to_the_whole(weighted: bool) -> None:
    prediction, target = torch.randn(103, 3), torch.randn(103, 3)
    weight = torch.rand(103) * (torch.rand(103) > 0.3) if weighted else None
    error = SquaredError()
    for start in range(0, 103, 20):
        part = slice(start, start + 20)
        error.add(prediction[part], target[part], None if weight is None else weight[part])
    squares = (prediction.double() - target.double()).square().numpy()
    expected = np.average(squares.mean(1), weights=None if weight is None else weight.double().numpy())
    assert error.mse == pytest.approx(expected, rel=1e-12)
    assert error.psnr == pytest.approx(psnr(prediction, target, weight), rel=1e-12)


def test_points_of_weight_zero_do_not_count_even_as_nan() -> None:
    target = torch.tensor([[0.5], [torch.nan], [9.0]])
    prediction = torch.tensor([[0.6], [0.0], [torch.nan]])
    weight = torch.tensor([1.0, 0.0, 0.0])
    assert psnr(prediction, target, weight) == pytest.approx(20, abs=1e-5)
    error = SquaredError()
    assert math.isnan(error.psnr)
    error.add(prediction, target, torch.zeros(3))
    assert math.isnan(error.mse)


def test_float32_sums_of_many_small_errors_do_not_lose_them() -> None:
    target = torch.zeros(1_000_000, 1)
    prediction = torch.full_like(target, 1e-4)
    prediction[0] = 100.0
    exact = (1e4 + 999_999 * 1e-8) / 1e6
    error = SquaredError()
    error.add(prediction, target)
    assert error.mse == pytest.approx(exact, rel=1e-9)


def test_published_psnr_divides_by_the_largest_target() -> None:
    target, prediction = torch.rand(50, 1) * 0.6, torch.rand(50, 1)
    peak = target.max()
    mse = ((prediction / peak).double() - (target / peak).double()).square().mean()
    assert psnr_published(prediction, target) == pytest.approx(float(-10 * torch.log10(mse + 1e-8)), abs=1e-5)
    assert math.isnan(psnr_published(prediction, torch.zeros(50, 1)))


@pytest.mark.parametrize(
    ("prediction", "target", "weight"),
    [
        ((5, 1), (5, 3), None),
        ((5,), (5,), None),
        ((5, 3), (5, 3), (5, 1)),
        ((5, 3), (5, 3), (4,)),
        ((1, 3), (5, 3), None),
    ],
)
def test_nothing_is_broadcast(
    prediction: tuple[int, ...], target: tuple[int, ...], weight: tuple[int, ...] | None
) -> None:
    with pytest.raises(InputError, match=r"\[B, C\]"):
        psnr(torch.zeros(prediction), torch.zeros(target), None if weight is None else torch.ones(weight))


@pytest.mark.parametrize("shape", [(16, 20), (16, 20, 3), (7, 7, 1)])
def test_ssim(shape: tuple[int, ...]) -> None:
    pytest.importorskip("skimage")
    target = torch.rand(shape)
    assert ssim(target, target) == pytest.approx(1)
    noisy = ssim(target + 0.3 * torch.randn(shape), target)
    assert -1 <= noisy < 0.95
    assert ssim(target + 0.02 * torch.randn(shape), target) > noisy


def test_ssim_of_constants_is_wangs_formula() -> None:
    pytest.importorskip("skimage")
    first, second, c1 = 0.25, 0.75, 0.01**2
    expected = (2 * first * second + c1) / (first**2 + second**2 + c1)
    assert ssim(np.full((9, 9), first), np.full((9, 9), second)) == pytest.approx(expected)
    assert ssim(np.full((9, 9), -5.0), np.zeros((9, 9))) == pytest.approx(1)  # clipped, as a file would be


def test_ssim_refuses_what_is_no_pair_of_images() -> None:
    pytest.importorskip("skimage")
    for first, second in (((9, 9), (9, 8)), ((6, 9), (6, 9)), ((9,), (9,))):
        with pytest.raises(InputError, match="at least 7"):
            ssim(np.zeros(first), np.zeros(second))


def test_without_scikit_image_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(InputError, match=r"fastsnf\[report\]"):
        ssim(np.zeros((9, 9)), np.zeros((9, 9)))

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals.samples import Samples
from fastsnf.train.metrics import METRICS, SquaredError, psnr, psnr_of, psnr_published, ssim


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


class Lines(Samples):
    """Samples of which those of index n have the area n."""

    def areas(self, index: torch.Tensor | slice) -> torch.Tensor:
        return torch.arange(self.size, dtype=torch.float32)[index]


def metered(name: str, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None):
    """A figure of `METRICS`, gathered in three chunks."""
    meter = METRICS[name](Lines.from_array(target))
    for first in range(0, len(target), 40):
        chunk = slice(first, min(first + 40, len(target)))
        meter.add(chunk, prediction[chunk], target[chunk], None if weight is None else weight[chunk])
    return meter.value


@pytest.mark.parametrize("weighted", [False, True])
def test_iou_counts_exactly(weighted: bool) -> None:
    prediction, target = torch.rand(101, 2), (torch.rand(101, 2) > 0.6).float()
    prediction[:4] = torch.tensor([[0.5, 0.49999997], [torch.nan, 1.0], [2.0, -1.0], [torch.inf, 0.5]])
    weight = (torch.rand(101) > 0.3).float() * 7 if weighted else None
    here, there = prediction.numpy() >= 0.5, target.numpy() > 0.5
    if weight is not None:
        here, there = here[weight > 0], there[weight > 0]
    assert metered("iou", prediction, target, weight) == (here & there).sum() / (here | there).sum()


def test_iou_of_nothing() -> None:
    empty, full = torch.zeros(101, 1), torch.ones(101, 1)
    assert metered("iou", empty, empty) == 1.0
    assert metered("iou", full, empty) == 0.0
    assert metered("iou", empty, full) == 0.0
    assert math.isnan(METRICS["iou"](Lines.from_array(full)).value)


def test_snr_is_the_ratio_of_powers() -> None:
    target = torch.randn(101, 1)
    prediction = target + 0.1 * torch.randn(101, 1)
    noise = (prediction - target).double().square().sum()
    expected = 10 * math.log10(float(target.double().square().sum() / noise))
    assert metered("snr", prediction, target) == pytest.approx(expected, rel=1e-9)
    mask = (torch.rand(101) > 0.5).float()
    seen = mask > 0
    assert metered("snr", prediction, target, mask) == pytest.approx(
        metered("snr", prediction[seen], target[seen]), rel=1e-9
    )
    assert metered("snr", target, target) == math.inf
    assert metered("snr", target, torch.zeros(101, 1)) == -math.inf
    assert math.isnan(metered("snr", target * torch.nan, target))


def test_psnr_by_area_weights_each_point_with_its_own() -> None:
    target, prediction = torch.rand(101, 1), torch.rand(101, 1)
    areas, mask = torch.arange(101.0), (torch.rand(101) > 0.4).float()
    assert metered("psnr_area", prediction, target) == pytest.approx(psnr(prediction, target, areas))
    expected = psnr(prediction, target, areas * mask)
    assert metered("psnr_area", prediction, target, mask) == pytest.approx(expected)

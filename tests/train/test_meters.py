"""Figures that are added up chunk by chunk."""

from __future__ import annotations

import math

import pytest
import torch

from fastsnf.signals.samples import Samples
from fastsnf.train.meters import METRICS
from fastsnf.train.metrics import psnr


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

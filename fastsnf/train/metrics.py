"""How well a field matches its signal: mean squared error, PSNR and SSIM."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fastsnf.errors import InputError

PUBLISHED_FLOOR = 1e-8
"""What the weight-scaling paper's code adds to the MSE before the logarithm: its PSNR ends at 80 dB."""


def psnr_of(mse: float) -> float:
    """Return ``-10 log10(mse)`` in dB for values whose range is 1; inf for an error of 0, NaN for NaN."""
    return -10.0 * math.log10(mse) if mse else math.inf


class Measured:
    """What has `metrics`, by name, ``psnr`` among them."""

    metrics: dict[str, float]

    @property
    def psnr(self) -> float:
        """``-10 log10(MSE)`` in dB over the training points, unclipped."""
        return self.metrics["psnr"]

    @property
    def psnr_holdout(self) -> float | None:
        """As `psnr`, on the held-out points; None without ``holdout``."""
        return self.metrics.get("psnr_holdout")

    @property
    def psnr_published(self) -> float | None:
        """The weight-scaling paper's variant; None unless it was asked for."""
        return self.metrics.get("psnr_published")


class SquaredError:
    """The weighted mean squared error of a whole signal, added up chunk by chunk in float64.

    ``mse = sum_n w_n sum_c (prediction - target)^2 / (C sum_n w_n)``, unclipped, as the loss
    `ops.mse_value_and_grad` has it. Points of weight 0 are ignored, whatever their values, NaN included.
    """

    def __init__(self) -> None:
        self._error: Tensor | float = 0.0
        self._weight: Tensor | float = 0.0
        self._peak: Tensor | None = None

    def add(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
        """Add a chunk.

        Args:
            prediction: `[B, C]`, real.
            target: `[B, C]`.
            weight: `[B]`, 0 or more, or None when every point counts alike.

        Raises:
            InputError: shapes that do not agree; nothing is broadcast.
        """
        rows = target.shape[:1]
        if (
            target.ndim != 2
            or prediction.shape != target.shape
            or (weight is not None and weight.shape != rows)
        ):
            weights = None if weight is None else list(weight.shape)
            raise InputError(
                "expected a prediction [B, C], a target [B, C] and a weight [B]; got "
                f"{list(prediction.shape)}, {list(target.shape)} and {weights}"
            )
        if weight is not None:
            seen = weight > 0
            prediction, target, weight = prediction[seen], target[seen], weight[seen]
        if not target.numel():
            return
        squares = (prediction.detach().double() - target.double()).square()
        if weight is None:
            self._weight = self._weight + float(squares.numel())
        else:
            squares = squares * weight.double()[:, None]
            self._weight = self._weight + weight.double().sum() * squares.shape[1]
        self._error = self._error + squares.sum()
        peak = target.max()
        self._peak = peak if self._peak is None else torch.maximum(self._peak, peak)

    @property
    def mse(self) -> float:
        """The mean squared error of all chunks; NaN before the first point of positive weight."""
        weight = float(self._weight)
        return float(self._error) / weight if weight else math.nan

    @property
    def psnr(self) -> float:
        """``-10 log10(mse)`` in dB: PSNR for values in [0, 1], unclipped."""
        return psnr_of(self.mse)

    @property
    def psnr_published(self) -> float:
        """The PSNR that the weight-scaling paper's code prints, in dB.

        Prediction and target are divided by the largest target, and 1e-8 is added to the MSE:
        ``-10 log10(mse / max(target)^2 + 1e-8)``. NaN where the largest target is not positive.
        """
        peak = -math.inf if self._peak is None else float(self._peak)
        if not peak > 0:
            return math.nan
        return psnr_of(self.mse / peak**2 + PUBLISHED_FLOOR)


def psnr(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> float:
    """Return ``-10 log10(MSE)`` in dB over `[N, C]` values whose range is 1; see `SquaredError`."""
    error = SquaredError()
    error.add(prediction, target, weight)
    return error.psnr


def psnr_published(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> float:
    """Return the weight-scaling paper's PSNR of `[N, C]` values; see `SquaredError.psnr_published`."""
    error = SquaredError()
    error.add(prediction, target, weight)
    return error.psnr_published


def ssim(prediction: Tensor | ArrayLike, target: Tensor | ArrayLike) -> float:
    """Return the mean structural similarity (Wang et al. 2004) of two images with values in [0, 1].

    Args:
        prediction: `[H, W]` or `[H, W, C]`; clipped to [0, 1], as a picture file would be.
        target: of the same shape; H and W at least 7, the side of the (uniform) window.

    Raises:
        InputError: scikit-image is missing (the extra ``report`` installs it), or shapes that do not fit.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as cause:
        raise InputError(
            f"expected scikit-image, which SSIM needs; got {cause}; install it with: "
            "pip install 'fastsnf[report]'"
        ) from cause
    first, second = (
        np.asarray(image.detach().cpu() if isinstance(image, Tensor) else image, dtype=np.float64)
        for image in (prediction, target)
    )
    if first.shape != second.shape or first.ndim not in (2, 3) or min(first.shape[:2]) < 7:
        raise InputError(
            "expected two images of one shape, [H, W] or [H, W, C] with H and W at least 7; got "
            f"{list(first.shape)} and {list(second.shape)}"
        )
    channel_axis = 2 if first.ndim == 3 else None
    return float(
        structural_similarity(np.clip(first, 0, 1), second, data_range=1.0, channel_axis=channel_axis)
    )

"""Long lines of values as pictures: for each column of pixels the range that the values take there."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.analysis.run_report.gallery import Group
from fastsnf.analysis.run_report.picture import Colour, Picture, number, picture

WIDTH, HEIGHT = 1000, 150
"""Pixels of a wave; each channel has its own."""
TARGET, FOUND, ERROR = (60, 100, 160), (60, 130, 90), (190, 60, 50)
MOST_CHANNELS = 4


def wave_group(target: Tensor, found: Tensor, error: Tensor, *, unit: str = "", note: str = "") -> Group:
    """Return the waves of target, reconstruction and error `[n, C]`, the first channels, on one scale."""
    top = float(target.abs().max()) or 1.0
    pictures = []
    channels = min(target.shape[1], MOST_CHANNELS)
    for channel in range(channels):
        of = f", channel {channel + 1} of {target.shape[1]}" if target.shape[1] > 1 else ""
        for title, values, colour in (
            ("before: the target", target, TARGET),
            ("after: the reconstruction", found, FOUND),
            ("the difference", error, ERROR),
        ):
            span = f"from {number(-top)} to {number(top)}{' ' + unit if unit else ''}"
            pictures.append(wave(f"{title}{of}", values[:, channel], top, colour, note=span))
    return Group("", pictures, note)


def wave(title: str, values: Tensor, top: float, colour: Colour, *, note: str = "") -> Picture:
    """Return the picture of `values` `[n]` between -top and top, what is beyond at the edge."""
    lowest, highest = envelope(values, WIDTH)
    rows = np.arange(HEIGHT)[:, None]
    upper = np.floor((1 - np.clip(highest / top, -1, 1)) / 2 * (HEIGHT - 1))
    lower = np.ceil((1 - np.clip(lowest / top, -1, 1)) / 2 * (HEIGHT - 1))
    pixels = np.full((HEIGHT, len(lowest), 3), 250, dtype=np.uint8)
    pixels[HEIGHT // 2] = 200
    pixels[(rows >= upper) & (rows <= lower)] = colour
    return picture(title, pixels, note=note, wide=True)


def envelope(values: Tensor, columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and the highest of `values` `[n]` in each of at most `columns` equal parts."""
    there = torch.nan_to_num(values.double())
    starts = np.unique(np.linspace(0, len(there), min(columns, len(there)), endpoint=False).astype(np.int64))
    array = there.numpy()
    return np.minimum.reduceat(array, starts), np.maximum.reduceat(array, starts)

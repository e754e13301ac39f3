"""The pictures of the weight-scaling experiments: the user's, or a synthetic one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fastsnf.signals import Image
from fastsnf.studies.pictures import NO_DATA, pictures

SYNTHETIC = "synthetic 1/f"
"""The name of the synthetic picture wherever figures of it stand."""
MASTER = 512
"""Pixels along a side of the synthetic picture, from which smaller ones are resized."""
SEED = 7


@dataclass(frozen=True)
class Source:
    """A picture to fit, gray and square: its name, where it is, and why it cannot be fitted.

    Attributes:
        name: of the file, or `SYNTHETIC`.
        digest: of the file; None without one.
        path: of the file; None for the synthetic picture and without data.
        missing: why there is none, and what to do.
    """

    name: str
    digest: str | None = None
    path: Path | None = None
    missing: str | None = None

    def image(self, size: int) -> Image:
        """Return the picture, gray, cropped to a square around its centre and resized to `size` pixels.

        Raises:
            InputError: for a file that cannot be read any more.
        """
        if self.path is not None:
            return Image.open(self.path, mode="gray", size=(size, size))
        return Image.from_array(one_over_f(max(MASTER, size), SEED), size=(size, size))


def sources(data: str | None, most: int) -> list[Source]:
    """Return the user's pictures; without data those of the paper, which are missing, and a synthetic one.

    Raises:
        InputError: for data that cannot be read.
    """
    if data is None:
        missing = [Source(picture.name, missing=NO_DATA) for picture in pictures(None, most)]
        return [*missing, Source(SYNTHETIC)]
    return [Source(picture.name, picture.digest, picture.path) for picture in pictures(data, most)]


def one_over_f(size: int, seed: int) -> Tensor:
    """Return a random picture [size, size] in [0, 1] whose amplitudes fall as 1/frequency.

    So they do in photographs (Field 1987, "Relations between the statistics of natural images and the
    response properties of cortical cells"); phases are random, so that it has no edges.
    """
    gen = torch.Generator().manual_seed(seed)
    noise = torch.fft.rfft2(torch.randn(size, size, generator=gen, dtype=torch.float64))
    rows, columns = (
        torch.fft.fftfreq(size, dtype=torch.float64),
        torch.fft.rfftfreq(size, dtype=torch.float64),
    )
    radius = torch.hypot(rows[:, None], columns[None, :])
    radius[0, 0] = math.inf
    picture = torch.fft.irfft2(noise / radius, s=(size, size))
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low)).clamp(0.0, 1.0)

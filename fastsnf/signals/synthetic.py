"""Signals with known answers: line spectra, checkerboards, Siemens stars; the random ones by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.grid import Grid
from fastsnf.signals.image import Image
from fastsnf.signals.samples import Samples


@dataclass(frozen=True)
class BandLimited:
    """``f(x) = offset + sum_k amplitude_k cos(2 pi frequency_k . (x + 1) / 2 + phase_k)`` on [-1, 1]^D.

    A frequency counts cycles over the whole interval [-1, 1], so the spectrum of f is the lines at
    ±frequency_k of weight ``amplitude_k / 2`` each. Sampled on n points with both ends (`Grid`), the period
    is n - 1 steps and the highest frequency that the samples resolve is (n - 1) / 2.

    Attributes:
        frequencies: K frequencies of D cycles each.
        amplitudes: K amplitudes.
        phases: K phases in radians.
        offset: the mean over whole periods.
    """

    frequencies: tuple[tuple[float, ...], ...]
    amplitudes: tuple[float, ...]
    phases: tuple[float, ...]
    offset: float = 0.0

    def __post_init__(self) -> None:
        lengths = {len(self.frequencies), len(self.amplitudes), len(self.phases)}
        if len(lengths) != 1 or not self.frequencies or len({len(f) for f in self.frequencies}) != 1:
            raise InputError(
                "expected one amplitude and one phase for each frequency, and frequencies of one dimension; "
                f"got {len(self.frequencies)} frequencies, {len(self.amplitudes)} amplitudes, "
                f"{len(self.phases)} phases"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Return f at the coordinates x `[..., D]` as `[..., 1]`, computed in float64, in the dtype of x."""
        frequencies = torch.tensor(self.frequencies, dtype=torch.float64)
        phases = torch.tensor(self.phases, dtype=torch.float64)
        amplitudes = torch.tensor(self.amplitudes, dtype=torch.float64)
        if x.shape[-1] != frequencies.shape[1]:
            raise InputError(f"expected coordinates of {frequencies.shape[1]} axes; got {x.shape[-1]}")
        angles = math.pi * ((x.double() + 1) @ frequencies.T) + phases
        return (self.offset + torch.cos(angles) @ amplitudes).unsqueeze(-1).to(x.dtype)

    def samples(self, shape: Sequence[int]) -> Samples:
        """Return f on the grid of `shape`, as a signal with one channel."""
        grid = Grid(tuple(shape))
        return Samples(grid.shape, 1, self(grid.points()))

    def image(self, shape: Sequence[int]) -> Image:
        """Return f on a grid of (H, W) as a gray image; the values must lie in [0, 1]."""
        grid = Grid(tuple(shape))
        return Image.from_array(self(grid.points()).reshape(grid.shape))


def random_band_limited(dimensions: int, lines: int, max_frequency: int, *, seed: int) -> BandLimited:
    """Return a function of `lines` distinct random whole frequencies, its values within [0, 1].

    Args:
        dimensions: D.
        lines: K, the number of frequencies.
        max_frequency: the largest number of cycles along an axis; 0 cycles on all axes is never drawn.
        seed: the same seed gives the same function.

    Raises:
        InputError: more lines than there are distinct frequencies.
    """
    # cos(f x) and cos(-f x) are one line: only one of each pair may be drawn.
    available = ((2 * max_frequency + 1) ** dimensions - 1) // 2
    if dimensions < 1 or not 1 <= lines <= available:
        raise InputError(f"expected 1 to {available} lines in {dimensions} dimensions; got {lines}")
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[tuple[float, ...], None] = {}
    while len(drawn) < lines:
        low, high = -max_frequency, max_frequency + 1
        vector = torch.randint(low, high, (dimensions,), generator=generator).tolist()
        leading = next((entry for entry in vector if entry), 0)
        if leading:
            drawn[tuple(float(entry if leading > 0 else -entry) for entry in vector)] = None
    weights = torch.rand(lines, generator=generator, dtype=torch.float64) + 0.1
    phases = 2 * math.pi * torch.rand(lines, generator=generator, dtype=torch.float64)
    amplitudes = 0.5 * weights / weights.sum()  # their sum is 1/2, so that 1/2 + f stays in [0, 1]
    return BandLimited(tuple(drawn), tuple(amplitudes.tolist()), tuple(phases.tolist()), offset=0.5)


def checkerboard(shape: tuple[int, int], cell: int) -> Image:
    """Return a gray image of (H, W) `shape` with squares of `cell` pixels, the top left one 0."""
    if cell < 1:
        raise InputError(f"expected squares of at least one pixel; got {cell}")
    rows, columns = (torch.arange(size) // cell for size in Grid(shape).shape)
    return Image.from_array(((rows[:, None] + columns[None, :]) % 2).float())


def siemens_star(shape: tuple[int, int], spokes: int) -> Image:
    """Return a gray Siemens star ``(1 + cos(spokes * angle)) / 2``: all frequencies, high ones inside.

    Along a circle of radius r (in units of half the image) it has ``spokes / (2 pi r)`` cycles a unit.
    """
    if spokes < 1:
        raise InputError(f"expected at least one spoke; got {spokes}")
    grid = Grid(shape)
    row, column = grid.points().double().unbind(-1)
    star = (1 + torch.cos(spokes * torch.atan2(row, column))) / 2
    return Image.from_array(star.reshape(grid.shape))

"""Where the surface of a solid lies between two points of a grid: as far as the field's values say."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fastsnf.nn import Field
from fastsnf.signals.bit_rendering import BitRendering
from fastsnf.signals.surface import Crossing
from fastsnf.train.coarse import Chunks
from fastsnf.train.evaluate import evaluation_mode
from fastsnf.train.grid_field import GridField

NEAREST = 1 / 64
"""How near a vertex may come to a point, in steps: where several meet, a reader would merge them."""


def crossing_of(field: Field, source: GridField, rendering: BitRendering, chunks: Chunks) -> Crossing:
    """Return what asks the field where its surface crosses, for `fastsnf.signals.surface.surface_of`.

    The place between two points is where a line through what the field returns there reaches the threshold.

    Args:
        field: put into evaluation mode for each call.
        source: the same at the rendering's points.
        rendering: whose threshold it is.
        chunks: how many points at once.

    Raises:
        RunError: from a call, when memory does not suffice for a few points.
    """
    level = source.level(rendering.threshold)

    def crossing(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float32]:
        shares = np.empty(len(first), dtype=np.float32)

        def ask(part: slice) -> None:
            low, high = (source.out(torch.from_numpy(ends[part]))[:, 0] for ends in (first, second))
            share = ((level - low) / (high - low)).nan_to_num(0.5, 0.5, 0.5)
            shares[part] = share.clamp(NEAREST, 1 - NEAREST).cpu().numpy()

        with evaluation_mode(field):
            chunks.each(len(first), ask)
        return shares

    return crossing

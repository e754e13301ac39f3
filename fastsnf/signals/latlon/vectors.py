"""Points of the unit sphere and the areas they stand for, made from tables of a row and a column."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf.signals.latlon.lattice import Lattice


class UnitVectors:
    """The points (cos φ cos θ, cos φ sin θ, sin φ) of a lattice, longitude fastest, made when asked for.

    Args:
        lattice: the latitudes φ and longitudes θ.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.shape = lattice.shape
        phi, theta = (
            torch.tensor(degrees, dtype=torch.float64).deg2rad()
            for degrees in (lattice.latitudes, lattice.longitudes)
        )
        self._cos_phi, self._sin_phi, self._cos_theta, self._sin_theta = (
            *(phi.cos(), phi.sin()),
            *(theta.cos(), theta.sin()),
        )

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the unit vectors, float32 `[B, 3]`, of the points `index` (integers `[B]` or a slice)."""
        rows, columns = self.shape
        if isinstance(index, slice):
            index = torch.arange(*index.indices(rows * columns))
        row, column = torch.div(index, columns, rounding_mode="floor"), index % columns
        return _vectors(
            self._cos_phi[row], self._sin_phi[row], self._cos_theta[column], self._sin_theta[column]
        )

    def areas(self, index: slice) -> Tensor:
        """Return the areas, float32 `[B]`, that the points of a slice stand for: cos φ over its mean."""
        rows, columns = self.shape
        cos_phi = self._cos_phi.clamp(min=0.0)
        row = torch.arange(*index.indices(rows * columns)) // columns
        return (cos_phi[row] / cos_phi.mean()).float()


def unit_vectors(degrees: Tensor) -> Tensor:
    """Return the unit vectors, float32 `[..., 3]`, of (φ, θ) in `degrees`, float64 `[..., 2]`."""
    phi, theta = degrees.deg2rad().unbind(-1)
    return _vectors(phi.cos(), phi.sin(), theta.cos(), theta.sin())


def _vectors(cos_phi: Tensor, sin_phi: Tensor, cos_theta: Tensor, sin_theta: Tensor) -> Tensor:
    """Return the vectors in float32, rounded once."""
    return torch.stack([cos_phi * cos_theta, cos_phi * sin_theta, sin_phi], dim=-1).float()

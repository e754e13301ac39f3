"""Signed distances to a mesh as a signal: (x, y, z) -> distance to the surface, negative inside."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastsnf.errors import InputError, check_whole
from fastsnf.signals.bit_rendering import WRITES
from fastsnf.signals.described import described
from fastsnf.signals.distance_grid import DistanceGrid
from fastsnf.signals.distance_samples import Sampling
from fastsnf.signals.distances import signed_distances
from fastsnf.signals.frame import Frame
from fastsnf.signals.grid import UNIT, Grid
from fastsnf.signals.mesh.check import Findings, checked_mesh, examined
from fastsnf.signals.mesh.place import LEAST, Placement
from fastsnf.signals.point_cloud import PointCloud
from fastsnf.signals.progress import Progress
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import Signal

MEASURED = 64
"""Points along each side of the grid that a fit is measured on, unless told otherwise."""

MOST = 512
"""The most of them: a distance takes some 30 microseconds."""


class SignedDistance(PointCloud):
    """Samples of the distance to a mesh, which a field is fitted to by regression.

    One scale for all axes makes the mesh's longest side span [-0.95, 0.95], its box centred at 0; distances
    are in that scale. A fit is measured on a grid over [-1, 1]^3 (`evaluation`): PSNR and mean absolute error
    of the distances, IoU of the insides. Use `open` or `from_mesh`.

    Args:
        shape: (N,).
        frame: the mesh's own units.
        measured: the grid.
        sampling: how the samples were chosen.
        coordinates: float32 `[N, 3]`; None when only described.
        values: float32 `[N, 1]`; None when only described.
        facts: what is known of the mesh, JSON-able.
        source: where it comes from, for the metadata.
    """

    kind: ClassVar[str] = "sdf"
    default_name: ClassVar[str] = "reconstruction.ply"
    sized_by: ClassVar[tuple[str, ...]] = ("resolution", "scale")
    writes: ClassVar[tuple[str, ...]] = WRITES
    unit: ClassVar[tuple[str, ...]] = ("x", "y", "z")

    def __init__(
        self,
        shape: Sequence[int],
        *,
        frame: Frame,
        measured: DistanceGrid,
        sampling: Sampling,
        coordinates: Tensor | None = None,
        values: Tensor | None = None,
        facts: Mapping[str, Any] | None = None,
        source: str = "mesh",
    ) -> None:
        super().__init__(
            shape,
            1,
            frame=frame,
            bounds=(UNIT,) * 3,
            coordinates=coordinates,
            values=values,
            source=source,
        )
        if self.in_features != 3:
            raise InputError(f"expected a frame of three axes; got {frame}")
        self.measured, self.sampling, self.facts = measured, sampling, dict(facts or {})

    @classmethod
    def open(  # type: ignore[override]  # a mesh has other options than points
        cls,
        path: str | os.PathLike[str],
        *,
        points: int = Sampling.count,
        resolution: int = MEASURED,
        near: float = Sampling.near,
        spread: Sequence[float] = Sampling.spread,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Self:
        """Read an OBJ, PLY, STL, OFF or GLB file and sample the distance to its mesh.

        Args:
            path: the file; its suffix says the format.
            points: how many samples.
            resolution: points along each side of the grid that a fit is measured on, 8 to 512.
            near, spread, seed: see `fastsnf.signals.distance_samples.Sampling`.
            progress: called with (points done, all of them) while distances are measured.

        Raises:
            InputError: a file that is missing, damaged, or no mesh that encloses anything; an option is
                wrong; trimesh or libigl is missing (extra ``mesh``).
            RunError: the process that measures distances died.
        """
        from fastsnf.signals.mesh.read import read_mesh

        sampling = Sampling(points, near, tuple(spread), seed)
        _check_resolution(resolution)
        mesh = read_mesh(path)
        source = f"{mesh.format} mesh"
        return cls._sampled(mesh.vertices, mesh.faces, mesh.findings, sampling, resolution, progress, source)

    @classmethod
    def from_mesh(
        cls,
        vertices: ArrayLike,
        faces: ArrayLike,
        *,
        points: int = Sampling.count,
        resolution: int = MEASURED,
        near: float = Sampling.near,
        spread: Sequence[float] = Sampling.spread,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Self:
        """Return the distances to a mesh of `vertices` `[V, 3]` and `faces` `[F, 3]`; see `open`."""
        sampling = Sampling(points, near, tuple(spread), seed)
        _check_resolution(resolution)
        checked = checked_mesh(vertices, faces)
        return cls._sampled(*checked, examined(*checked), sampling, resolution, progress, "mesh")

    @classmethod
    def _sampled(
        cls,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int64],
        findings: Findings,
        sampling: Sampling,
        resolution: int,
        progress: Progress | None,
        source: str,
    ) -> Self:
        placement = Placement.of(vertices, resolution)
        placed = placement.placed(vertices)
        samples = sampling.points(placed, faces)
        shape = (resolution,) * 3
        places = np.concatenate([samples, Grid(shape).points().numpy()])
        distances = torch.from_numpy(signed_distances(placed, faces, places, progress).astype(np.float32))
        known, measured = distances[: len(samples), None], distances[len(samples) :, None]
        return cls(
            (len(samples),),
            frame=placement.frame,
            measured=DistanceGrid(shape, placement.frame, measured.clone()),
            sampling=sampling,
            coordinates=torch.from_numpy(samples),
            values=known.clone(),
            facts=findings.metadata(),
            source=source,
        )

    @property
    def evaluation(self) -> Signal:
        """The grid of distances."""
        return self.measured

    def grid_of(self, shape: Sequence[int]) -> Grid:
        """Return the grid with `shape` points over [-1, 1]^3."""
        return self.measured.grid_of(shape)

    def rendering(self, shape: Sequence[int]) -> Rendering:
        """Return what gathers a rendering on a grid with `shape` points, and writes it as a mesh."""
        return self.measured.rendering(shape)

    def to_units(self, values: Tensor) -> Tensor:
        """Return distances in the mesh's units."""
        return self.measured.to_units(values)

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write the mesh where distances `[N, 1]` on a grid are 0; see `DistanceGrid.write`."""
        self.measured.write(values, shape, path)

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: what `PointCloud.metadata` has, the samples and the mesh."""
        sampling = self.sampling
        return {
            **super().metadata(),
            "resolution": self.measured.shape[0],
            "near": sampling.near,
            "spread": list(sampling.spread),
            "seed": sampling.seed,
            "facts": self.facts,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the signal, without its samples, that `metadata` describes."""
        arguments = cls._described(metadata)
        shape, frame = arguments["shape"], arguments["frame"]
        resolution = described(metadata, cls.kind, "resolution", int)
        _check_resolution(resolution)
        if len(shape) != 1 or len(frame.scale) != 3 or arguments["out_features"] != 1:
            raise InputError(f"expected the samples of a mesh in the metadata of {cls.kind}; got {shape}")
        sampling = Sampling(
            shape[0],
            metadata.get("near", Sampling.near),
            described(metadata, cls.kind, "spread", list),
            described(metadata, cls.kind, "seed", int),
        )
        return cls(
            shape,
            frame=frame,
            measured=DistanceGrid((resolution,) * 3, frame),
            sampling=sampling,
            facts=described(metadata, cls.kind, "facts", dict),
            source=arguments["source"],
        )


def _check_resolution(resolution: int) -> None:
    check_whole("the resolution of the grid that distances are measured on", resolution, LEAST, MOST)

"""From a mesh to the bits of its solid."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, check_whole
from fastsnf.signals import bit_file
from fastsnf.signals.bits import BitGrid, occupied_in
from fastsnf.signals.cache import cache_folder, key_of
from fastsnf.signals.mesh.check import Findings, checked_mesh, examined
from fastsnf.signals.mesh.place import LEAST, MOST, Placement
from fastsnf.signals.mesh.process import WindingProcess
from fastsnf.signals.mesh.read import mesh_bytes, read_mesh, sha256_of_mesh
from fastsnf.signals.progress import Progress
from fastsnf.signals.solid import kept

DIFFERING = 0.01
"""Share of sampled points above which it is worth a remark that rays disagree with the winding number."""

Result = tuple[BitGrid, Placement, dict[str, Any]]
"""The bits, where the mesh lies, and what is known of it, JSON-able."""


def open_mesh(
    path: Path,
    resolution: int,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Return the solid in a mesh file, through its bit file; see `Occupancy.open`."""
    check_whole("the resolution of a mesh", resolution, LEAST, MOST)
    content = mesh_bytes(path)
    wanted = {"source": sha256_of_mesh(content), "suffix": path.suffix.lower(), "resolution": resolution}
    place = cache_folder(cache) / f"mesh-{key_of(wanted)}.bits"
    with suppress(InputError):
        return _result(bit_file.packed(place, wanted), bit_file.notes_of(place))
    mesh = read_mesh(path, content)
    del content
    placement = Placement.of(mesh.vertices, resolution)
    work = _Work(mesh.vertices, mesh.faces, placement, mesh.findings, progress)
    bits = bit_file.build(place, placement.shape, work.octets, wanted, notes=lambda: work.notes(mesh.format))
    # another process may have built it meanwhile, and our work not even have begun
    return _result(bits, bit_file.notes_of(place))


def voxelised(vertices: Any, faces: Any, resolution: int, progress: Progress | None = None) -> Result:
    """Return the solid in a mesh in memory; see `Occupancy.from_mesh`."""
    points, corners = checked_mesh(vertices, faces)
    findings = examined(points, corners)
    placement = Placement.of(points, resolution)
    work = _Work(points, corners, placement, findings, progress)
    bits = kept(placement.shape, work.octets)
    return _result(bits, work.notes(""))


class _Work:
    """One run of the child process, and what it finds besides the bits."""

    def __init__(
        self,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int64],
        placement: Placement,
        findings: Findings,
        progress: Progress | None,
    ) -> None:
        self.child = WindingProcess(vertices, faces, placement, closed=findings.closed)
        self.placement, self.findings, self.progress = placement, findings, progress
        self.occupied = 0

    def octets(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the bits in order."""
        for octets in self.child.octets(self.progress):
            self.occupied += occupied_in(octets)
            yield octets

    def notes(self, format_: str) -> dict[str, Any]:
        """Return what to keep beside the bits; raise `InputError` when the mesh encloses no point."""
        if not self.occupied:
            raise InputError(
                f"expected a mesh that encloses points of the grid; got one that encloses none of "
                f"{self.placement.shape}: raise the resolution, or close the mesh"
            )
        found = {
            "format": format_,
            **self.findings.metadata(),
            **self.child.result,
            "occupied": self.occupied,
        }
        return {"placement": self.placement.metadata(), "found": {**found, "remarks": self._remarks()}}

    def _remarks(self) -> list[str]:
        remarks = self.findings.remarks()
        differ, sampled = self.child.result["rays_differ"], self.child.result["rays_sampled"]
        if differ is not None and differ > DIFFERING * sampled:
            remarks.append(
                f"counting the crossings of rays says otherwise at {differ} of {sampled} random points: "
                "parts overlap, or are open or turned over"
            )
        return remarks


def _result(bits: BitGrid, notes: Mapping[str, Any]) -> Result:
    """Return what is known of a solid, and warn of what makes it doubtful."""
    found = dict(notes["found"])
    if not found["closed"]:
        warnings.warn("; ".join(found["remarks"]), UserWarning, stacklevel=2)
    return bits, Placement.from_metadata(notes["placement"]), found

"""The options of ``fastsnf fit`` that say how its input is read; which kinds take which is in `fit_setup`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastsnf.cli.options import (
    choice,
    default,
    frame_range,
    integer,
    listed,
    number,
    picture_size,
    text,
    whole_or,
)
from fastsnf.signals.kinds import FROM_FILES

CROPS = ("tight", "wire")
AXES = ("ij", "xy")
MONO = "mono"
MAX_VOXELS = 1 << 16
"""Bound against slips of the keyboard: 65,536 cubed is 35 TB of bits."""


@dataclass(frozen=True)
class SignalOptions:
    """What the input is, and how it becomes a signal."""

    kind: Annotated[str | None, choice(FROM_FILES), default("from the file")] = None
    """What the input is."""
    size: Annotated[tuple[int, int] | None, picture_size(), default("as it is")] = None
    """Crop the picture at its centre to this aspect ratio, then resize it."""
    squeeze: Annotated[bool, default("")] = False
    """With --size: resize without the crop."""
    mode: Annotated[str | None, choice(("rgb", "gray")), default("as it is")] = None
    """Convert the picture to colour or to gray."""
    resolution: Annotated[int | None, integer("R", 8, MAX_VOXELS), default("256; of sdf 64")] = None
    """Of a mesh: voxels along its longest axis; of sdf: points a side of the grid that it is measured on."""
    key: Annotated[str | None, text("NAME"), default("the only one")] = None
    """Of a file with several arrays, variables or values of points: the one to fit."""
    threshold: Annotated[float | None, number("T"), default("between its two values")] = None
    """Of a grid: voxels above T are inside."""
    crop: Annotated[str | None, choice(CROPS), default("none")] = None
    """Of a grid: to the box of what is inside; wire is WIRE's, without the last slice along each axis."""
    axes: Annotated[str | None, choice(AXES), default("ij")] = None
    """Order of the coordinates of a solid; xy exchanges the first two, as WIRE does."""
    time: Annotated[int | None, integer("INDEX", -1), default("the only one")] = None
    """Of a map at several times: the one to fit, counted from 0; -1 is the last."""
    level: Annotated[int | None, integer("INDEX", -1), default("the only one")] = None
    """Of a map at several levels: the one to fit, counted from 0; -1 is the last."""
    channels: Annotated[int | str | None, whole_or(MONO, "mono|C"), default("as the file has them")] = None
    """Of a sound: mono is the mean of its channels. Of a volume of four axes: components of a vector."""
    start: Annotated[float | None, number("S", least=0), default("0")] = None
    """Of a sound: seconds to leave out at its start."""
    duration: Annotated[float | None, number("S", above=0), default("to the end")] = None
    """Of a sound: seconds to fit."""
    frames: Annotated[str | None, frame_range(), default("all")] = None
    """Of a video: which frames, counted from 0, last left out."""
    pooling: Annotated[int | None, integer("K", 2), default("4")] = None
    """Of super-resolution: the field sees the means of K x K pixels."""
    small: Annotated[bool, default("")] = False
    """Of super-resolution: the input is the small picture, and there is no large one to measure on."""
    samples: Annotated[int | None, integer("N", 1), default("500000")] = None
    """Of sdf: points whose distance to the mesh is taken."""
    near: Annotated[float | None, number("SHARE", least=0), default("0.5")] = None
    """Of sdf: share of the points that lie near the mesh; the others are uniform."""
    spread: Annotated[tuple[float, ...] | None, listed("S,...", float, "numbers"), default("0.002,0.02")] = (
        None
    )
    """Of sdf: deviations of the points near the mesh, in coordinates."""
    cache: Annotated[str | None, text("DIR"), default("~/.cache/fastsnf")] = None
    """Where bit files of occupancy are kept; $FASTSNF_CACHE names it too."""
    holdout: Annotated[int | None, integer("K", 2), default("train on all points")] = None
    """Train on every K-th point of each axis and report PSNR on the others too."""

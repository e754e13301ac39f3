"""``fastsnf render``: decode a fitted field at any resolution, in chunks, within the memory there is."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from fastsnf.cli.fit_options import ENGINES
from fastsnf.cli.options import choice, default, number, picture_size, text
from fastsnf.cli.parse import parse
from fastsnf.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from fastsnf.signals import Image
    from fastsnf.train.rebuild import Checkpoint

BYTES_PER_VALUE = 8
"""Peak for each value of a picture: samples of up to 2 bytes, their joined copy, Pillow's copy of that."""

MAX_SIDE = 2**31 - 1
"""Longest side that any picture format can hold."""


@dataclass(frozen=True)
class RenderOptions:
    """Decode a fitted field at any resolution. Without a size: that of the signal it was fitted to."""

    run: Annotated[str, tyro.conf.Positional, text("RUN")]
    """A run folder, or a .safetensors file of a field."""
    size: Annotated[tuple[int, int] | None, picture_size(), default("that of the signal")] = None
    """Width and height of the picture."""
    scale: Annotated[float | None, number("S", above=0), default("1")] = None
    """Resolution as a factor on the signal's, for example 2."""
    output: Annotated[str | None, text("FILE"), default("render-WxH.png in the run folder")] = None
    """The picture to write: png, jpg or tif."""
    device: Annotated[str, text("DEVICE"), default("auto, cuda when there is one")] = "auto"
    """Where to decode, as torch names it."""
    engine: Annotated[str, choice(ENGINES), default("auto, the fastest that can")] = "auto"
    """Implementation of the field."""


def main(argv: Sequence[str]) -> int:
    """Run ``fastsnf render`` and return its exit status."""
    options = parse(RenderOptions, argv, prog="fastsnf render")
    print(render(options))
    return 0


def render(options: RenderOptions) -> Path:
    """Decode and write as `options` say, and return the file.

    Raises:
        InputError: for a run that cannot be read, sizes that contradict or exceed the memory, or a place that
            cannot be written.
        RunError: when the disk is full or fails.
    """
    from fastsnf import ops
    from fastsnf.signals import Image, from_metadata
    from fastsnf.signals.write_image import write_picture
    from fastsnf.train import checkpoint
    from fastsnf.train.placement import resolve_device

    source = checkpoint.read(options.run)
    if source.signal is None:
        raise InputError(
            f"expected a field with the signal it was fitted to; got {options.run} without: "
            "pass the signal to fastsnf.save"
        )
    signal = from_metadata(source.signal)
    if not isinstance(signal, Image):
        raise InputError(f"expected the field of an image; got that of {signal.kind} in {options.run}")
    shape = rendered_shape(options, signal)
    check_memory(shape, signal.out_features)
    path = Path(options.output) if options.output is not None else default_output(options.run, signal, shape)
    check_output(path)
    with ops.use_engine(options.engine):
        samples = decode(source, signal, shape, resolve_device(options.device))
    write_picture(samples, path)
    return path


def rendered_shape(options: RenderOptions, signal: Image) -> tuple[int, int]:
    """Return the grid to decode, rows before columns.

    Raises:
        InputError: for both a size and a scale.
    """
    if options.size is not None and options.scale is not None:
        raise InputError("expected --size or --scale; got both: drop one")
    if options.size is not None:
        return options.size[1], options.size[0]
    scale = options.scale or 1.0
    height, width = (max(1, round(min(side * scale, MAX_SIDE))) for side in signal.shape)
    return height, width


def check_memory(shape: tuple[int, int], channels: int) -> None:
    """Raise `InputError` for a picture that would not fit into the memory that is free now."""
    needed, free = math.prod(shape) * channels * BYTES_PER_VALUE, free_memory()
    if needed > free:
        size = "x".join(map(str, reversed(shape)))
        raise InputError(
            f"expected a picture that fits into {free / 1e9:.1f} GB of free memory; got {size}, which needs "
            f"{needed / 1e9:.1f} GB: ask for a smaller --size or --scale"
        )


def check_output(path: Path) -> None:
    """Raise `InputError`, before the work is done, for a file that could not be written after it."""
    from fastsnf.signals.write_image import ENCODERS

    if path.suffix.lower() not in ENCODERS:
        raise InputError(f"expected a picture file ending in {', '.join(ENCODERS)}; got {str(path)!r}")
    if not os.access(path.parent, os.W_OK):
        raise InputError(
            f"expected a folder that can be written; got {str(path.parent)!r}: create it or choose another"
        )


def free_memory() -> int:
    """Return the bytes that can be allocated without swapping; half of all memory where that is not told."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def decode(
    source: Checkpoint, signal: Image, shape: tuple[int, int], device: torch.device
) -> NDArray[np.integer[Any]]:
    """Return the samples `[H, W]` or `[H, W, 3]` of a field on a grid, decoded chunk by chunk.

    Only the samples are held, never the values of the whole picture.
    """
    import numpy as np
    import torch

    from fastsnf.train.evaluate import points_at_once
    from fastsnf.train.losses import to_values

    field, grid = source.field.to(device), signal.grid_of(shape)
    dtype = next(field.parameters()).dtype.to_real()
    strips = []
    with torch.no_grad():
        step = points_at_once(field)
        for start in range(0, grid.size, step):
            stop = min(start + step, grid.size)
            x = grid.at(slice(start, stop)).to(device=device, dtype=dtype)
            values = to_values(field(x), source.outputs)
            strips.append(signal.to_array(values, (1, stop - start)))
    samples = np.concatenate(strips, axis=1)
    return samples.reshape(*shape, *samples.shape[2:])


def default_output(run: str, signal: Image, shape: tuple[int, int]) -> Path:
    """Return the picture's place without ``--output``: in the run folder, or beside the file of the field."""
    size = "x".join(map(str, reversed(shape)))
    suffix = Path(signal.default_name).suffix
    place = Path(run)
    return (
        place / f"render-{size}{suffix}"
        if place.is_dir()
        else place.with_name(f"{place.stem}-{size}{suffix}")
    )

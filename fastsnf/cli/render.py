"""``fastsnf render``: decode a fitted field at any resolution, in chunks, within the memory there is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fastsnf.cli.fit_options import ENGINES
from fastsnf.cli.options import choice, default, integer, number, picture_size, text
from fastsnf.cli.parse import parse
from fastsnf.cli.render_progress import DecodeProgress
from fastsnf.cli.render_shapes import MAX_SIDE, default_output, rendered, size_name
from fastsnf.errors import InputError

if TYPE_CHECKING:
    from fastsnf.signals import Signal
    from fastsnf.signals.bit_rendering import Skipped
    from fastsnf.signals.rendering import Rendering
    from fastsnf.train.rebuild import Checkpoint

MANY_MISSED = 1e-3
"""Miss rate above which a solid looks different."""


@dataclass(frozen=True)
class RenderOptions:
    """Decode a fitted field at any resolution. Without a size: that of the signal it was fitted to."""

    run: Annotated[str, tyro.conf.Positional, text("RUN")]
    """A run folder, or a .safetensors file of a field."""
    size: Annotated[tuple[int, int] | None, picture_size(), default("that of the signal")] = None
    """Width and height of a picture, or of the pictures of a video."""
    scale: Annotated[float | None, number("S", above=0), default("1")] = None
    """Resolution as a factor on the signal's, for example 2."""
    resolution: Annotated[int | None, integer("R", 1, MAX_SIDE), default("that of the signal")] = None
    """Points along the longest axis of a solid or a volume; rows of a sphere, of twice as many columns."""
    rate: Annotated[int | None, integer("HZ", 1, MAX_SIDE), default("that of the signal")] = None
    """Samples a second of a sound."""
    output: Annotated[str | None, text("FILE"), default("render-SIZE and a suffix, in the run folder")] = None
    """The file to write: of a picture png, jpg or tif; of a solid ply, obj, stl, glb, npz, npy or zarr."""
    coarse: Annotated[int | None, integer("F", 2, 1024), default("off")] = None
    """Of a solid: look at every F-th point along each axis first, and leave out what no surface is near."""
    smooth: Annotated[bool, default("")] = False
    """Of a solid's mesh: put vertices where the field's values say, rather than half-way between points."""
    device: Annotated[str, text("DEVICE"), default("auto, cuda when there is one")] = "auto"
    """Where to decode, as torch names it."""
    engine: Annotated[str, choice(ENGINES), default("auto, the fastest that can")] = "auto"
    """Implementation of the field."""
    no_progress: Annotated[bool, default("")] = False
    """Print no progress."""


def main(argv: Sequence[str]) -> int:
    """Run ``fastsnf render`` and return its exit status."""
    options = parse(RenderOptions, argv, prog="fastsnf render")
    path, skipped = render(options)
    if skipped is not None:
        print(miss_line(skipped))
    print(path)
    return 0


def render(options: RenderOptions) -> tuple[Path, Skipped | None]:
    """Decode and write as `options` say; return the file, and what a coarse-to-fine decode left out.

    Raises:
        InputError: for a run that cannot be read, sizes that contradict or exceed the memory, a place that
            cannot be written, or a solid without a surface.
        RunError: when the disk is full or fails, or memory runs out.
    """
    from fastsnf import ops
    from fastsnf.signals.write_mesh import MESHES
    from fastsnf.train import checkpoint

    source = checkpoint.read(options.run)
    signal, shape = rendered(options, described_signal(source, options.run))
    rendering = signal.rendering(shape)
    path = Path(options.output) if options.output is not None else default_output(options.run, signal, shape)
    check_memory(rendering, path)
    rendering.check(path)
    if options.smooth and path.suffix.lower() not in MESHES:
        raise InputError(f"expected a mesh, {', '.join(MESHES)}, for --smooth; got {str(path)!r}: drop one")
    with ops.use_engine(options.engine):
        rendering = decoded(source, rendering, options)
        rendering.write(path)
    return path, getattr(rendering, "skipped", None)


def described_signal(source: Checkpoint, run: str) -> Signal:
    """Return the signal whose values the field of a file stands for, or raise `InputError`."""
    from fastsnf.signals import from_metadata

    if source.signal is None:
        raise InputError(
            f"expected a field with the signal it was fitted to; got {run} without: "
            "pass the signal to fastsnf.save"
        )
    return from_metadata(source.signal).evaluation


def check_memory(rendering: Rendering, path: Path) -> None:
    """Raise `InputError` for a rendering that would not fit into the memory that is free now."""
    needed, free, signal = rendering.needs(path), free_memory(), rendering.signal
    if needed > free:
        options = " or ".join(f"--{name}" for name in signal.sized_by)
        raise InputError(
            f"expected a rendering that fits into {free / 1e9:.1f} GB of free memory; got "
            f"{size_name(signal, rendering.shape)}, which needs {needed / 1e9:.1f} GB: "
            f"ask for a smaller {options}"
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


def decoded(source: Checkpoint, rendering: Rendering, options: RenderOptions) -> Rendering:
    """Return the rendering that the field of a checkpoint makes of a signal at the points of `rendering`."""
    from fastsnf.train.decode import decode
    from fastsnf.train.placement import resolve_device

    progress = None if options.no_progress else DecodeProgress()
    try:
        result = decode(
            source.field.to(resolve_device(options.device)),
            rendering.signal,
            rendering.shape,
            outputs=source.outputs,
            coarse=options.coarse,
            smooth=options.smooth,
            progress=progress,
        )
    finally:
        if progress is not None:
            progress.close()
    assert result is not None, "nothing stops it"
    return result


def miss_line(skipped: Skipped) -> str:
    """Return what a coarse-to-fine decode left out, and how often that was wrong."""
    advice = "; a smaller --coarse misses less" if skipped.miss_rate > MANY_MISSED else ""
    return (
        f"{skipped.points:,} points were not asked for; {skipped.missed:,} of {skipped.looked_at:,} of them, "
        f"looked at afterwards, were wrong: miss rate {skipped.miss_rate:.2g}{advice}"
    )

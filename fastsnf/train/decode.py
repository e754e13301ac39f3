"""Decoding a field on any grid of its signal, chunk by chunk into what the signal keeps of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.signals.bit_rendering import BitRendering
from fastsnf.signals.progress import Progress
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import Signal
from fastsnf.train.coarse import Chunks, decode_coarse
from fastsnf.train.crossing import crossing_of
from fastsnf.train.evaluate import evaluation_mode, points_at_once
from fastsnf.train.grid_field import GridField
from fastsnf.train.losses import VALUES


def decode(
    field: Field,
    signal: Signal,
    shape: Sequence[int],
    *,
    outputs: str = VALUES,
    coarse: int | None = None,
    smooth: bool = False,
    stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> Rendering | None:
    """Return the rendering of a signal with `shape` points that a field makes.

    Nothing of the size of the grid is in memory but what the rendering keeps: values for most signals, a bit
    a point of a solid. A chunk for which memory does not suffice is halved, which does not change the values.

    Args:
        field: wherever it is; it computes there, in evaluation mode, with the engine of `fastsnf.use_engine`.
        signal: whose conventions the field has; its data are not needed.
        shape: points along each of its axes.
        outputs: what the field returns, `fastsnf.train.losses.VALUES` or ``LOGITS``.
        coarse: F, for a rendering of bits: ask at every F-th point along each axis first, and fill in without
            the field what lies among points that agree; see `decode_coarse`.
        smooth: for a rendering of bits: let its meshes cross between two points where the field's values say,
            rather than half-way; the field is kept, and asked again when a mesh is written.
        stop: asked before each chunk; the result is None once it returns True.
        progress: called with (points done, all of them) after each chunk.

    Raises:
        InputError: a shape of other axes than the signal's; `coarse` or `smooth` for a rendering that is not
            of bits.
        EngineError: when a named engine cannot take the field.
        RunError: when memory does not suffice for a few points.
    """
    rendering = signal.rendering(shape)
    source = GridField(field, signal, rendering.shape, outputs)
    points = Chunks(max(8, points_at_once(field) // 8 * 8), ("decode", field.hidden_features), stop)
    if smooth:
        solid = _of_bits(rendering, "smooth mesh")
        solid.crossing = crossing_of(field, source, solid, replace(points, stop=None))
    with evaluation_mode(field):
        if coarse is not None:
            solid = _of_bits(rendering, "coarse-to-fine decode")
            done = decode_coarse(source, solid, coarse, points, progress)
        else:
            done = points.each(rendering.size, _into(rendering, source, progress))
    return rendering if done else None


def _into(rendering: Rendering, source: GridField, progress: Progress | None) -> Callable[[slice], None]:
    """Return what adds the values of some points to a rendering; the last thing that it does is adding."""

    def add(part: slice) -> None:
        index = range(part.start, part.stop)
        # A chunk that was halved may start anywhere, but bits start an octet.
        if (
            isinstance(rendering, BitRendering)
            and source.gives_bits
            and not rendering.below
            and part.start % 8 == 0
        ):
            rendering.add_bits(part.start, source.above(index, rendering.threshold))
        else:
            rendering.add(part.start, source.values(index))
        if progress is not None:
            progress(part.stop, rendering.size)

    return add


def _of_bits(rendering: Rendering, what: str) -> BitRendering:
    if not isinstance(rendering, BitRendering):
        raise InputError(
            f"expected a solid for a {what}; got {rendering.signal.kind}, whose values vary everywhere: "
            "decode it without"
        )
    return rendering

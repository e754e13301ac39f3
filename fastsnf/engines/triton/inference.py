"""Network-fused inference: one launch for a whole field, and its coordinates and bits for any other path.

Tensors are checked by `fastsnf.ops`. Outputs are arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastsnf.engines.triton import layers, tile_table
from fastsnf.engines.triton.grid import NO_GRID, Grid
from fastsnf.engines.triton.kernels.grid import grid_bits_kernel, grid_points_kernel
from fastsnf.engines.triton.kernels.network import network_fwd_kernel
from fastsnf.engines.triton.launch import architecture, launch, triton_interprets
from fastsnf.engines.triton.parameters import TIERS, parameters
from fastsnf.engines.triton.plan import REDUCED_OUTPUTS
from fastsnf.spec import FieldSpec

OP = "network_fwd"
"""The name of the file of tiles."""

MOST_INPUTS = 4
"""Coordinates up to which the first layer's weights fit the registers beside the activations."""

LEAST_WIDTH = 32
"""Hidden layers are padded to a power of two, at least this."""

Biases = Sequence[Tensor | None]


def network_width(features: int) -> int:
    """Return the padded width of hidden layers of `features` units: tiles of registers are powers of two."""
    return max(LEAST_WIDTH, 1 << (features - 1).bit_length())


def most_width(precision: str) -> int:
    """Return the widest padded layer that has a tile on this architecture, 0 where none has."""
    entries = tile_table.table(OP).get(architecture(), [])
    return max(
        (entry["most_columns"] for entry in entries if precision in entry.get("precision", [precision])),
        default=0,
    )


def fits(spec: FieldSpec, shapes: Sequence[tuple[int, ...]], precision: str) -> list[str]:
    """Return why a field with weights of `shapes` cannot run in one kernel, nothing when it can."""
    if spec.is_complex:
        return ["activations are complex: both parts of a layer exceed the registers"]
    if spec.layers < 2:
        return ["there is no hidden layer"]
    why = []
    features, inputs, outputs = shapes[0][0], shapes[0][1], shapes[-1][0]
    widths = sorted({shape[0] for shape in shapes[:-1]})
    if len(widths) > 1:
        why.append(f"hidden layers have widths {', '.join(map(str, widths))}, it takes one width")
    names = sorted({act.name for act in spec.activations[1:-1]})
    if len(set(spec.activations[1:-1])) > 1:
        why.append(f"layers after the first differ in their activation ({', '.join(names)}), it takes one")
    if inputs > MOST_INPUTS:
        why.append(f"points have {inputs} coordinates, it takes at most {MOST_INPUTS}")
    if outputs > REDUCED_OUTPUTS:
        why.append(f"there are {outputs} outputs, it takes at most {REDUCED_OUTPUTS}")
    if network_width(max(features, widths[-1])) > most_width(precision):
        why.append(
            f"hidden layers have {max(features, widths[-1])} units, "
            f"it takes at most {most_width(precision)} in {precision}"
        )
    return why


def network_fwd(
    points: Tensor | Grid,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    out: Tensor,
    precision: str,
    *,
    threshold: float | None = None,
) -> None:
    """Write the field's values at `points` to `out`, or with `threshold` which of them exceed it.

    Args:
        points: x [M, D] fp32, or a grid whose coordinates the kernel makes.
        weights, biases: of the layers, fp32, on the device of `out`; `fits` has no reason against them.
        out: fp32 [M, C], or with `threshold` (C = 1) uint8 [ceil(M / 8)]: bit j of byte i is point 8 i + j,
            bits past the last point are 0.
        precision: fp32, tf32 or fast.

    Raises:
        LookupError: when the architecture has no tile for the call.
    """
    (features, inputs), outputs, depth = weights[0].shape, weights[-1].shape[0], spec.layers - 2
    width = network_width(features)
    act_first, act_last = spec.activations[0], spec.activations[-1]
    act = spec.activations[1] if depth else act_first
    tile = tile_table.find(OP, precision, act=act.name, columns=width, depth=width)
    on_grid = isinstance(points, Grid)
    x = None if isinstance(points, Grid) else points.contiguous()
    rows = points.rows if isinstance(points, Grid) else points.shape[0]
    vectors = _vectors(weights, biases, width)
    hidden, hidden_low = _packed(weights[1:-1], precision, width) if depth else (None, None)
    last_bias = None if biases[-1] is None else biases[-1].contiguous()
    launch(
        network_fwd_kernel,
        (-(-rows // tile.rows),),
        {
            "x_pointer": x,
            "vectors": vectors,
            "hidden_weight": hidden,
            "hidden_low": hidden_low,
            "last_bias": last_bias,
            "out_pointer": out,
            "rows": rows,
            "hidden_layers": depth,
            "outputs": outputs,
            "threshold": 0.0 if threshold is None else float(threshold),
            **parameters(act_first, "_first"),
            **parameters(act),
            **parameters(act_last, "_last"),
            **(points.arguments() if isinstance(points, Grid) else NO_GRID),
        },
        {
            "D": inputs,
            "WIDTH": width,
            "BM": tile.rows,
            "BC": tile.columns,
            "STAGES": tile.stages,
            "ACT_FIRST": act_first.name,
            "ACT": act.name,
            "ACT_LAST": act_last.name,
            "PRECISION": precision,
            "TIER": TIERS[precision],
            "DEEP": depth > 0,
            "GRID": on_grid,
            "BITS": threshold is not None,
        },
        warps=tile.warps,
        stages=tile.stages,
        flops=2 * rows * features * (inputs + depth * features + outputs),
        reads=(x, vectors, hidden, hidden_low),
        writes=(out,),
    )


def grid_points(grid: Grid, out: Tensor) -> None:
    """Write the coordinates of the grid's points to `out` fp32 [M, D]."""
    launch(
        grid_points_kernel,
        (-(-grid.rows // _rows()),),
        {"out_pointer": out, "rows": grid.rows, **grid.arguments()},
        {"D": grid.axes, "BM": _rows()},
        warps=4,
        writes=(out,),
    )


def grid_bits(values: Tensor, out: Tensor, threshold: float) -> None:
    """Write which of `values` fp32 [M] or [M, 1] exceed `threshold` to `out` uint8 [ceil(M / 8)]."""
    rows = values.shape[0]
    launch(
        grid_bits_kernel,
        (-(-rows // _rows()),),
        {"value_pointer": values, "out_pointer": out, "rows": rows, "threshold": float(threshold)},
        {"BM": _rows()},
        warps=4,
        reads=(values,),
        writes=(out,),
    )


def _rows() -> int:
    """Return the points of a program that makes coordinates or bits; few in the interpreter's tests."""
    return 32 if triton_interprets() else 1024


def _vectors(weights: Sequence[Tensor], biases: Biases, width: int) -> Tensor:
    """Return the columns of the first weight, the biases but the last and the rows of the last weight.

    One a row of an fp32 tensor [D + L + 1 + C, width], zero beyond the layers' width.
    """
    (features, inputs), outputs = weights[0].shape, weights[-1].shape[0]
    vectors = weights[0].new_zeros(inputs + len(weights) - 1 + outputs, width)
    vectors[:inputs, :features] = weights[0].t()
    for l, bias in enumerate(biases[:-1]):
        if bias is not None:
            vectors[inputs + l, :features] = bias
    vectors[-outputs:, :features] = weights[-1]
    return vectors


def _packed(weights: Sequence[Tensor], precision: str, width: int) -> tuple[Tensor, Tensor | None]:
    """Return the hidden weights [L, width, width] as operands, and their low parts in fp32."""
    packed: list[Any] = [
        layers.pack(weight, None, precision, rows_padded=width, cols_padded=width) for weight in weights
    ]
    parts = [torch.stack(part) for part in zip(*(one.forward for one in packed), strict=True)]
    return parts[0], parts[1] if len(parts) > 1 else None

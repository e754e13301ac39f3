"""Floors and tables of NTK blocks and of adjusted steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.gpu import cases
from benchmarks.tables import table, times

Row = dict[str, Any]
Line = tuple[str, str, str | None, bool | None]
"""What a floor is of, the floor, what was measured and whether it holds; None: not measured."""


def floors(found: dict[str, Row]) -> list[Line]:
    """Return every floor of both kinds of rows."""
    return [*_gram_floors(found), *_adjusted_floors(found)]


def _gram_floors(found: dict[str, Row]) -> list[Line]:
    many = found.get(cases.gram(cases.GRAM_BATCH).key)
    one = found.get(cases.gram(1).key)
    size = f"n = {cases.GRAM_POINTS}, W = {cases.GRAM_WIDTH}"
    share = many["sides"].get(cases.CUDA, {}).get("share") if many else None
    against = _ratio(many, cases.CUDA, cases.EAGER_FP32)
    seconds = _median(one, cases.CUDA_REPLAYED)
    return [
        (
            f"ntk_gram, B = {cases.GRAM_BATCH}, {size}, of the FMA peak measured",
            f"≥ {100 * cases.LEAST_SHARE:.0f} %",
            None if share is None else f"{100 * share:.0f} %",
            None if share is None else share >= cases.LEAST_SHARE,
        ),
        (
            f"ntk_gram, B = {cases.GRAM_BATCH}, {size}, against eager fp32",
            f"≥ {cases.LEAST_GRAM_RATIO:g} ×",
            None if against is None else times(against),
            None if against is None else against >= cases.LEAST_GRAM_RATIO,
        ),
        (
            f"ntk_gram, B = 1, {size}, on the device",
            f"≤ {1e6 * cases.MOST_GRAM_SECONDS:.0f} µs",
            None if seconds is None else f"{1e6 * seconds:.1f} µs",
            None if seconds is None else seconds <= cases.MOST_GRAM_SECONDS,
        ),
    ]


def _adjusted_floors(found: dict[str, Row]) -> list[Line]:
    lines: list[Line] = []
    for precision in ("fp32", "tf32"):
        row = found.get(cases.adjusted(precision).key)
        for sample in cases.SAMPLES[:-1]:
            value = _ratio(row, cases.PLAIN, sample)
            lines.append((
                f"adjusted step over the plain one, {precision}, {sample}",
                f"≤ {cases.MOST_ADJUSTED_RATIO:g} ×",
                None if value is None else f"{value:.2f} ×",
                None if value is None else value <= cases.MOST_ADJUSTED_RATIO,
            ))  # fmt: skip
    return lines


def _median(row: Row | None, side: str) -> float | None:
    found = row["sides"].get(side) if row else None
    return float(found["seconds"]["median"]) if found else None


def _ratio(row: Row | None, side: str, against: str) -> float | None:
    own, other = _median(row, side), _median(row, against)
    return None if own is None or other is None else other / own


def gram_table(rows: Sequence[Row]) -> str:
    """Return medians, rates and shares of every side of `ntk_gram`."""
    header = ["blocks", "side", "µs (quartiles)", "TFLOP/s", "of the FMA peak measured", "of that specified"]
    header += ["eager fp32 ÷", "error to float64"]
    lines = []
    for row in rows:
        case = row["case"]
        title = f"B = {case['batch']}, n = {case['points']}, W = {case['width']}"
        for side, values in row["sides"].items():
            lines.append([
                title, side, _spread(values["seconds"], 1e6, 1), f"{values['tflop_s']:.3g}",
                f"{100 * values['share']:.0f} %", f"{100 * values['share_of_specified']:.0f} %",
                times(_ratio(row, side, cases.EAGER_FP32)), f"{row['error']:.1e}",
            ])  # fmt: skip
        lines += [[title, side, cause[:120], *[""] * 5] for side, cause in row["errors"].items()]
    return table(header, lines)


def adjusted_table(rows: Sequence[Row]) -> str:
    """Return medians of the plain step and of the adjusted ones, and their ratios."""
    lines = []
    for row in rows:
        case = row["case"]
        height, width = case["shape"]
        title = (
            f"{width} × {height} RGB, patches of {case['patch']}, {case['layers']} layers of {case['width']}"
        )
        title += f", end {case['end']}, {case['precision']}"
        for side, values in row["sides"].items():
            ratio = _ratio(row, cases.PLAIN, side)
            over = "" if ratio is None else f"{ratio:.2f} ×"
            lines.append([title, side, _spread(values["seconds"], 1e3, 3), over])
        lines += [[title, side, cause[:120], ""] for side, cause in row["errors"].items()]
    return table(["step", "side", "ms (quartiles)", "over plain"], lines)


def _spread(spread: dict[str, float], unit: float, digits: int) -> str:
    middle, low, high = (f"{unit * spread[name]:.{digits}f}" for name in ("median", "q25", "q75"))
    return f"{middle} ({low}–{high})"

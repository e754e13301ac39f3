"""The tables of ``fastsnf analyze``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table

from fastsnf.analysis import (
    Analysis,
    HessianSpectrum,
    LayerStatistics,
    LeadingSpectrum,
    NtkSpectrum,
    Spectrum,
)
from fastsnf.analysis.kernel import THRESHOLDS

if TYPE_CHECKING:
    from fastsnf.nn import Field
    from fastsnf.ntk import Alignment
    from fastsnf.signals import Signal


def head(field: Field, signal: Signal | None, name: str, device: str, note: str) -> list[str]:
    """Return the lines above the tables: what is analysed, and where."""
    parameters = sum(p.numel() * (2 if p.is_complex() else 1) for p in field.parameters() if p.requires_grad)
    lines = [f"{'field':<9}{field.summary()}; {parameters:,} parameters"]
    if signal is None:
        lines.append(f"{'signal':<9}none, points of [-1, 1]^{field.in_features} stand for it")
    else:
        size = "×".join(map(str, signal.shape))
        lines.append(f"{'signal':<9}{signal.kind} {size}, {signal.out_features} channels")
    return [f"{'analysis':<9}{name} on {device}", *lines, *([f"{'note':<9}{note}"] if note else [])]


def tables(found: Analysis) -> Iterator[Table]:
    """Yield a table for each part, and one for what is missing."""
    for part in found.found.values():
        if isinstance(part, dict):
            yield _frequencies(part)
        elif isinstance(part, LayerStatistics):
            yield _layers(part)
        elif isinstance(part, HessianSpectrum):
            yield _hessian(part)
        elif isinstance(part, NtkSpectrum):
            yield _ntk(part)
        else:
            yield _leading(part)
    if found.missing:
        table = Table("part", "why it is not there", title="not computed", title_justify="left")
        for name, why in found.missing.items():
            table.add_row(name, why)
        yield table


def figure(value: float) -> str:
    """Return a number to four digits; inf as what it means."""
    return f"{value:.4g}" if math.isfinite(value) else "inf (singular to rounding)"


def _ntk(part: NtkSpectrum) -> Table:
    table = Table("NTK", "value", title=f"NTK at {part.points:,} sampled points", title_justify="left")
    table.add_row(
        f"condition number (mean of {part.average} / mean of {part.average})", figure(part.condition)
    )
    table.add_row("largest eigenvalue / n", figure(float(part.values[0]) / part.points))
    table.add_row("smallest eigenvalue / n", figure(float(part.values[-1]) / part.points))
    _energies(table, part.alignment)
    table.caption = "compare at equal points: a thin sample looks well-conditioned; ntk-all has all points"
    table.caption_justify = "left"
    return table


def _leading(part: LeadingSpectrum) -> Table:
    title = f"NTK at all {part.points:,} points, {part.steps} Lanczos steps"
    table = Table("NTK", "value", title=title, title_justify="left")
    for index, value in enumerate(part.values[:5].tolist()):
        error = float(part.residuals[index]) / part.points
        table.add_row(f"eigenvalue {index} / N", f"{figure(value / part.points)} ± {figure(error)}")
    _energies(table, part.alignment)
    return table


def _energies(table: Table, alignment: Alignment | None) -> None:
    """Add E(t) of Eq. 9 where there is one."""
    if alignment is not None:
        values = alignment.at(alignment.ratios.new_tensor(THRESHOLDS)).tolist()
        for t, value in zip(THRESHOLDS, values, strict=True):
            table.add_row(f"kernel-task alignment E({t:g})", f"{value:.4f}")


def _frequencies(part: dict[str, Spectrum]) -> Table:
    unit = "of the highest" if part["field"].radial else "cycles over [-1, 1]"
    table = Table(
        "of the", f"mean frequency ({unit})", "energy in the upper half", "energy without the mean",
        title="frequency spectrum", title_justify="left",
    )  # fmt: skip
    for name, spectrum in part.items():
        energy = figure(float(spectrum.energies.sum()))
        table.add_row(name, figure(spectrum.centroid), f"{100 * spectrum.high:.3g} %", energy)
    return table


def _hessian(part: HessianSpectrum) -> Table:
    title = f"Hessian of the loss at {part.points:,} sampled points, {part.parameters:,} parameters"
    table = Table("Hessian", "value", title=title, title_justify="left")
    count = part.average
    table.add_row(f"condition number (mean of {count} / mean of {count}, magnitudes)", figure(part.condition))
    table.add_row("largest", ", ".join(map(figure, part.largest.tolist())))
    table.add_row(part.label, ", ".join(map(figure, part.smallest.tolist())))
    return table


def _layers(part: LayerStatistics) -> Table:
    table = Table(title="layers: Kolmogorov-Smirnov and Wasserstein-1 distances", title_justify="left")
    table.add_column("layer", no_wrap=True)
    for name in (
        "inputs to arcsine",
        "omega × deviation of u",
        "u to normal",
        "deviation of gradient",
        "it to normal",
    ):
        table.add_column(name)
    for layer in part.layers:
        u, d = layer.pre_activations, layer.gradients
        table.add_row(
            layer.name,
            f"{layer.inputs.to_arcsine.ks:.4f}, {figure(layer.inputs.to_arcsine.wasserstein)}",
            figure(layer.omega * u.deviation),
            f"{u.to_normal.ks:.4f}, {figure(u.to_normal.wasserstein)}",
            figure(d.deviation),
            f"{d.to_normal.ks:.4f}, {figure(d.to_normal.wasserstein)}",
        )
    return table

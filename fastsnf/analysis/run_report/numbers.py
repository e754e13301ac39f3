"""The numbers of a run in words and units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult

QUALITY: dict[str, tuple[str, str]] = {
    "iou": ("IoU", ".4f"),
    "psnr": ("PSNR", ".2f dB"),
    "iou_holdout": ("held-out IoU", ".4f"),
    "psnr_holdout": ("held-out PSNR", ".2f dB"),
    "psnr_published": ("published PSNR", ".2f dB"),
    "psnr_area": ("PSNR weighted by area", ".2f dB"),
    "iou_published": ("published IoU", ".4f"),
    "snr": ("SNR", ".2f dB"),
    "ssim": ("SSIM", ".4f"),
    "mae": ("mean absolute error", ".4g"),
}
"""How a measure of quality is called and written; others by their own name with four digits."""
HELD = "_holdout"
"""How the names of measures end that are those of the points left out."""


def qualities(result: FitResult, more: Mapping[str, float]) -> dict[str, float]:
    """Return every measure of quality by name, in the order of `QUALITY`; unknown ones last."""
    known: dict[str, Any] = {
        "psnr": result.psnr,
        "psnr_holdout": result.psnr_holdout,
        "psnr_published": result.psnr_published,
        **getattr(result, "metrics", {}),
        **more,
    }
    there = {name: float(value) for name, value in known.items() if value is not None}
    order = [*(name for name in QUALITY if name in there), *(name for name in there if name not in QUALITY)]
    return {name: there[name] for name in order}


def said(name: str, value: float) -> str:
    """Return a measure of quality in words.

    >>> said("psnr", 31.4159), said("iou", 0.98765), said("psnr_area_holdout", 30.0)
    ('PSNR 31.42 dB', 'IoU 0.9877', 'held-out PSNR weighted by area 30.00 dB')
    """
    return " ".join(labelled(name, value))


def labelled(name: str, value: float) -> tuple[str, str]:
    """Return what a measure is called and its value with the unit."""
    label, form = QUALITY.get(name, (name, ".4g"))
    if name not in QUALITY and name.endswith(HELD) and name.removesuffix(HELD) in QUALITY:
        label, form = QUALITY[name.removesuffix(HELD)]
        label = f"held-out {label}"
    digits, _, unit = form.partition(" ")
    text = format(value, digits) if math.isfinite(value) else str(value)
    return label, f"{text} {unit}".strip()


def lead(result: FitResult, signal: Signal) -> str:
    """Return the run in one line."""
    shape = " x ".join(map(str, signal.shape))
    best = ", ".join(said(name, value) for name, value in list(qualities(result, {}).items())[:2])
    steps = f"{result.steps:,} step{'s' * (result.steps != 1)}"
    return f"{signal.kind}, {shape}: {best} after {steps} in {result.seconds:.1f} s"


def number_rows(result: FitResult, signal: Signal, more: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return the rows of the table of numbers."""
    rows = [labelled(name, value) for name, value in qualities(result, more).items()]
    if result.loss is not None:
        rows.append(("loss of the last step", f"{result.loss:.4e}"))
    rows += [
        ("steps", f"{result.steps:,}"),
        ("seconds", f"{result.seconds:.2f}"),
        ("seconds in steps", f"{result.seconds_steps:.2f}"),
        ("points a second", f"{result.points_per_second:,.0f}"),
        ("parameters", f"{result.parameters:,}"),
        ("points of the signal", f"{signal.size:,}"),
        ("numbers of the signal", f"{signal.size * signal.out_features:,}"),
        ("seed", str(result.seed)),
    ]
    if result.iga is not None:
        rows += [(f"iga {name}", str(value)) for name, value in result.iga.items()]
    return rows

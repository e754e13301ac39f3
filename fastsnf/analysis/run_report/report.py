"""`write_report`: a run as one HTML page."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsnf.analysis.run_report import page
from fastsnf.analysis.run_report.gallery import Gallery, gallery
from fastsnf.analysis.run_report.machine import machine_rows
from fastsnf.analysis.run_report.numbers import lead, number_rows
from fastsnf.analysis.run_report.plotted import curve_picture, spectrum_picture
from fastsnf.analysis.run_report.reproduce import commands, in_python
from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult

REPORT_FILE = "report.html"
CONFIG_FILE = "config.toml"


def write_report(
    result: FitResult,
    signal: Signal,
    folder: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
    more: Mapping[str, float] | None = None,
) -> Path:
    """Write ``report.html``: pictures, curve, spectrum, numbers, configuration, machine, how to reproduce.

    One file that loads nothing and runs nothing. Curves and spectra need matplotlib; without it the page says
    so and has the rest.

    Args:
        result: of the fit.
        signal: what was fitted, with its data.
        folder: where to; by default the run folder, whose ``config.toml`` is shown in either case.
        title: the heading; by default the kind of signal.
        more: further numbers by name, such as the SSIM of a picture.

    Returns:
        The file.

    Raises:
        InputError: without a folder, or for one that cannot be written.
        RunError: when the disk is full or fails.
    """
    place = folder if folder is not None else result.run
    if place is None:
        raise InputError("expected a folder for report.html; got none, and a fit without a run folder")
    path = Path(place) / REPORT_FILE
    config = _config(result.run)
    text = page.page(
        title or f"a fit of {signal.kind}",
        lead(result, signal),
        [
            page.Section("Numbers", [page.table(number_rows(result, signal, more or {}))]),
            *_shown(result, gallery(result, signal)),
            page.Section("Configuration", _configuration(config)),
            page.Section("Machine", [page.table(machine_rows(result, _table(config, "fastsnf")))]),
            page.Section("How to reproduce", _reproduce(result, signal, config)),
        ],
    )
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "replace"))  # a file name may hold bytes that are no text
    return path


def _shown(result: FitResult, found: Gallery) -> list[page.Section]:
    """Return the sections of pictures; those that matplotlib draws name it where it is missing."""
    parts = []
    for group in found.groups:
        parts += [page.heading(group.title)] if group.title else []
        parts += [page.paragraph(group.note, quiet=True)] if group.note else []
        parts.append(page.figures(group.pictures))
    sections = [page.Section("Pictures", parts)]
    try:
        if result.history:
            sections.append(page.Section("Curve", [page.figures([curve_picture(result.history)])]))
        if found.spectra:
            picture = spectrum_picture(found.spectra, f"amplitudes, {found.spectrum_of}")
            sections.append(page.Section("Spectrum of the error", [page.figures([picture])]))
    except InputError as error:  # no matplotlib
        sections.append(page.Section("Curve and spectrum", [page.paragraph(str(error))]))
    return sections


def _config(run: str | None) -> dict[str, Any]:
    """Return the tables of the run's configuration; none where there is no run folder, or a damaged one."""
    if run is None:
        return {}
    try:
        return tomllib.loads((Path(run) / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a table of the configuration; nothing for one that is not there, or no table."""
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _configuration(config: Mapping[str, Any]) -> list[str]:
    parts = []
    for name, entries in config.items():
        if isinstance(entries, Mapping) and name != "command":
            parts += [page.heading(name), page.table((key, _worded(value)) for key, value in entries.items())]
    return parts


def _worded(value: Any, *, inner: bool = False) -> str:
    """Return a value of a configuration for a cell of a table; what lies inside another is in brackets."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{key} = {_worded(item, inner=True)}" for key, item in value.items())
        return f"({text})" if inner else text
    if isinstance(value, list):
        text = ", ".join(_worded(item, inner=True) for item in value)
        return f"[{text}]" if inner else text
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reproduce(result: FitResult, signal: Signal, config: Mapping[str, Any]) -> list[str]:
    lines, python = commands(signal, result.run, config), in_python(result.run)
    parts = [page.listing("\n".join(lines))] if lines else []
    if python:
        parts += [page.paragraph("In Python:"), page.listing(python)]
    search = _table(config, "command").get("alpha_search")
    if isinstance(search, list):
        parts.append(page.paragraph("alpha was found by: " + " ".join(map(str, search)), quiet=True))
    return parts

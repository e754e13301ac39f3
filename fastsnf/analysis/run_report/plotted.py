"""What matplotlib draws for a report: the curve of a fit and spectra, as PNG pictures in memory."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastsnf.analysis.plots import curve_figure, new_figure
from fastsnf.analysis.run_report.picture import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from fastsnf.analysis.frequencies import Spectrum

MOST_BINS = 1000
"""Frequencies of a spectrum that are drawn at most."""
DPI = 110
"""Dots an inch: a picture as wide as the page is 1,000 pixels or so."""


def curve_picture(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Return loss and PSNR over steps and over seconds; raises `InputError` without matplotlib."""
    return drawn("PSNR and loss over steps and over seconds", curve_figure(rows, "curve"))


def spectrum_picture(spectra: Mapping[str, Spectrum], title: str) -> Picture:
    """Return the amplitudes of spectra by their names; raises `InputError` without matplotlib.

    Args:
        spectra: all radial or none of them.
        title: what the caption says.
    """
    figure = new_figure((9.0, 3.4), "spectrum")
    axes = figure.subplots()
    radial = False
    for name, spectrum in spectra.items():
        radial = spectrum.radial
        axes.plot(*(binned(values).tolist() for values in (spectrum.frequencies, spectrum.amplitudes)),
                  label=name, linewidth=1.2)  # fmt: skip
    if any(bool((spectrum.amplitudes > 0).any()) for spectrum in spectra.values()):
        axes.set_yscale("log")
    axes.set_xlabel("frequency / highest frequency" if radial else "cycles over the interval")
    axes.set_ylabel("|F| / N")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return drawn(title, figure)


def binned(values: Tensor, most: int = MOST_BINS) -> Tensor:
    """Return `values` `[k]`, of more than `most` the means of some in a row; a rest is left out."""
    many = -(-len(values) // most)
    return values if many <= 1 else values[: len(values) // many * many].reshape(-1, many).mean(dim=1)


def drawn(title: str, figure: Figure, note: str = "") -> Picture:
    """Return a figure as a wide picture."""
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI, format="png")
    width, height = (round(side * DPI) for side in figure.get_size_inches())
    return Picture(title, file.getvalue(), width, height, note, wide=True)

"""What reads fields and results and never trains: kernels, Hessians, spectra, distributions, and pictures.

Names resolve on first use. Every result holds float64 tensors on the CPU, says itself as numbers by `row`, as
panels by `panels`, and draws itself by `draw` (matplotlib, when it is installed).
"""

from __future__ import annotations

from fastsnf.lazy import on_first_use

_HOMES = {
    **dict.fromkeys(("Points", "sampled_points", "data_at"), "points"),
    **dict.fromkeys(("NtkSpectrum", "ntk_spectrum"), "kernel"),
    **dict.fromkeys(("LeadingSpectrum", "leading_spectrum"), "leading"),
    **dict.fromkeys(("NtkTrace", "NtkCourse", "HessianTrace", "HessianCourse"), "course"),
    **dict.fromkeys(("Krylov", "lanczos"), "krylov"),
    **dict.fromkeys(("HessianSpectrum", "hessian_spectrum"), "hessian"),
    **dict.fromkeys(("Spectrum", "function_spectrum", "field_spectrum", "signal_spectrum"), "frequencies"),
    **dict.fromkeys(("Distance", "distance_to_arcsine", "distance_to_normal"), "distributions"),
    **dict.fromkeys(("LayerStatistics", "LayerRow", "Sample", "layer_statistics"), "layers"),
    "bessel_j": "bessel",
    **dict.fromkeys(
        ("bessel_series", "bessel_lines", "SineLines", "harmonic_bounds", "HarmonicBounds"), "harmonics"
    ),
    **dict.fromkeys(("ArcsineError", "arcsine_error"), "arcsine"),
    **dict.fromkeys(("Analysis", "analyze"), "report"),
    "write_report": "run_report.report",
}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)

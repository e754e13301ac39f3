"""Signals: what is fitted. No parameters, no devices.

Names resolve on first use, so that `fastsnf.signals.kinds` and `fastsnf.signals.size` serve the command line
without torch.
"""

from __future__ import annotations

from fastsnf.lazy import on_first_use

_HOMES: dict[str, str] = {
    "Audio": "audio",
    "Grid": "grid",
    "Image": "image",
    "Occupancy": "occupancy",
    "PointCloud": "point_cloud",
    "Samples": "samples",
    "Signal": "signal",
    "SignedDistance": "sdf",
    "Sphere": "sphere",
    "SuperResolution": "super_resolution",
    "Video": "video",
    "Volume": "volume",
    "from_metadata": "registry",
    "holdout_split": "grid",
    "open": "registry",
    "synthetic": "synthetic",
}
"""Every public name and the module that holds it; a module's own name stands for the module."""

__all__ = [
    *("Audio", "Grid", "Image", "Occupancy", "PointCloud", "Samples", "Signal", "SignedDistance", "Sphere"),
    *("SuperResolution", "Video", "Volume", "from_metadata", "holdout_split", "open", "synthetic"),
]

__getattr__, __dir__ = on_first_use(__name__, _HOMES)

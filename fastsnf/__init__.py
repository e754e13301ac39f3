"""fastsnf: sinusoidal neural fields on fused kernels.

Names resolve on first use (PEP 562), so that ``import fastsnf`` costs nothing: no torch, no native library.
"""

from __future__ import annotations

from fastsnf.lazy import on_first_use
from fastsnf.version import __version__ as __version__

_HOMES: dict[str, str] = {
    **dict.fromkeys(("Sine", "Gaussian", "Sinc", "Gabor", "RealGabor", "Finer", "ReLU", "Tanh"), "spec"),
    **dict.fromkeys(("Sigmoid", "Custom"), "spec"),
    **dict.fromkeys(("SNF", "Siren", "accelerate"), "nn"),
    **dict.fromkeys(("fit", "FitConfig", "FitResult"), "train"),
    **dict.fromkeys(("save", "load"), "train.checkpoint"),
    **dict.fromkeys(("use_engine", "use_precision", "explain"), "ops"),
    "analysis": "analysis",
    "encodings": "encodings",
    "init": "nn.init",
    "nn": "nn",
    "ntk": "ntk",
    "ops": "ops",
    "presets": "presets",
    "signals": "signals",
    "spec": "spec",
    "train": "train",
}
"""Every public name and the module that holds it."""

__getattr__, __dir__ = on_first_use(__name__, _HOMES)

"""fastsnf: sinusoidal neural fields on fused kernels.

Names resolve on first use (PEP 562), so that ``import fastsnf`` costs nothing: no torch, no native library.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fastsnf.version import __version__ as __version__

_HOMES: dict[str, str] = {
    **dict.fromkeys(("Sine", "Gaussian", "Sinc", "Gabor", "RealGabor", "Finer", "ReLU", "Tanh"), "spec"),
    **dict.fromkeys(("SNF", "Siren", "accelerate"), "nn"),
    **dict.fromkeys(("fit", "FitConfig", "FitResult"), "train"),
    **dict.fromkeys(("save", "load"), "train.checkpoint"),
    **dict.fromkeys(("use_engine", "use_precision", "explain"), "ops"),
    "init": "nn.init",
    "nn": "nn",
    "ntk": "ntk",
    "ops": "ops",
    "signals": "signals",
    "spec": "spec",
    "train": "train",
}
"""Every public name and the module that holds it; a module's own last name stands for the module."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastsnf' has no attribute {name!r}")
    home = _HOMES[name]
    module = import_module(f"fastsnf.{home}")
    value = module if home.rpartition(".")[2] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

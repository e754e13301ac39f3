"""setup.py as a module, whose functions can be tested."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def build_script() -> ModuleType:
    """Return setup.py as a module of its own, run without a command."""
    spec = importlib.util.spec_from_file_location("setup_of_fastsnf", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up annotations
    spec.loader.exec_module(module)
    return module

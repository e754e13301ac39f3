"""The engines that run here, for tests of the functional interface."""

from __future__ import annotations

import pytest

from fastsnf import ops
from fastsnf.engines import native

NATIVE = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "the native engine runs")
"""For tests of what only the fused engine does."""

RUNNING = [row["engine"] for row in ops.engines_report() if row["available"]]
EVERY_ENGINE = pytest.mark.parametrize("engine", RUNNING)

"""The engines that take CPU tensors here, for tests of the functional interface."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from fastsnf import ops
from fastsnf.engines import native, triton
from tests import cases

NATIVE = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "the native engine runs")
"""For tests of what only the CPU engine does."""

INTERPRETED = not triton.missing() and triton.interpreted()
TRITON = pytest.mark.skipif(
    not INTERPRETED, reason=triton.missing() or "Triton's interpreter is off (TRITON_INTERPRET=1 turns it on)"
)
"""For tests of what the Triton engine does with CPU tensors, through its interpreter."""

RUNNING = [
    row["engine"]
    for row in ops.engines_report()
    if row["available"] and (row["engine"] != "triton" or INTERPRETED)
]
EVERY_ENGINE = pytest.mark.parametrize("engine", RUNNING)

FUSED = pytest.mark.parametrize("engine", [name for name in RUNNING if name != "reference"])
"""The engines behind custom operators."""


def every_engine_with(
    name: str, values: Mapping[str, Any], interpreted: Collection[str]
) -> pytest.MarkDecorator:
    """Parametrize over (name, engine): every value with every engine.

    The interpreter is slow: unless all counts are full it takes the values called `interpreted` alone, and
    its own tests the rest.
    """
    everything = cases.count(10) == 10
    return pytest.mark.parametrize(
        (name, "engine"),
        [
            pytest.param(value, engine, id=f"{label}-{engine}")
            for label, value in values.items()
            for engine in RUNNING
            if engine != "triton" or everything or label in interpreted
        ],
    )

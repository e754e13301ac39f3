"""Choosing an engine: each answers with the reasons why it cannot take a call; no reason means it can.

`auto` takes the first engine of `ENGINES`, fastest first, without reasons; a named engine runs or raises
with all of its reasons.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastsnf.engines import native
from fastsnf.errors import EngineError, unknown
from fastsnf.spec import FieldSpec

AUTO = "auto"
ENGINES = ("native", "reference")
"""The engines of this version, fastest first."""

LATER = {
    "triton": "this version has no Triton engine",
    "cuda": "this version has no CUDA engine",
}
"""Engines whose names are known and that this version does not have."""

_selected = (
    AUTO  # a plain global, which torch.compile can read and guard; a context variable breaks its graphs
)


def engine_names() -> tuple[str, ...]:
    """Return every name that `engine=` takes."""
    return (AUTO, *ENGINES, *LATER)


@contextlib.contextmanager
def use_engine(name: str) -> Iterator[None]:
    """Make `name` the engine of every call inside the block that says ``engine="auto"``, in every thread.

    Raises:
        InputError: for a name that is not an engine's.
    """
    global _selected
    _check_name(name)
    before, _selected = _selected, name
    try:
        yield
    finally:
        _selected = before


def explain(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], *, spec: FieldSpec
) -> list[tuple[str, list[str]]]:
    """Return ``(engine, reasons)`` for every engine: why it cannot take this call, nothing when it can."""
    return [(name, reasons(name, x, weights, spec)) for name in (*ENGINES, *LATER)]


def chosen(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    engine: str = AUTO,
) -> str:
    """Return the name of the engine that this call takes.

    Raises:
        EngineError: when a named engine cannot take it, with every reason.
    """
    return choose(engine, x, weights, spec)


def choose(engine: str, x: Tensor, weights: Sequence[Tensor], spec: FieldSpec) -> str:
    """Return the engine for a call, `use_engine`'s when `engine` is ``auto``."""
    _check_name(engine)
    if engine == AUTO:
        engine = _selected
    if engine == AUTO:
        return "native" if not reasons("native", x, weights, spec) else "reference"
    why = reasons(engine, x, weights, spec)
    if why:
        raise EngineError(f"engine {engine!r} cannot take this call: {'; '.join(why)}. Use engine='auto'")
    return engine


def reasons(engine: str, x: Tensor, weights: Sequence[Tensor], spec: FieldSpec) -> list[str]:
    """Return why `engine` cannot take a call."""
    if engine == "reference":
        return []
    if engine in LATER:
        return [LATER[engine]]
    why = native.reasons(x.device.type, x.dtype, [tuple(w.shape) for w in weights])
    if _plain_operations_needed():
        why.append("torch.func transforms, forward-mode autograd and torch.export take plain operations")
    return why


def _plain_operations_needed() -> bool:
    # A custom op has no rule for these: grad would raise, and jvp return tangents of zero without a word. An
    # exported program must run where fastsnf is not installed.
    return (
        torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or torch.compiler.is_exporting()
    )


def engines_report() -> list[dict[str, Any]]:
    """Return for each engine whether it can run on this machine, why not, and what it uses."""
    rows = []
    for name in (*ENGINES, *LATER):
        if name == "native":
            why, detail = [native.missing()] if native.missing() else [], native.detail()
        elif name == "reference":
            why, detail = [], f"plain PyTorch {torch.__version__}"
        else:
            why, detail = [LATER[name]], ""
        rows.append({"engine": name, "available": not why, "reasons": why, "detail": detail})
    return rows


def _check_name(name: str) -> None:
    if name not in (AUTO, *ENGINES, *LATER):
        raise unknown("the engine", name, engine_names())

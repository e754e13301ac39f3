"""Choosing an engine: each answers with the reasons why it cannot take a call; no reason means it can.

`auto` takes the first engine of `ENGINES`, fastest first, without reasons; a named engine runs or raises
with all of its reasons.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastsnf.engines import cuda, native, triton
from fastsnf.errors import EngineError, unknown
from fastsnf.ops import precision as precisions
from fastsnf.spec import Custom, FieldSpec, Identity

AUTO = "auto"
ENGINES = ("triton", "native", "reference")
"""The engines that compute fields, fastest first."""

NO_FIELDS = {"cuda": "it computes NTK blocks only"}
"""Engines that `ntk_gram` takes and that have no fields."""

PLAIN_OPERATIONS = "torch.func transforms, forward-mode autograd and torch.export take plain operations"
"""Why a call that `plain_operations_needed` is none for an engine behind a custom operator."""

OWN_ACTIVATION = "a user's own activation runs in plain PyTorch"
"""Why a field with a `fastsnf.spec.Custom` activation is none for an engine of kernels."""

INTERPRETED = "auto passes the interpreter by, engine='triton' takes it"
"""Why `auto` does not take an engine that could run: Triton's interpreter is there for tests."""

_selected = (
    AUTO  # a plain global, which torch.compile can read and guard; a context variable breaks its graphs
)


def engine_names() -> tuple[str, ...]:
    """Return every name that `engine=` takes."""
    return (AUTO, *ENGINES, *NO_FIELDS)


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


def requested(engine: str) -> str:
    """Return what a call asks for: `use_engine`'s where it says ``auto``, which may be ``auto`` again.

    Raises:
        InputError: for a name that is not an engine's.
    """
    _check_name(engine)
    return _selected if engine == AUTO else engine


class Choice(NamedTuple):
    """The engine that takes a call and the precision it computes in: fp32, tf32, fast or fp64."""

    engine: str
    precision: str


def explain(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    precision: str = AUTO,
) -> list[tuple[str, list[str]]]:
    """Return ``(engine, reasons)`` for every engine: why ``auto`` cannot take it for this call.

    No reasons means that it can; ``auto`` takes the first of these.
    """
    return [(name, _passed_by(name, x, weights, spec, precision)) for name in (*ENGINES, *NO_FIELDS)]


def chosen(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    engine: str = AUTO,
    precision: str = AUTO,
) -> str:
    """Return the name of the engine that this call takes.

    Raises:
        EngineError: when a named engine, or none in the precision, can take it, with every reason.
    """
    return choose(engine, x, weights, spec, precision).engine


def choose(
    engine: str, x: Tensor, weights: Sequence[Tensor], spec: FieldSpec, precision: str = AUTO
) -> Choice:
    """Return the engine and the precision of a call, the block's where they are ``auto``.

    Raises:
        EngineError: as `chosen`.
    """
    engine = requested(engine)
    if engine == AUTO:
        engine = _fastest(x, weights, spec, precision)
    elif why := reasons(engine, x, weights, spec, precision):
        raise EngineError(f"engine {engine!r} cannot take this call: {'; '.join(why)}. Use engine='auto'")
    return Choice(engine, precisions.resolve(precision, engine, x.device, x.dtype))


def choose_plain(x: Tensor, precision: str = AUTO) -> Choice:
    """Return the engine and precision of a field that no engine has as a whole: plain operations.

    Raises:
        EngineError: when another engine is asked for by `use_engine`, or the precision is not theirs.
    """
    engine = "reference" if _selected == AUTO else _selected
    why = precisions.reasons(precision, "reference", x.device, x.dtype)
    if engine != "reference":
        why = ["it has no fields of this kind, which run in plain operations"]
    if why:
        raise EngineError(f"engine {engine!r} cannot take this call: {'; '.join(why)}. Use engine='auto'")
    return Choice("reference", precisions.resolve(precision, "reference", x.device, x.dtype))


def _fastest(x: Tensor, weights: Sequence[Tensor], spec: FieldSpec, precision: str) -> str:
    for name in ENGINES:
        if not _passed_by(name, x, weights, spec, precision):
            return name
    # The reference takes every call, but not in every precision.
    every = [f"{name}: {'; '.join(_passed_by(name, x, weights, spec, precision))}" for name in ENGINES]
    raise EngineError(
        f"expected a precision that an engine has for this call; got {precisions.requested(precision)!r}: "
        f"{', '.join(every)}. Use precision='auto'"
    )


def reasons(
    engine: str, x: Tensor, weights: Sequence[Tensor], spec: FieldSpec, precision: str = AUTO
) -> list[str]:
    """Return why `engine` cannot take a call, nothing when it can."""
    if engine in NO_FIELDS:
        return [NO_FIELDS[engine]]
    shapes = [tuple(w.shape) for w in weights]
    why: list[str] = []
    if engine == "triton":
        why = triton.reasons(x.device, x.dtype, shapes, spec)
    elif engine == "native":
        why = native.reasons(x.device.type, x.dtype, shapes)
    if engine != "reference":
        why += plain_reasons(spec)
    return why + precisions.reasons(precision, engine, x.device, x.dtype)


def _passed_by(
    engine: str, x: Tensor, weights: Sequence[Tensor], spec: FieldSpec, precision: str
) -> list[str]:
    """Return why ``auto`` does not take `engine`: its reasons, and that an interpreter is there for tests."""
    why = reasons(engine, x, weights, spec, precision)
    return why or ([INTERPRETED] if engine == "triton" and triton.interpreted() else [])


def choose_among(what: str, engine: str, answers: Mapping[str, list[str]]) -> str:
    """Return the engine of a call that only some engines have.

    Args:
        what: the call, for messages.
        engine: as the caller gave it. A block's engine counts if it has such calls at all.
        answers: those engines, fastest first, each with the reasons why it cannot take this call.

    Raises:
        EngineError: when a named engine, or the block's, cannot take the call.
    """
    wanted = requested(engine)
    if wanted != AUTO and wanted not in answers:
        if engine != AUTO:
            raise EngineError(
                f"engine {engine!r} cannot take this call: it has no {what}; "
                f"{', '.join(answers)} have. Use engine='auto'"
            )
        wanted = AUTO
    if wanted == AUTO:
        return next(name for name, why in answers.items() if not why)
    if why := answers[wanted]:
        raise EngineError(f"engine {wanted!r} cannot take this call: {'; '.join(why)}. Use engine='auto'")
    return wanted


def plain_reasons(spec: FieldSpec) -> list[str]:
    """Return why a field of `spec` is made of plain operations in this call, nothing when it need not be."""
    why = [OWN_ACTIVATION] if any(isinstance(act, Custom) for act in spec.activations) else []
    return why + ([PLAIN_OPERATIONS] if plain_operations_needed() else [])


def plain_operations_needed() -> bool:
    """Return whether the call must be made of operations that torch has rules for."""
    # A custom op has no rule for these: grad would raise, and jvp return tangents of zero without a word. An
    # exported program must run where fastsnf is not installed.
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0 or _exporting()


@torch.compiler.assume_constant_result  # tracing it, torch 2.11 takes every torch.compile for an export
def _exporting() -> bool:
    return torch.compiler.is_exporting()


def engines_report() -> list[dict[str, Any]]:
    """Return for each engine whether it can run on this machine, why not, and what it uses."""
    rows = []
    for name in (*ENGINES, *NO_FIELDS):
        why, detail = _on_this_machine(name)
        rows.append({"engine": name, "available": not why, "reasons": why, "detail": detail})
    return rows


def _on_this_machine(engine: str) -> tuple[list[str], str]:
    """Return why `engine` cannot run here, and what it uses if it can."""
    if engine == "triton":
        if cause := triton.missing():
            return [cause], ""
        device = torch.device("cpu" if triton.interpreted() else "cuda")
        why = triton.reasons(device, torch.float32, [(1, 1)], FieldSpec((Identity(),)))
        precision = precisions.resolve(AUTO, engine, device, torch.float32)
        passed_by = f"; {INTERPRETED}" if triton.interpreted() else ""
        return why, "" if why else f"{triton.detail()}, precision {precision}{passed_by}"
    if engine == "native":
        return [native.missing()] if native.missing() else [], native.detail()
    if engine == "reference":
        return [], f"plain PyTorch {torch.__version__}"
    why = cuda.gram_reasons(torch.device("cuda"), torch.float32, [])
    return why, "" if why else cuda.detail()


def _check_name(name: str) -> None:
    if name not in (AUTO, *ENGINES, *NO_FIELDS):
        raise unknown("the engine", name, engine_names())

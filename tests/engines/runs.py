"""The CPU engine as the gate runs it, on each of its variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fastsnf.engines import native
from fastsnf.spec import FieldSpec
from tests.engines.problems import Problem, until_one_passes
from tests.judge import Result, Run, field_run, judge, mse_run

if not native.variants():
    pytest.skip(f"the CPU engine cannot run here: {native.missing()}", allow_module_level=True)

VARIANTS = native.variants()
EVERY_VARIANT = pytest.mark.parametrize("variant", VARIANTS)


def native_field(spec: FieldSpec, *, need_x: bool = True, need_params: bool = True) -> Run:
    """Return the engine's forward and backward pass as a run of (x, d_out)."""

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, d_out = rows
        out = native.forward(x, weights, biases, spec)
        d_x, d_weights, d_biases = native.backward(
            x, weights, biases, spec, d_out, need_x=need_x, need_params=need_params
        )
        return Result([out] if d_x is None else [out, d_x], [], d_weights, d_biases)

    return run


def native_mse(spec: FieldSpec) -> Run:
    """Return the engine's single pass as a run of (x, target, sample_weight)."""

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, target, sample_weight = rows
        loss, d_weights, d_biases = native.mse_value_and_grad(x, target, weights, biases, spec, sample_weight)
        return Result([loss], [], d_weights, d_biases)

    return run


class ByVariant(NamedTuple):
    """The same result by every instruction set, so that one eager evaluation judges them all."""

    results: dict[str, Result]

    def named(self) -> dict[str, Tensor]:
        """Return every tensor, its name led by the variant's."""
        return {
            f"{variant} {name}": tensor
            for variant, result in self.results.items()
            for name, tensor in result.named().items()
        }


def judge_variants(ours: Run, eager: Run, case: Problem, rows: Sequence[Tensor]) -> list[float]:
    """Run `tests.judge.judge` on every variant of the engine; returns the error ratios."""

    def by_variant(*given: Sequence[Tensor]) -> ByVariant:
        results = {}
        for variant in VARIANTS:
            with native.use_variant(variant):
                results[variant] = ours(*given)
        return ByVariant(results)

    def repeated(*given: Sequence[Tensor]) -> ByVariant:
        return ByVariant(dict.fromkeys(VARIANTS, eager(*given)))

    return judge(by_variant, repeated, rows, case.weights, case.biases)


def judge_field(draw: Callable[[int], Problem]) -> None:
    """Judge outputs and gradients of every variant, on one of the first draws."""
    until_one_passes(
        lambda case: judge_variants(native_field(case.spec), field_run(case.spec), case, case.field_rows),
        draw,
    )


def judge_both(draw: Callable[[int], Problem]) -> None:
    """Judge outputs and gradients, and the single pass, of every variant, on one of the first draws."""
    judge_field(draw)
    until_one_passes(
        lambda case: judge_variants(native_mse(case.spec), mse_run(case.spec), case, case.mse_rows), draw
    )


def everything(case: Problem) -> dict[str, Tensor]:
    """Return what all three passes of the engine give, by name."""
    field = native_field(case.spec)(case.field_rows, case.weights, case.biases).named()
    mse = native_mse(case.spec)(case.mse_rows, case.weights, case.biases).named()
    return field | {f"mse {name}": tensor for name, tensor in mse.items()}


def assert_same_bits(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Assert that two results of `everything` are equal bit for bit, NaN included."""
    assert list(found) == list(expected)
    for name, tensor in found.items():
        torch.testing.assert_close(
            tensor,
            expected[name],
            rtol=0.0,
            atol=0.0,
            equal_nan=True,
            msg=lambda text, n=name: f"{n}: {text}",
        )

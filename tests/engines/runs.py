"""The CPU engine as the gate runs it, its variants, and random problems to give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fastsnf.engines import native
from fastsnf.spec import Activation, FieldSpec, Finer, Gaussian, Identity, ReLU, Sine
from tests import cases
from tests.judge import Result, Run, field_run, judge, mse_run

if not native.variants():
    pytest.skip(f"the CPU engine cannot run here: {native.missing()}", allow_module_level=True)

VARIANTS = native.variants()
EVERY_VARIANT = pytest.mark.parametrize("variant", VARIANTS)

SPECS = {
    **{act.name: FieldSpec.mlp(act, 2) for act in cases.ACTIVATIONS},
    "identity": FieldSpec.mlp(Identity(), 2),
    "first omega": FieldSpec.mlp(Sine(30.0), 2, first=Sine(7.0)),
    "first gaussian": FieldSpec.mlp(Sine(20.0), 1, first=Gaussian(3.0)),
    "mixed": FieldSpec((ReLU(), Identity(), Finer(5.0), Gaussian(2.0))),
    **{f"last {act.name}": FieldSpec.mlp(act, 1, last=act) for act in cases.REAL_ACTIVATIONS},
}
"""Every activation hidden and last (as ``Siren(outermost_linear=False)`` has it), a first layer of another
omega and of another kind, and one activation of each layer."""

EVERY_SPEC = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())


class Problem(NamedTuple):
    """A field, its points, and what the passes compare with."""

    spec: FieldSpec
    x: Tensor
    weights: list[Tensor]
    biases: list[Tensor | None]
    d_out: Tensor
    target: Tensor
    sample_weight: Tensor

    @property
    def field_rows(self) -> list[Tensor]:
        """Return what `native_field` and `tests.judge.field_run` take as rows."""
        return [self.x, self.d_out]

    @property
    def mse_rows(self) -> list[Tensor]:
        """Return what `native_mse` and `tests.judge.mse_run` take as rows."""
        return [self.x, self.target, self.sample_weight]


def problem(
    spec: FieldSpec,
    widths: Sequence[int],
    points: int,
    *,
    bias: bool | Sequence[bool] = True,
    gen: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Problem:
    """Return a random problem; a third of its points has weight 0 and a target of NaN."""
    gen = gen or cases.generator()
    weights, biases = cases.random_field(spec, widths, bias, dtype, gen)
    x = cases.random_points(points, widths[0], dtype=dtype, gen=gen)
    d_out, target = (torch.randn(points, widths[-1], generator=gen, dtype=dtype) for _ in range(2))
    sample_weight = torch.rand(points, generator=gen, dtype=dtype)
    if points > 2:
        sample_weight[::3] = 0.0
        target[::3] = float("nan")
    return Problem(spec, x, weights, biases, d_out, target, sample_weight)


def mlp_problem(act: Activation, shape: cases.Shape, gen: torch.Generator | None = None) -> Problem:
    """Return a random problem of one of `tests.cases.SHAPES`."""
    return problem(FieldSpec.mlp(act, shape.L), shape.widths, shape.N, gen=gen)


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


def judge_field(case: Problem) -> list[float]:
    """Judge outputs and gradients of every variant."""
    return judge_variants(native_field(case.spec), field_run(case.spec), case, case.field_rows)


def judge_mse(case: Problem) -> list[float]:
    """Judge the single pass of every variant."""
    return judge_variants(native_mse(case.spec), mse_run(case.spec), case, case.mse_rows)


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

"""A whole field on the Triton engine: held to eager PyTorch's error in the same precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.engines import triton
from fastsnf.engines.triton import field, plan
from fastsnf.spec import FieldSpec, Gabor, Identity, Sine, Tanh
from tests import cases
from tests import eager_precisions as eager
from tests.engines.problems import SPECS, Problem, problem, until_one_passes
from tests.engines.triton.runs import crossed, kept_run, mse_run, poisoned, recomputed_run
from tests.judge import judge
from tests.tolerances import assert_close

__all__ = ["poisoned"]


def judged(case: Problem, precision: str) -> None:
    """Assert that the passes of one case are as good as eager's."""
    parameters = (case.weights, case.biases)
    judge(
        kept_run(case.spec, precision),
        eager.field_run(case.spec, precision),
        case.field_rows,
        *parameters,
    )
    judge(mse_run(case.spec, precision), eager.mse_run(case.spec, precision), case.mse_rows, *parameters)


PHASE16 = 4 * 4.8e-5
"""Relative to the largest output: the rounding of a phase to 16 bits, summed over 32 features."""


def widths_of(spec: FieldSpec, first: int, hidden: int, last: int) -> list[int]:
    return [first, *[hidden] * (spec.layers - 1), last]


@crossed("spec,precision", list(SPECS.values()), triton.PRECISIONS)
def test_as_good_as_eager_in_the_same_precision(spec: FieldSpec, precision: str, poisoned: None) -> None:
    until_one_passes(
        lambda case: judged(case, precision),
        lambda draw: problem(spec, widths_of(spec, 2, 37, 3), 35, gen=cases.generator(draw)),
    )


@crossed(
    "act,shape,precision",
    [Sine(30.0), Gabor(20.0, 10.0), Tanh()],
    [(1, 1, 1, 0, 1), (3, 65, 9, 1, 17), (11, 33, 2, 1, 33), (8, 32, 8, 0, 130)],
    triton.PRECISIONS,
)
def test_odd_shapes(act: Sine, shape: tuple[int, int, int, int, int], precision: str, poisoned: None) -> None:
    inputs, hidden, outputs, layers, points = shape
    spec = FieldSpec.mlp(act, layers)
    until_one_passes(
        lambda case: judged(case, precision),
        lambda draw: problem(
            spec,
            widths_of(spec, inputs, hidden, outputs),
            points,
            bias=draw % 2 == 0,
            gen=cases.generator(draw),
        ),
    )


def test_wide_coordinates_enter_in_fp32() -> None:
    case = problem(FieldSpec.mlp(Sine(30.0), 0), [20, 32, 1], 40)
    case.x.mul_(1000.0)
    case.weights[0].div_(1000.0)
    out, _ = triton.forward_keep(case.x, case.weights, case.biases, case.spec, precision="fast")
    exact = reference.forward(
        *(cases.as_double([case.x])), cases.as_double(case.weights), cases.as_double(case.biases), case.spec
    )
    assert_close(out, exact, PHASE16, "out")
    case.x.mul_(1000.0)  # beyond fp16
    assert triton.forward(case.x, case.weights, case.biases, case.spec, precision="fast").isfinite().all()


@crossed("act,widths,precision", [Sine(30.0), Tanh(), Identity()], [[3, 5], [20, 40]], triton.PRECISIONS)
def test_one_layer(act: Sine, widths: list[int], precision: str, poisoned: None) -> None:
    until_one_passes(
        lambda case: judged(case, precision),
        lambda draw: problem(FieldSpec((act,)), widths, 40, gen=cases.generator(draw)),
    )


@crossed("act,precision", [Sine(30.0), Gabor(20.0, 10.0)], triton.PRECISIONS)
def test_recomputing_is_as_good_as_keeping(act: Sine, precision: str, poisoned: None) -> None:
    until_one_passes(
        lambda case: judge(
            recomputed_run(case.spec, precision),
            eager.field_run(case.spec, precision),
            case.field_rows,
            case.weights,
            case.biases,
        ),
        lambda draw: problem(FieldSpec.mlp(act, 1), [2, 40, 40, 3], 50, gen=cases.generator(draw)),
    )


def equal(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize(
    ("act", "outputs", "kept", "points"),
    [(Sine(30.0), 1, False, 300), (Sine(30.0), 10, True, 100), (Gabor(20.0, 10.0), 1, True, 300)],
    ids=["sine, groups of splits", "sine, wide, kept", "gabor, groups of splits, kept"],
)
def test_chunks_halve_when_memory_is_short(
    act: Sine, outputs: int, kept: bool, points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "ROW_UNIT", 32)
    monkeypatch.setattr(field, "_fitting", {})
    case = problem(FieldSpec.mlp(act, 1), [2, 20, 20, outputs], points)
    limit = points * 2 // 5
    run, rows = (kept_run, case.field_rows) if kept else (mse_run, case.mse_rows)
    whole = run(case.spec, "fast")(rows, case.weights, case.biases)
    sizes: list[int] = []
    backward_rows = field.backward_rows

    def limited(plan: object, parameters: object, x: Tensor, *rest: object) -> None:
        sizes.append(len(x))
        if len(x) > limit:
            raise torch.OutOfMemoryError(f"no memory for more than {limit} rows")
        backward_rows(plan, parameters, x, *rest)

    monkeypatch.setattr(field, "backward_rows", limited)
    small = run(case.spec, "fast")(rows, case.weights, case.biases)
    assert sizes[0] == points
    assert sum(sizes[-4:]) == points
    assert torch.equal(whole.scalars[0], small.scalars[0])
    assert equal(whole.weights, small.weights)
    assert equal(whole.biases, small.biases)
    sizes.clear()
    run(case.spec, "fast")(rows, case.weights, case.biases)
    assert max(sizes) <= limit, "the next step starts with what fitted"
    monkeypatch.setattr(field, "_fitting", {})
    monkeypatch.setattr(field, "halved", lambda splits: None)
    with pytest.raises(torch.OutOfMemoryError):
        run(case.spec, "fast")(rows, case.weights, case.biases)


@pytest.mark.parametrize("rows", [1, 1_000, 131_072, 1_048_576, 10**8 + 1])
@pytest.mark.parametrize("kept", [False, True])
def test_splits_fill_a_gpu_and_bound_memory(rows: int, kept: bool) -> None:
    for width, precision in ((64, "tf32"), (256, "fast"), (512, "fp32")):
        of_field = plan.plan_of(
            FieldSpec.mlp(Sine(30.0), 3), ((width, 3), *[(width, width)] * 3, (1, width)), precision
        )
        splits = plan.splits_of(of_field, rows, 132, kept=kept)
        assert (
            splits.edge % plan.ROW_UNIT == splits.product % splits.edge == splits.chunk % splits.product == 0
        )
        assert splits.chunk * of_field.saved_bytes <= plan.CHUNK_BYTES + splits.product * of_field.saved_bytes
        if rows >= 131_072:
            tiles = (width // 128) ** 2 or 1
            assert splits.chunk // splits.product * tiles >= 132, "every multiprocessor has work"
        if kept and rows > 2 * plan.LEAST_HALF:
            assert splits.chunk <= rows // 2 + splits.product


@pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)
def test_no_rows(act: Sine) -> None:
    case = problem(FieldSpec.mlp(act, 1), [2, 20, 20, 3], 0)
    result = mse_run(case.spec, "tf32")(case.mse_rows, case.weights, case.biases)
    assert result.scalars[0] == 0
    assert not any(gradient.any() for gradient in result.weights)
    out = kept_run(case.spec, "tf32")(case.field_rows, case.weights, case.biases)
    assert out.scalars[0].shape == (0, 3)
    assert not any(gradient.any() for gradient in out.weights)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the interpreter is numpy
@crossed("act,precision", cases.ACTIVATIONS, triton.PRECISIONS)
def test_nan_and_infinity_stay_in_their_rows_and_reach_the_gradients(act: Sine, precision: str) -> None:
    case = problem(FieldSpec.mlp(act, 1), [2, 20, 20, 1], 40)
    case.x[3, 0], case.x[7, 1] = float("nan"), float("inf")
    out, kept = triton.forward_keep(case.x, case.weights, case.biases, case.spec, precision=precision)
    fused = triton.forward(case.x, case.weights, case.biases, case.spec, precision=precision)
    expected = eager.forward(case.x, case.weights, case.biases, case.spec, precision)
    for values in (out, fused):
        assert values[3].isnan()
        assert values[7].isnan() >= expected[7].isnan(), "an infinite coordinate may give NaN, never less"
        others = torch.arange(40) % 4 != 3
        assert values[others].isfinite().all()
    _, d_weights, _ = triton.backward_kept(
        case.x, case.weights, case.biases, kept, case.spec, torch.ones_like(out), precision=precision
    )
    assert d_weights[0].real.isnan().any()


def test_rows_that_are_not_contiguous() -> None:
    case = problem(FieldSpec.mlp(Gabor(20.0, 10.0), 1), [2, 20, 20, 3], 30)
    weights = [
        cases.transposed(case.weights[0]),
        case.weights[1].conj().resolve_conj().conj(),
        case.weights[2],
    ]
    dense = [weight.resolve_conj().contiguous() for weight in weights]
    rows = [cases.strided(case.x), cases.transposed(case.d_out)]
    for run in (kept_run, recomputed_run):
        strided = run(case.spec, "fp32")(rows, weights, case.biases)
        plain = run(case.spec, "fp32")(case.field_rows, dense, case.biases)
        assert torch.equal(strided.scalars[0], plain.scalars[0])
        assert equal(strided.weights, plain.weights)


def test_sixteen_bit_phases_in_tf32() -> None:
    case = problem(FieldSpec.mlp(Sine(30.0), 1), [2, 40, 40, 3], 60)
    shapes = [tuple(weight.shape) for weight in case.weights]
    full = triton.kept_bytes(60, shapes, case.spec, "tf32")
    with triton.use_phases():
        assert triton.kept_bytes(60, shapes, case.spec, "tf32") == full // 2
        judged(case, "tf32")
        out, kept = triton.forward_keep(case.x, case.weights, case.biases, case.spec, precision="tf32")
        passed = (case.x, case.weights, case.biases, kept, case.spec, torch.ones_like(out))
        inside = triton.backward_kept(*passed, precision="tf32")
    outside = triton.backward_kept(*passed, precision="tf32")
    assert equal(inside[1], outside[1]), "the backward pass may run after the block"
    assert triton.kept_bytes(60, shapes, case.spec, "tf32") == full
    assert full == 60 * 2 * 64 * 4, "one fp32 tensor a hidden layer, of 40 features in 64 columns"


@pytest.mark.parametrize("need_x", [True, False])
@pytest.mark.parametrize("need_params", [True, False])
def test_only_what_is_needed(need_x: bool, need_params: bool) -> None:
    case = problem(FieldSpec.mlp(Sine(30.0), 1), [2, 20, 20, 3], 30)
    d_x, d_weights, d_biases = triton.backward(
        case.x,
        case.weights,
        case.biases,
        case.spec,
        case.d_out,
        precision="fp32",
        need_x=need_x,
        need_params=need_params,
    )
    assert (d_x is not None) == need_x
    assert len(d_weights) == len(d_biases) == (3 if need_params else 0)

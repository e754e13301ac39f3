"""`adjusted_mse_value_and_grad`: every engine against the reference, S = I bit for bit, every refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from fastsnf import ops, reference
from fastsnf.engines import native
from fastsnf.errors import InputError
from fastsnf.ops import AdjustedResult, Adjustment, Layout, registration
from fastsnf.spec import FieldSpec, Gabor, ReLU, Sine
from tests import cases
from tests.engines.problems import Problem, problem
from tests.judge import Result, judge
from tests.ops.double import Double
from tests.ops.engines import NATIVE, RUNNING, TRITON
from tests.ops.grams import integer, one_of
from tests.tolerances import FLOAT32, FLOAT64, assert_close

SPECS = {act.name: FieldSpec.mlp(act, 1) for act in (Sine(30.0), Gabor(20.0, 10.0), ReLU())}
FULL = Layout(groups=6, offsets=5)
RAGGED = Layout(6, 5, torch.tensor([0, 1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 14, 15, 20, 26]))
EVERY_ENGINE = pytest.mark.parametrize(
    "engine", [name for name in RUNNING if name != "triton" or cases.count(10) == 10]
)
"""All with ``--all``; Triton's interpreter is slow, and takes one test otherwise."""

LAYOUTS = pytest.mark.parametrize("layout", [FULL, RAGGED], ids=["full", "ragged"])


def adjustment_of(
    layout: Layout, k: int = 3, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Adjustment:
    """Return orthonormal vectors with coefficients between -1 and 1."""
    gen = cases.generator(seed)
    basis = torch.linalg.qr(torch.randn(layout.groups, k, generator=gen, dtype=torch.float64))[0]
    coefficients = 2.0 * torch.rand(k, generator=gen, dtype=torch.float64) - 1.0
    return Adjustment(layout, basis.to(dtype), coefficients.to(dtype))


def case_of(layout: Layout, spec: FieldSpec = SPECS["sine"], dtype: torch.dtype = torch.float32) -> Problem:
    points = layout.groups * layout.offsets if layout.slots is None else len(layout.slots)
    return problem(spec, [2, 15, 15, 3], points, dtype=dtype)


def step(case: Problem, adjustment: Any, **more: Any) -> AdjustedResult:
    given: dict[str, Any] = {"sample_weight": case.sample_weight, **more}
    target = given.pop("target", case.target)
    return ops.adjusted_mse_value_and_grad(
        case.x, target, case.weights, case.biases, spec=case.spec, adjustment=adjustment, **given
    )


def run(spec: FieldSpec, layout: Layout, engine: str) -> Any:
    """Return the run of (x, target, weight, V, a as rows) that `tests.judge` compares."""

    def call(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, target, weight, vectors, coefficients = rows
        adjustment = Adjustment(layout, vectors, coefficients)
        if engine == "eager":
            found = reference.adjusted.adjusted_mse_value_and_grad(
                x, target, weights, biases, spec, adjustment, weight
            )
        else:
            found = ops.adjusted_mse_value_and_grad(
                x, target, weights, biases,
                spec=spec, adjustment=adjustment, sample_weight=weight, engine=engine,
            )  # fmt: skip
        return Result([found.loss], [], found.d_weights, found.d_biases)

    return call


@pytest.mark.parametrize(
    ("name", "layout", "engine"),
    [
        (name, layout, engine)
        for name in SPECS
        for layout in (FULL, RAGGED)
        for engine in RUNNING
        if engine != "triton" or (name, layout) == ("sine", RAGGED) or cases.count(10) == 10
    ],
)
def test_as_good_as_eager(engine: str, layout: Layout, name: str) -> None:
    spec = SPECS[name]
    case, adjustment = case_of(layout, spec), adjustment_of(layout)
    rows = [*case.mse_rows, adjustment.vectors, adjustment.coefficients]
    judge(run(spec, layout, engine), run(spec, layout, "eager"), rows, case.weights, case.biases)


@EVERY_ENGINE
@LAYOUTS
def test_the_largest_residuals(engine: str, layout: Layout) -> None:
    case = case_of(layout)
    exact = reference.adjusted.adjusted_mse_value_and_grad(
        *case[1:2], case.target, case.weights, case.biases, case.spec, adjustment_of(layout),
        case.sample_weight,
    )  # fmt: skip
    found = step(case, adjustment_of(layout), engine=engine)
    assert torch.equal(found.largest, exact.largest)
    assert found.largest.dtype == torch.int64
    identity = step(case, adjustment_of(layout, 0), engine=engine)
    assert torch.equal(identity.largest, exact.largest)


@EVERY_ENGINE
@LAYOUTS
@pytest.mark.parametrize("weighted", [True, False])
def test_the_identity_is_the_plain_step_bit_for_bit(engine: str, layout: Layout, weighted: bool) -> None:
    case = case_of(layout)
    target = case.target if weighted else case.target.nan_to_num(0.3)
    weight = case.sample_weight if weighted else None
    plain = ops.mse_value_and_grad(
        case.x, target, case.weights, case.biases, spec=case.spec, sample_weight=weight, engine=engine
    )
    for need in (True, False):
        found = step(
            case, adjustment_of(layout, 0), target=target, sample_weight=weight, engine=engine,
            need_largest=need,
        )  # fmt: skip
        assert torch.equal(found.loss, plain.loss)
        assert all(map(torch.equal, found.d_weights, plain.d_weights))
        assert all(map(torch.equal, found.d_biases, plain.d_biases))  # type: ignore[arg-type]
        assert (found.largest is None) == (not need)


@EVERY_ENGINE
def test_an_adjustment_made_of_the_residuals(engine: str) -> None:
    """A function is called once, with sqrt(w) r of this pass, and adjusts it as its result would have."""
    case, seen = case_of(RAGGED), []

    def make(residual: Tensor) -> Adjustment:
        seen.append(residual.clone())
        return adjustment_of(RAGGED)

    found, given = step(case, make, engine=engine), step(case, adjustment_of(RAGGED), engine=engine)
    out = reference.forward(case.x, case.weights, case.biases, case.spec)
    weight = case.sample_weight[:, None]
    expected = torch.where(weight != 0, weight.sqrt() * (out - case.target), 0.0)
    assert len(seen) == 1
    assert_close(seen[0], expected, 1e-3)
    for ours, same in zip([found.loss, *found.d_weights], [given.loss, *given.d_weights], strict=True):
        assert_close(ours, same, 1e-3)
    assert torch.equal(found.largest, given.largest)


@pytest.mark.parametrize("engine", [name for name in RUNNING if name != "triton"])
def test_the_correction_is_exact_whatever_torch_is_told(engine: str) -> None:
    """As everything that S is made of; the field of the reference engine is as exact as torch is told."""
    setting, case, s = torch.backends.mkldnn.matmul, case_of(FULL), adjustment_of(FULL)
    seen: list[str] = []

    def make(residual: Tensor) -> Adjustment:
        seen.append(setting.fp32_precision)
        return s

    torch.set_float32_matmul_precision("medium")
    try:
        step(case, make, engine=engine)
        assert setting.fp32_precision == "bf16"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == ["ieee"]


@NATIVE
@LAYOUTS
def test_above_the_most_groups_it_is_composed(monkeypatch: pytest.MonkeyPatch, layout: Layout) -> None:
    case, adjustment = case_of(layout), adjustment_of(layout)
    weights = case.weights
    assert ops.adjusts_in_one_pass(case.x, weights, spec=case.spec, groups=native.MOST_GROUPS)
    assert not ops.adjusts_in_one_pass(case.x, weights, spec=case.spec, groups=native.MOST_GROUPS + 1)
    assert not ops.adjusts_in_one_pass(case.x, weights, spec=case.spec, groups=1, engine="reference")
    fused = step(case, adjustment, engine="native")
    monkeypatch.setattr(native, "MOST_GROUPS", layout.groups - 1)
    composed = step(case, adjustment, engine="native")
    for ours, other in zip([fused.loss, *fused.d_weights], [composed.loss, *composed.d_weights], strict=True):
        assert_close(ours, other, 1e-4)
    assert torch.equal(fused.largest, composed.largest)
    rows = [*case.mse_rows, adjustment.vectors, adjustment.coefficients]
    judge(run(case.spec, layout, "native"), run(case.spec, layout, "eager"), rows, weights, case.biases)
    assert step(case, adjustment, engine="native", need_largest=False).largest is None


@TRITON
def test_an_engine_that_keeps_does(monkeypatch: pytest.MonkeyPatch) -> None:
    double = Double()
    monkeypatch.setitem(registration.MODULES, "triton", double)  # type: ignore[arg-type]
    case, adjustment = case_of(RAGGED), adjustment_of(RAGGED)
    exact = step(case, adjustment, engine="reference")
    for fits in (True, False):
        double.fits = fits
        found = step(case, adjustment, engine="triton")
        for ours, other in zip(found.d_weights, exact.d_weights, strict=True):
            assert_close(ours, other, 10 * FLOAT32)
    assert double.calls == [
        "forward_keep fp32",
        "backward_kept fp32 False True",
        "forward_keep fp32",
        "forward fp32",
        "backward fp32 False True",
    ]


def test_float64_takes_the_reference() -> None:
    case = case_of(RAGGED, dtype=torch.float64)
    adjustment = adjustment_of(RAGGED, dtype=torch.float64)
    found = step(case, adjustment)
    exact = reference.adjusted.adjusted_mse_value_and_grad(
        case.x, case.target, case.weights, case.biases, case.spec, adjustment, case.sample_weight
    )
    assert all(map(torch.equal, found.d_weights, exact.d_weights))
    s = torch.eye(6, dtype=torch.float64) - adjustment.vectors @ adjustment.coefficients.diag() @ (
        adjustment.vectors.T
    )
    residual = torch.randn(30, 2, dtype=torch.float64)
    written = torch.einsum("ji,pic->pjc", s, residual.view(5, 6, 2)).reshape(30, 2)
    full = Adjustment(FULL, *adjustment[1:])
    assert_close(reference.adjusted.adjust(residual, full), written, FLOAT64)


@EVERY_ENGINE
def test_leading_dimensions_and_layouts_of_memory(engine: str) -> None:
    case, adjustment = case_of(FULL), adjustment_of(FULL)
    flat = step(case, adjustment, engine=engine)
    shaped = ops.adjusted_mse_value_and_grad(
        cases.strided(case.x).view(5, 6, 2), cases.transposed(case.target).reshape(5, 6, 3),
        [cases.transposed(w) for w in case.weights], case.biases, spec=case.spec, engine=engine,
        adjustment=Adjustment(FULL, cases.transposed(adjustment.vectors), cases.strided(adjustment[2])),
        sample_weight=cases.strided(case.sample_weight).view(5, 6),
    )  # fmt: skip
    for ours, other in zip([shaped.loss, *shaped.d_weights], [flat.loss, *flat.d_weights], strict=True):
        assert_close(ours, other, 1e-4)
    assert torch.equal(shaped.largest, flat.largest)


@EVERY_ENGINE
def test_nothing_is_recorded(engine: str) -> None:
    case = case_of(FULL)
    case = case._replace(weights=[w.requires_grad_() for w in case.weights])
    found = step(case, adjustment_of(FULL), engine=engine)
    assert not found.loss.requires_grad
    assert not any(d.requires_grad for d in found.d_weights)


BAD = [
    ({"layout": Layout(0, 5)}, "at least one group and one offset; got 0 and 5"),
    ({"layout": Layout(6, 2.0)}, "at least one group and one offset; got 6 and 2.0"),
    ({"layout": Layout(6, 2**60, torch.arange(30))}, "at most 2\\^40 slots; got 6 groups x"),
    ({"layout": Layout(6, 4)}, r"expected 24 points, 6 groups of 4; got 30"),
    ({"layout": Layout(5, 6)}, r"expected vectors \[5, k\], one row a group"),
    ({"layout": Layout(6, 5, torch.arange(29))}, r"slots of shape \[30\], one a point, .*; got \[29\]"),
    ({"layout": Layout(6, 5, torch.arange(30).int())}, "got .* torch.int32"),
    ({"layout": Layout(6, 5, torch.arange(30, device="meta"))}, "on cpu; got .* on meta"),
    ({"layout": Layout(6, 5, torch.arange(1, 31))}, "less than 30 = 6 groups x 5 offsets; got 1 to 30: sort"),
    ({"layout": Layout(6, 5, torch.arange(-1, 29))}, "got -1 to 28"),
    ({"layout": Layout(6, 5, torch.arange(30).flip(0))}, "got 0 to 29, not ascending"),
    ({"layout": Layout(6, 5, torch.zeros(30, dtype=torch.int64))}, "got 0 to 0, not ascending"),
    ({"vectors": torch.zeros(6)}, r"vectors \[6, k\], .* got \[6\] and \[3\]"),
    ({"vectors": torch.zeros(6, 2)}, r"got \[6, 2\] and \[3\]"),
    ({"coefficients": torch.zeros(4)}, r"got \[6, 3\] and \[4\]"),
    ({"vectors": torch.zeros(6, 3).double()}, "vectors of dtype torch.float32, as x; got torch.float64"),
    ({"coefficients": torch.zeros(3).double()}, "coefficients of dtype torch.float32"),
    ({"vectors": torch.zeros(6, 3, device="meta")}, "vectors on cpu, where x is; got meta"),
]  # fmt: skip


@EVERY_ENGINE
@pytest.mark.parametrize(("change", "said"), BAD)
def test_bad_adjustments(engine: str, change: dict[str, Any], said: str) -> None:
    case, adjustment = case_of(FULL), adjustment_of(FULL)._replace(**change)
    for given in (adjustment, lambda _residual: adjustment):
        with pytest.raises(InputError, match=said):
            step(case, given, engine=engine)


def test_made_up_calls() -> None:
    """Right or refused: slots, sizes and types that do not fit never reach a kernel."""
    gen = cases.generator(5)
    refused = 0
    for number in range(cases.count(200)):
        groups, offsets, k = integer(1, 9, gen), integer(1, 6, gen), integer(0, 4, gen)
        there = torch.rand(groups * offsets, generator=gen) < one_of([0.0, 0.5, 1.0], gen)
        slots = there.nonzero().squeeze(1)
        layout = Layout(groups, offsets, None if bool(there.all()) else slots)
        bad = bool(number % 2)
        if bad:
            layout, k = broken(layout, len(slots), gen), k + 1
        case = problem(SPECS[one_of(list(SPECS), gen)], [2, 7, 7, 2], len(slots), gen=gen)
        vectors = torch.randn(groups, k, generator=gen)
        adjustment = Adjustment(layout, vectors, torch.randn(k, generator=gen))
        try:
            found = step(case, adjustment, target=case.target.nan_to_num(0.0))
        except InputError as error:
            refused += "expected" in str(error)
            continue
        exact = step(case, adjustment, target=case.target.nan_to_num(0.0), engine="reference")
        for ours, other in zip(found.d_weights, exact.d_weights, strict=True):
            assert_close(ours, other, 1e-3)
    assert refused >= cases.count(200) // 4


def broken(layout: Layout, points: int, gen: torch.Generator) -> Layout:
    """Return a layout that does not fit `points` points, or not always."""
    groups, offsets, slots = layout
    slots = torch.arange(points) if slots is None else slots
    return one_of(
        [
            Layout(groups, offsets, slots + 1 + groups * offsets),
            Layout(groups, offsets, slots - 2**40),
            Layout(groups, offsets, slots.flip(0)),
            Layout(groups, offsets, slots.double()),
            Layout(groups, offsets, slots[1:]),
            Layout(groups, offsets, slots.unsqueeze(0)),
            Layout(groups + 1, offsets, slots),
            Layout(groups, -offsets, slots),
            Layout(groups, offsets, slots.to("meta")),
        ],
        gen,
    )

"""Adjusted residuals: S = I is the plain gradient, and any S is the sum over groups written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.reference import adjusted
from fastsnf.reference.adjusted import AdjustedResult, Adjustment, Layout
from fastsnf.spec import FieldSpec, Gabor, ReLU, Sine
from tests import cases
from tests.engines.problems import Problem, problem
from tests.tolerances import FLOAT64, assert_close

SPECS = [FieldSpec.mlp(act, 1) for act in (Sine(30.0), Gabor(20.0, 10.0), ReLU())]
EVERY_FIELD = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.activations[0].name)

FULL = Layout(groups=5, offsets=4)
RAGGED = Layout(groups=5, offsets=4, slots=torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 17]))
"""Group 1 ends after 2 points, group 3 after 2, groups 0 and 4 after 3; group 2 has all 4."""


def points_of(layout: Layout) -> int:
    return layout.groups * layout.offsets if layout.slots is None else len(layout.slots)


def case_of(spec: FieldSpec, layout: Layout) -> Problem:
    return problem(spec, [2, 7, 7, 3], points_of(layout), dtype=torch.float64)


def random_adjustment(layout: Layout, k: int, gen: torch.Generator) -> Adjustment:
    """Return orthonormal vectors with coefficients of both signs."""
    basis = torch.linalg.qr(torch.randn(layout.groups, k, generator=gen, dtype=torch.float64))[0]
    return Adjustment(layout, basis, torch.randn(k, generator=gen, dtype=torch.float64))


def run(case: Problem, adjustment: Adjustment, weight: Tensor | None, target: Tensor) -> AdjustedResult:
    return adjusted.adjusted_mse_value_and_grad(
        case.x, target, case.weights, case.biases, case.spec, adjustment, weight
    )


def written_out(residual: Tensor, s: Tensor, layout: Layout) -> Tensor:
    """Return ``r'[j, k, c] = sum_i S[j, i] r[i, k, c]`` by loops over the points that are there."""
    slots = range(points_of(layout)) if layout.slots is None else layout.slots.tolist()
    row_of = {slot: row for row, slot in enumerate(slots)}
    out = torch.zeros_like(residual)
    for slot, row in row_of.items():
        offset, group = divmod(slot, layout.groups)
        for other in range(layout.groups):
            if (there := row_of.get(offset * layout.groups + other)) is not None:
                out[row] += s[group, other] * residual[there]
    return out


@EVERY_FIELD
@pytest.mark.parametrize("layout", [FULL, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_identity_is_the_plain_gradient(spec: FieldSpec, layout: Layout, weighted: bool) -> None:
    case = case_of(spec, layout)
    target = case.target if weighted else case.target.nan_to_num(0.3)
    weight = case.sample_weight if weighted else None
    identity = Adjustment(layout, torch.zeros(5, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
    found = run(case, identity, weight, target)
    loss, d_weights, d_biases = reference.mse_value_and_grad(
        case.x, target, case.weights, case.biases, spec, weight
    )
    assert torch.equal(found.loss, loss)
    for ours, plain in zip([*found.d_weights, *found.d_biases], [*d_weights, *d_biases], strict=True):
        assert_close(ours, plain, FLOAT64)


@EVERY_FIELD
@pytest.mark.parametrize("layout", [FULL, RAGGED], ids=["full", "ragged"])
def test_a_dense_matrix_written_out(spec: FieldSpec, layout: Layout) -> None:
    case, gen = case_of(spec, layout), cases.generator(3)
    adjustment = random_adjustment(layout, 3, gen)
    s = torch.eye(5, dtype=torch.float64) - adjustment.vectors @ adjustment.coefficients.diag() @ (
        adjustment.vectors.T
    )
    found = run(case, adjustment, case.sample_weight, case.target)
    w = case.sample_weight[:, None]
    out = reference.forward(case.x, case.weights, case.biases, spec)
    residual = torch.where(w != 0, out - case.target, 0.0)
    d_out = 2.0 * w.sqrt() * written_out(w.sqrt() * residual, s, layout) / (3 * w.sum())
    _, d_weights, d_biases = reference.vjp(case.x, case.weights, case.biases, spec, d_out)
    for ours, exact in zip([*found.d_weights, *found.d_biases], [*d_weights, *d_biases], strict=True):
        assert_close(ours, exact, FLOAT64)
    assert_close(found.loss, (w * residual.square()).sum() / (3 * w.sum()), FLOAT64)


def test_the_adjusted_gradient_is_that_of_the_surrogate() -> None:
    """The gradient of ``2 / (N C) out^T stopgrad(S r)``, by autograd."""
    case, gen = case_of(SPECS[0], FULL), cases.generator(4)
    adjustment, target = random_adjustment(FULL, 2, gen), case.target.nan_to_num(0.1)
    found = run(case, adjustment, None, target)
    weights, biases = cases.leaves(case.weights), cases.leaves(case.biases)
    out = reference.forward(case.x, weights, biases, case.spec)
    adjusted_residual = adjusted.adjust(out.detach() - target, adjustment)
    (2.0 / target.numel() * (out * adjusted_residual).sum()).backward()
    for ours, leaf in zip([*found.d_weights, *found.d_biases], [*weights, *biases], strict=True):
        assert_close(ours, leaf.grad, FLOAT64)


def test_spread_and_gathered_are_inverse() -> None:
    for layout in (FULL, RAGGED):
        rows = torch.randn(points_of(layout), 3)
        table = adjusted.spread(rows, layout)
        assert table.shape == (4, 5, 3)
        assert torch.equal(adjusted.gathered(table, layout), rows)
    assert adjusted.spread(torch.ones(13, 1), RAGGED).sum() == 13
    assert (adjusted.spread(torch.ones(13), RAGGED, absent=-1.0) == -1.0).sum() == 7


@pytest.mark.parametrize("layout", [FULL, RAGGED], ids=["full", "ragged"])
def test_the_largest_row_of_each_group(layout: Layout) -> None:
    residual = 1e-9 * torch.randn(points_of(layout), 3, dtype=torch.float64)
    slots = torch.arange(20) if layout.slots is None else layout.slots
    expected = []
    for group in range(5):
        rows = [row for row, slot in enumerate(slots.tolist()) if slot % 5 == group]
        expected.append(max(rows, key=lambda row: float(residual[row].abs().sum())))
    assert adjusted.largest_rows(residual, layout).tolist() == expected
    assert adjusted.largest_rows(residual.float(), layout).tolist() == expected  # 1e-9 is not lost in 1


def test_ties_nan_infinity_and_absent_groups() -> None:
    layout = Layout(2, 3)
    residual = torch.zeros(6, 1)
    assert adjusted.largest_rows(residual, layout).tolist() == [0, 1]
    residual[4], residual[2], residual[3] = float("nan"), 7.0, float("-inf")
    assert adjusted.largest_rows(residual, layout).tolist() == [4, 3]
    alone = Layout(3, 2, torch.tensor([1, 4]))
    assert adjusted.largest_rows(torch.ones(2, 1), alone).tolist() == [0, 0, 0]

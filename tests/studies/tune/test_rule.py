"""The rule of thumb. Oracles: slopes of drawn fields, the paper's Table 2, and the signs of its Fig. 6."""

from __future__ import annotations

import math

import pytest
import torch

from fastsnf import SNF
from fastsnf.encodings import Positional
from fastsnf.errors import InputError
from fastsnf.studies.tune import rule_for, rule_of_thumb
from fastsnf.studies.tune.rule import TABLE_2, nyquist, slope


@pytest.mark.parametrize("alpha", [1.5, 2.37])
def test_the_slope_is_that_of_drawn_fields(alpha: float) -> None:
    """d(omega u)/dx in the last hidden layer, root mean square over units and points, at width 256."""
    layers, squares = 2, []
    for seed in range(3):
        gen = torch.Generator().manual_seed(seed)
        field = SNF(2, 1, 256, layers, alpha=alpha, bias_init="zero", generator=gen).double()
        weights = [linear.weight.detach() for linear in field.linears()[:-1]]

        def last(x: torch.Tensor, weights: list[torch.Tensor] = weights) -> torch.Tensor:
            for weight in weights[:-1]:
                x = torch.sin(30.0 * (x @ weight.T))
            return 30.0 * (x @ weights[-1].T)

        points = 2 * torch.rand(12, 2, generator=gen, dtype=torch.float64) - 1
        jacobians = torch.func.vmap(torch.func.jacrev(last))(points)
        squares.append(jacobians[..., 0].square().mean())
    measured = float(torch.stack(squares).mean().sqrt())
    assert measured == pytest.approx(slope(alpha, 2, layers, 30.0), rel=0.08)


@pytest.mark.parametrize("kind", TABLE_2)
def test_table_2_comes_out_where_it_was_found(kind: str) -> None:
    known = TABLE_2[kind]
    alpha = rule_of_thumb(
        points_per_axis=known.points, axes=known.axes, hidden_layers=known.hidden_layers,
        first_omega=known.first_omega, kind=kind,
    )  # fmt: skip
    assert alpha == pytest.approx(known.alpha)
    assert 0.01 < known.share < 1.0, "slopes beyond the Nyquist frequency"


def test_resolution_raises_and_depth_lowers_it() -> None:
    by_size = [rule_of_thumb(points_per_axis=n, axes=2, hidden_layers=3) for n in (128, 256, 512, 1024)]
    assert by_size == sorted(by_size)
    by_depth = [rule_of_thumb(points_per_axis=512, axes=2, hidden_layers=depth) for depth in (1, 2, 3, 4, 6)]
    assert by_depth == sorted(by_depth, reverse=True)
    assert by_size[-1] / by_size[-2] == pytest.approx((1023 / 511) ** 0.25)
    assert rule_of_thumb(points_per_axis=2, axes=1, hidden_layers=3) == 1.0


def test_it_inverts_the_slope() -> None:
    alpha = rule_of_thumb(points_per_axis=300, axes=3, hidden_layers=2, first_omega=11.0)
    assert slope(alpha, 3, 2, 11.0) == pytest.approx(TABLE_2["image"].share * nyquist(300))


def test_a_field_says_its_own_depth_and_omega() -> None:
    for width in (16, 64):
        field = SNF(2, 1, width, 2, first_omega=12.0)
        expected = rule_of_thumb(points_per_axis=40, axes=2, hidden_layers=2, first_omega=12.0)
        assert rule_for(field, (30, 40)) == expected
    assert rule_for(SNF(2, 1, 8, 1, activation="relu"), (40, 40)) is None
    assert rule_for(SNF(2, 1, 8, 1, encoding=Positional(2)), (40, 40)) is None


def test_bad_sizes_are_refused() -> None:
    for bad in (
        {"points_per_axis": 0},
        {"axes": 0},
        {"hidden_layers": -1},
        {"first_omega": math.nan},
        {"axes": math.nan},
    ):
        with pytest.raises(InputError, match="at least 1"):
            rule_of_thumb(**{"points_per_axis": 8, "axes": 2, "hidden_layers": 1, **bad})  # type: ignore[arg-type]

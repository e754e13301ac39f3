"""The cotangent of the last layer, elementwise, against float64; in the interpreter where there is no GPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from fastsnf.engines.triton import edges
from fastsnf.engines.triton.tile_table import padded
from fastsnf.reference import activations
from fastsnf.spec import Activation, Identity, Sine, Tanh
from tests import cases
from tests.engines.triton import edge_cases
from tests.engines.triton.edge_cases import DEVICE, EVERY_REAL, NOT_FINITE, PRECISIONS, ROUNDING, SUMS, nans
from tests.tolerances import assert_close

SHAPES = ((1, 1), (17, 2), (130, 33), (40, 64), (9, 70), (5, 31))
"""(M, C)."""

SPLIT = 32


class Problem:
    """Random saved pre-activations of a last layer, its outputs in fp32, targets and cotangents."""

    def __init__(self, M: int, C: int, act: Activation, precision: str) -> None:
        gen = cases.generator(M + C)
        self.act, self.precision, self.C = act, precision, C
        self.form = edge_cases.format_of(act, precision)
        self.s_last = edge_cases.saved(M, C, act, self.form, gen)
        self.u = edge_cases.exact(self.s_last, C, act)
        self.out = activations.value(act, self.u)
        self.target, self.d_out = (edge_cases.random(M, C, gen=gen) for _ in range(2))
        self.weight = torch.rand(M, generator=gen)
        self.weight[::3] = 0.0
        self.scale = 2.0 / (C * float(self.weight.sum() or 1.0))

    def residual(self) -> Tensor:
        """Return the exact residuals of the points that are there."""
        return torch.where(self.weight[:, None] != 0.0, self.out - self.target, 0.0)


def run(
    p: Problem, *, squared: bool, given: bool = True, rows: slice = slice(None)
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (d, column sums, loss) of NaN buffers; `given`: the outputs come with what is saved."""
    M, C = p.target[rows].shape
    splits, width = -(-M // SPLIT), padded(C)
    d = nans(M, width, dtype=edge_cases.cotangent_dtype(p.precision))
    sums, loss = nans(splits, width), nans(splits)
    out = nans(M, C + 3)[:, 2 : C + 2]
    out.copy_(p.out[rows])
    mse = edges.Mse(
        p.target[rows].to(DEVICE), p.weight[rows].to(DEVICE), torch.tensor(p.scale, device=DEVICE), loss
    )
    edges.cotangent(
        out if given else None,
        p.act,
        None if p.act == Identity() and given else p.s_last[rows],
        d,
        sums,
        SPLIT,
        p.precision,
        format_last=p.form,
        mse=mse if squared else None,
        d_out=None if squared else p.d_out[rows].to(DEVICE),
    )
    return d.cpu(), sums.cpu(), loss.cpu()


def check(p: Problem, found: tuple[Tensor, Tensor, Tensor], d_out: Tensor) -> None:
    """Assert that d and its column sums are those of the cotangent d_out of the outputs, pads 0."""
    d, sums, _ = found
    d_u = activations.vjp(p.act, p.u, d_out.double())
    assert_close(d[:, : p.C], d_u, ROUNDING[p.precision])
    assert_close(sums.double().sum(0)[: p.C], d_u.sum(0), SUMS * d.shape[0] ** 0.5)
    assert bool((d[:, p.C :] == 0.0).all())
    assert bool((sums[:, p.C :] == 0.0).all())


@pytest.mark.parametrize("act", EVERY_REAL, ids=cases.name)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_activation(act: Activation, precision: str) -> None:
    p = Problem(35, 12, act, precision)
    check(p, run(p, squared=False), p.d_out)


@pytest.mark.parametrize(
    ("shape", "act", "given"),
    [(shape, (Identity(), Tanh())[i % 2], i % 4 < 2) for i, shape in enumerate(SHAPES)],
    ids=str,
)
def test_squared_error(shape: tuple[int, int], act: Activation, given: bool) -> None:
    p = Problem(*shape, act, "fp32")
    p.target[::3] = float("nan")  # points that are not there
    found, residual, w = run(p, squared=True, given=given), p.residual(), p.weight[:, None].double()
    check(p, found, p.scale * w * residual)
    assert_close(found[2].double().sum(), (w * residual.square()).sum(), SUMS)


@pytest.mark.parametrize("squared", [False, True], ids=["cotangent", "squared error"])
def test_chunks_give_the_same_bits(squared: bool) -> None:
    p = Problem(90, 20, Sine(30.0), "fast")
    whole = run(p, squared=squared)
    chunks = [run(p, squared=squared, rows=rows) for rows in (slice(0, 64), slice(64, 90))]
    for value, *pieces in zip(whole, *chunks, strict=True):
        assert torch.equal(torch.cat(pieces).nan_to_num(), value.nan_to_num())


@NOT_FINITE
def test_what_is_not_finite_stays_in_its_place() -> None:
    p = Problem(20, 12, Tanh(), "fp32")
    p.target[4, 3] = float("inf")
    d, sums, loss = run(p, squared=True)
    assert bool(d[4, 3].isinf())
    d[4, 3] = 0.0
    assert bool(d.isfinite().all())
    assert bool(sums[0, 3].isinf())
    assert bool(loss[0].isinf())

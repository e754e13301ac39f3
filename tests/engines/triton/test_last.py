"""The last layer's kernels against float64, in Triton's interpreter where there is no GPU."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional

pytest.importorskip("triton")

from fastsnf.engines.triton import edges
from fastsnf.engines.triton.launch import recording
from fastsnf.engines.triton.tile_table import padded
from fastsnf.reference import activations
from fastsnf.spec import Activation, Gabor, Gaussian, Identity, ReLU, Sine, Tanh
from tests import cases
from tests.engines.triton import edge_cases
from tests.engines.triton.edge_cases import DEVICE, EVERY_ACTIVATION, EVERY_REAL, NOT_FINITE, SUMS, nans
from tests.tolerances import assert_close

SHAPES = ((1, 1, 1), (17, 33, 2), (130, 31, 3), (5, 64, 4), (9, 7, 5), (33, 100, 6), (3, 5, 7), (12, 65, 8))
"""(M, F, C)."""

SPLIT = 32


class Problem:
    """A last layer above random saved pre-activations, with the exact results of autograd in float64."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        act_in: Activation,
        act: Activation,
        precision: str,
        *,
        planar: bool = False,
        bias: bool = True,
    ) -> None:
        self.M, self.F, self.C = shape
        self.act_in, self.act, self.precision = act_in, act, precision
        self.gen = cases.generator(self.M + 10 * self.F)
        self.form = edge_cases.format_of(act_in, precision)
        make = edge_cases.planes if planar else edge_cases.saved
        self.s_in = make(self.M, self.F, act_in, self.form, self.gen)
        self.weight, self.bias = edge_cases.weight_of(self.C, self.F, act_in, self.gen)
        self.weight, self.bias = self.weight / cases.steepness(act), self.bias / cases.steepness(act)
        self.bias = self.bias if bias else None
        self.target = edge_cases.random(self.M, self.C, gen=self.gen)
        self.d_out = edge_cases.random(self.M, self.C, gen=self.gen)

    def layer(self, u: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the outputs in float64 from exact pre-activations of the layer below."""
        h = activations.value(self.act_in, u)
        return activations.value(self.act, functional.linear(h, weight, bias).real)

    def exact(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return u of the layer below, weight and bias in double, requiring grad; a zero bias for None."""
        u = edge_cases.exact(self.s_in, self.F, self.act_in)
        bias = torch.zeros_like(self.weight[:, 0]) if self.bias is None else self.bias
        return tuple(cases.leaves(cases.as_double([u, self.weight, bias])))

    def out(self) -> Tensor:
        """Return the exact outputs."""
        return self.layer(*self.exact()).detach()

    def gradients(self, d_out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the exact cotangents of u, weight and bias."""
        leaves = self.exact()
        return torch.autograd.grad(self.layer(*leaves), leaves, d_out.double())


class Step(NamedTuple):
    """What `last_step` writes, on the CPU."""

    d_in: Tensor
    partial: Tensor
    db_in: Tensor
    out: Tensor
    loss: Tensor


def complex_gradient(summed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (dW [C, F], db [C]) from the sum [C, 2 (F + 1)] over splits."""
    both = torch.complex(*summed.unflatten(1, (2, -1)).unbind(1))
    return both[:, :-1], both[:, -1]


def run_forward(p: Problem, weight: Tensor | None = None) -> Tensor:
    """Return what `last_fwd` writes into rows of a larger NaN buffer."""
    rows = nans(p.M, p.C + 3)
    out = rows[:, 1 : p.C + 1]
    weight = edge_cases.parts(p.weight) if weight is None else weight
    edges.last_fwd(
        p.s_in,
        p.act_in,
        weight,
        edge_cases.parts(p.bias),
        out,
        p.act,
        p.precision,
        format_in=p.form,
    )
    assert bool(rows[:, p.C + 1 :].isnan().all())
    return out.cpu()


def run_step(
    p: Problem,
    *,
    sample_weight: Tensor | None = None,
    scale: float | None = None,
    rows: slice = slice(None),
    in_place: bool = False,
) -> Step:
    """Run `last_step` on NaN buffers, on the cotangent d_out, or the squared error where scale is."""
    s = p.s_in[rows].clone()
    M, columns, splits = s.shape[0], s.shape[1], -(-s.shape[0] // SPLIT)
    entries = (2 if p.act_in.is_complex else 1) * (p.F + 1)
    d_in = s if in_place else nans(M, columns, dtype=edge_cases.cotangent_dtype(p.precision))
    d_in = d_in.view(edge_cases.cotangent_dtype(p.precision))
    partial, db_in, loss = nans(splits, p.C, entries), nans(splits, columns), nans(splits)
    out, w = nans(M, p.C), None if sample_weight is None else sample_weight[rows].to(DEVICE)
    mse = None
    if scale is not None:
        mse = edges.Mse(p.target[rows].to(DEVICE), w, torch.tensor(scale, device=DEVICE), loss)
    edges.last_step(
        s,
        p.act_in,
        edge_cases.parts(p.weight),
        edge_cases.parts(p.bias),
        p.act,
        d_in,
        partial,
        db_in,
        SPLIT,
        p.precision,
        format_in=p.form,
        mse=mse,
        d_out=p.d_out[rows].to(DEVICE) if mse is None else None,
        out=out,
    )
    return Step(*(t.cpu() for t in (d_in, partial, db_in, out, loss)))


def unpacked(step: Step, p: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (d_in, column sums, dW, db) of a step without pads, complex where the layer is."""

    def without_pads(rows: Tensor) -> Tensor:
        planes = rows.unflatten(1, (-1, padded(p.F)))
        assert bool((planes[..., p.F :] == 0.0).all()), "pads"
        planes = planes[..., : p.F].double()
        return torch.complex(planes[:, 0], planes[:, 1]) if planes.shape[1] == 2 else planes[:, 0]

    total = edge_cases.in_order(step.partial)
    d_weight, d_bias = complex_gradient(total) if p.act_in.is_complex else (total[:, :-1], total[:, -1])
    return without_pads(step.d_in), without_pads(step.db_in).sum(0), d_weight, d_bias


def check(step: Step, p: Problem, d_out: Tensor) -> None:
    """Assert that a step's gradients are those of the cotangent d_out of the outputs."""
    d_u, d_weight, d_bias = p.gradients(d_out)
    found = unpacked(step, p)
    assert_close(found[0], d_u, edge_cases.ROUNDING[p.precision], "d_in")
    assert_close(found[1], d_u.sum(0), SUMS * p.M**0.5, "column sums")
    assert_close(found[2], d_weight, SUMS, "d_weight")
    assert_close(found[3], d_bias, SUMS, "d_bias")


def layers(act_in: Activation) -> list[bool]:
    """Return whether what is saved is planar, every case of act_in."""
    return [False, True] if act_in.is_complex else [False]


BELOW = [
    pytest.param(act, planar, id=act.name + (" planar" if planar else ""))
    for act in EVERY_ACTIVATION
    for planar in layers(act)
]


@pytest.mark.parametrize(("act_in", "planar"), BELOW)
def test_forward_above_every_activation(act_in: Activation, planar: bool) -> None:
    p = Problem((21, 40, 3), act_in, Identity(), "fp32", planar=planar)
    assert_close(run_forward(p), p.out(), SUMS)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_of_every_shape(shape: tuple[int, int, int]) -> None:
    p = Problem(shape, Sine(30.0), Identity(), "tf32", bias=shape[2] % 2 == 0)
    assert_close(run_forward(p), p.out(), SUMS)


@pytest.mark.parametrize("act", EVERY_REAL, ids=cases.name)
def test_every_last_activation(act: Activation) -> None:
    p = Problem((19, 31, 2), Sine(30.0), act, "fp32")
    assert_close(run_forward(p), p.out(), SUMS)
    check(run_step(p), p, p.d_out)


def test_raw_input_of_any_width() -> None:
    """A field of one layer: its input is neither padded nor an activation."""
    p = Problem((20, 11, 2), Identity(), Tanh(), "fp32")
    p.s_in = p.s_in[:, :11].contiguous()
    assert_close(run_forward(p), p.out(), SUMS)


@pytest.mark.parametrize(("act_in", "planar"), BELOW)
@pytest.mark.parametrize("precision", edge_cases.PRECISIONS)
def test_step_above_every_activation(act_in: Activation, planar: bool, precision: str) -> None:
    p = Problem((35, 40, 2), act_in, Identity(), precision, planar=planar)
    step = run_step(p)
    check(step, p, p.d_out)
    assert_close(step.out, p.out(), SUMS)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_step_of_every_shape(shape: tuple[int, int, int]) -> None:
    p = Problem(shape, Gaussian(10.0), Identity(), "fp32", bias=shape[2] % 2 == 0)
    check(run_step(p), p, p.d_out)


@pytest.mark.parametrize("act", [Identity(), Tanh()], ids=cases.name)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_squared_error(act: Activation, weighted: bool) -> None:
    p = Problem((70, 33, 3), Sine(30.0), act, "fp32")
    w = torch.rand(p.M, generator=p.gen) if weighted else None
    residual = p.out() - p.target
    if w is not None:
        w[::3] = 0.0  # points that are not there, whatever their target
        p.target[::3], p.target[3] = float("nan"), float("inf")
        residual[::3] = 0.0
    each = torch.ones(p.M).double() if w is None else w.double()
    scale = 2.0 / (p.C * float(each.sum()))
    step = run_step(p, sample_weight=w, scale=scale)
    check(step, p, scale * each[:, None] * residual)
    assert_close(edge_cases.in_order(step.loss), (each[:, None] * residual.square()).sum(), SUMS)


@pytest.mark.parametrize(
    ("act_in", "planar", "precision"),
    [(Sine(30.0), False, "tf32"), (Sine(30.0), False, "fast"), (Gabor(20.0, 10.0), True, "fp32")],
    ids=["32 bits", "16 bits", "planar"],
)
def test_cotangents_may_take_the_place_of_what_is_saved(act_in, planar: bool, precision: str) -> None:
    p = Problem((35, 40, 2), act_in, Identity(), precision, planar=planar)
    apart, together = run_step(p), run_step(p, in_place=True)
    for name in ("d_in", "partial", "db_in", "out"):
        assert torch.equal(getattr(together, name), getattr(apart, name)), name


@pytest.mark.parametrize("precision", edge_cases.PRECISIONS)
def test_chunks_give_the_same_bits(precision: str) -> None:
    p = Problem((90, 33, 2), Sine(30.0), Identity(), precision)
    whole = run_step(p, scale=0.01)
    chunks = [run_step(p, scale=0.01, rows=rows) for rows in (slice(0, 64), slice(64, 90))]
    for name, value in whole._asdict().items():
        assert torch.equal(torch.cat([getattr(chunk, name) for chunk in chunks]), value), name


@NOT_FINITE
def test_what_is_not_finite_stays_in_its_row() -> None:
    p = Problem((20, 33, 2), ReLU(), Identity(), "fp32")
    p.s_in[3, 1], p.s_in[5, 0] = float("nan"), float("inf")
    p.target[7, 1] = float("nan")
    step = run_step(p, scale=1.0)
    out = p.out()
    assert bool(step.out[3].isnan().all())
    assert torch.equal(step.out[5].double(), out[5])
    others = [n for n in range(20) if n not in (3, 5)]
    assert_close(step.out[others], out[others], SUMS)
    assert bool(step.d_in[3, :33].isnan().any())
    assert bool(step.d_in[7, :33].isnan().any())
    assert bool(step.d_in[[n for n in others if n != 7]].isfinite().all())
    assert bool(step.partial[:, 1].isnan().any())
    assert bool(step.loss.isnan().all())
    assert bool((step.d_in[others][:, 33:] == 0.0).all())


def test_targets_may_lie_anywhere() -> None:
    p = Problem((40, 33, 3), Tanh(), Identity(), "fp32")
    straight = run_step(p, scale=0.1)
    p.target = cases.offset(p.target)
    assert torch.equal(run_step(p, scale=0.1).partial, straight.partial)


def test_the_cotangent_below_may_be_left_out() -> None:
    p = Problem((40, 33, 3), Tanh(), Identity(), "fp32")
    partial = nans(2, 3, 34)
    weight, bias, d_out = edge_cases.parts(p.weight), edge_cases.parts(p.bias), p.d_out.to(DEVICE)
    edges.last_step(
        p.s_in,
        p.act_in,
        weight,
        bias,
        p.act,
        None,
        partial,
        None,
        SPLIT,
        "fp32",
        format_in=p.form,
        d_out=d_out,
    )
    assert torch.equal(partial.cpu(), run_step(p).partial)


def test_no_points() -> None:
    p = Problem((1, 33, 3), Tanh(), Identity(), "fp32")
    p.M, p.s_in, p.target, p.d_out = 0, p.s_in[:0], p.target[:0], p.d_out[:0]
    assert run_forward(p).shape == (0, 3)
    assert run_step(p, scale=1.0).partial.shape == (0, 3, 34)


def test_bytes_of_a_launch() -> None:
    """One read of what is saved and one write of the cotangent, beside a few numbers a point."""

    def meta(*shape: int) -> Tensor:
        return torch.empty(shape, device="meta")

    s, weight, bias, target = meta(1000, 256), meta(3, 256), meta(3), meta(1000, 3)
    mse = edges.Mse(target, None, meta(), meta(4))
    with recording("sm_90") as launches:
        edges.last_fwd(s, Sine(), weight, bias, target, Identity(), "tf32", format_in="float32")
        edges.last_step(
            s, Sine(), weight, bias, Identity(), s, meta(4, 3, 257), meta(4, 256), 256, "tf32",
            format_in="float32", mse=mse,
        )  # fmt: skip
    forward, step = launches
    read = 4 * (256_000 + 768 + 3)
    assert forward.bytes_read == read
    assert forward.bytes_written == 4 * 3000
    assert step.bytes_read == read + 4 * 3000
    assert step.bytes_written == 4 * (256_000 + 4 * 3 * 257 + 4 * 256 + 4)

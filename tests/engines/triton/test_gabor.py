"""The complex Gabor layer against float64 complex formulas, in Triton's interpreter where there is no GPU.

An error may be twice that of the same formula in float64 whose operands alone are rounded to the precision,
or of eager float32 where they are not rounded.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from fastsnf.engines.triton import complex_layers
from fastsnf.engines.triton.launch import recording
from fastsnf.engines.triton.tile_table import padded
from fastsnf.reference import activations
from fastsnf.spec import Gabor
from tests import cases
from tests.tolerances import bound, error, largest

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ACT = Gabor(20.0, 10.0)
PRECISIONS = ("fp32", "tf32", "fast")

SHAPES = ((1, 1, 1), (5, 33, 40), (40, 64, 33))
"""(M, fan_in, fan_out): one, less than a tile, and across tiles in every dimension."""


class Problem:
    """A complex layer with random weights above saved pre-activations, and a cotangent of its own.

    Padded buffers as the kernels take them, and the same numbers in float64, not padded: `u_in` [M, fan_in]
    (real where `first_below`) and `d_u` [M, fan_out].
    """

    def __init__(self, shape, precision, *, first_below, real_output=False, bias=True, seed=0):
        self.M, self.fan_in, self.fan_out = shape
        self.precision, self.first_below, self.real_output = precision, first_below, real_output
        gen = cases.generator(seed)
        self.weight = random_complex(self.fan_out, self.fan_in, gen=gen) / self.fan_in**0.5 / 10.0
        self.bias = random_complex(self.fan_out, gen=gen) / 20.0 if bias else None
        self.packed = complex_layers.pack_complex(
            self.weight.to(DEVICE),
            None if self.bias is None else self.bias.to(DEVICE),
            precision,
            rows_padded=padded(self.fan_out),
            cols_padded=padded(self.fan_in),
            real_output=real_output,
        )
        saved, moved = (
            (torch.float16, torch.bfloat16) if precision == "fast" else (torch.float32, torch.float32)
        )
        u = random_complex(self.M, self.fan_in, gen=gen) / 10.0
        self.s_in = (padded_real(u.real) if first_below else planar(u)).to(saved).to(DEVICE)
        d = random_complex(self.M, self.fan_out, gen=gen)
        d = padded_real(d.real) if real_output else planar(d)
        self.d = (round_tf32(d) if precision == "tf32" else d).to(moved).to(DEVICE)
        self.u_in = self.exact(self.s_in, self.fan_in, first_below)
        self.d_u = self.exact(self.d, self.fan_out, real_output)

    @staticmethod
    def exact(buffer: Tensor, features: int, real: bool) -> Tensor:
        """Return the unpadded float64 or complex128 value of a buffer."""
        buffer = buffer.cpu().double()
        if real:
            return buffer[:, :features]
        half = buffer.shape[1] // 2
        return torch.complex(buffer[:, :features], buffer[:, half : half + features])

    def buffer(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return cases.nan_filled(*shape, dtype=dtype).to(DEVICE)


def random_complex(*shape: int, gen: torch.Generator) -> Tensor:
    return torch.complex(torch.randn(shape, generator=gen), torch.randn(shape, generator=gen))


def padded_real(values: Tensor) -> Tensor:
    """Return values [M, F] in a buffer [M, padded(F)] with zeros in its pad, as the engine leaves them."""
    return torch.nn.functional.pad(values, (0, padded(values.shape[1]) - values.shape[1]))


def planar(values: Tensor) -> Tensor:
    return torch.cat([padded_real(values.real), padded_real(values.imag)], dim=1)


def round_tf32(values: Tensor) -> Tensor:
    """Return float32 values rounded to 11 significant bits, ties away from 0."""
    return ((values.contiguous().view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)


def rounded(values: Tensor, precision: str, *, backward: bool) -> Tensor:
    """Return complex128 or float64 values rounded to the operands of a precision."""
    if values.is_complex():
        return torch.complex(
            rounded(values.real, precision, backward=backward),
            rounded(values.imag, precision, backward=backward),
        )
    single = values.float()
    if precision == "tf32":
        return round_tf32(single).double()
    return single.to(torch.bfloat16 if backward else torch.float16).double()


def assert_good(found: Tensor, exact: Tensor, eager: Tensor, what: str) -> None:
    """Assert that `found` is at most twice as far from `exact` as `eager` is."""
    allowed = bound(eager, exact)
    assert error(found.cpu(), exact) <= allowed, (
        f"{what} {tuple(exact.shape)}: error {error(found.cpu(), exact):.3e}, allowed {allowed:.3e}, "
        f"largest entry {largest(exact):.3e}"
    )


class Twin:
    """The layer's formulas on whole tensors: exact in float64, or as good as `problem.precision` allows.

    Such a twin is eager float32 in ``fp32``; elsewhere float64 with the operands of every product rounded.
    """

    def __init__(self, problem: Problem, *, exact: bool):
        self.precision = None if exact or problem.precision == "fp32" else problem.precision
        single = not exact and problem.precision == "fp32"
        real, cplx = (torch.float32, torch.complex64) if single else (torch.float64, torch.complex128)
        self.real_output = problem.real_output
        self.u_in = problem.u_in.to(real if problem.first_below else cplx)
        self.d_u = problem.d_u.to(cplx)
        self.weight = problem.weight.to(cplx)
        self.bias = None if problem.bias is None else problem.bias.to(cplx)

    def operand(self, values: Tensor, *, backward: bool) -> Tensor:
        return values if self.precision is None else rounded(values, self.precision, backward=backward)

    def forward(self) -> Tensor:
        h = self.operand(activations.value(ACT, self.u_in), backward=False)
        u = h @ self.operand(self.weight, backward=False).T
        u = u if self.bias is None else u + self.bias
        return u.real if self.real_output else u

    def input_cotangent(self) -> Tensor:
        d_h = self.d_u @ self.operand(self.weight, backward=True).conj()  # W^H d
        return activations.vjp(ACT, self.u_in, d_h)

    def weight_gradient(self) -> Tensor:
        return self.d_u.T @ self.operand(activations.value(ACT, self.u_in), backward=True).conj()  # d h^H


def twins(problem: Problem) -> tuple[Twin, Twin]:
    return Twin(problem, exact=True), Twin(problem, exact=False)


def run_dx(problem: Problem, d_in: Tensor) -> Tensor:
    """Run the input gradient into `d_in` and return the column sums over all row blocks."""
    blocks, _ = complex_layers.complex_dx_blocks(problem.M, ACT, problem.packed, problem.precision)
    db = problem.buffer(blocks, d_in.shape[1])
    complex_layers.complex_dx(
        problem.d,
        problem.packed,
        problem.s_in,
        ACT,
        d_in,
        db,
        problem.precision,
        first_below=problem.first_below,
    )
    return db.sum(0, keepdim=True)


def run_dw(problem: Problem, split: int, d_weight: Tensor | None = None, rows: slice = slice(None)) -> Tensor:
    """Return the weight gradient over `rows`, added to `d_weight` where given."""
    d, s_in = problem.d[rows], problem.s_in[rows]
    partial = problem.buffer(-(-len(d) // split), padded(problem.fan_out), 2 * padded(problem.fan_in))
    complex_layers.complex_dw(
        d, s_in, ACT, partial, split, problem.precision, first_below=problem.first_below
    )
    total = d_weight
    if total is None:
        total = problem.buffer(problem.fan_out, problem.fan_in, dtype=torch.complex64)
    complex_layers.fold_dw(partial, total, accumulate=d_weight is not None)
    return total


@pytest.mark.parametrize("first_below", [True, False])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_layer(shape, precision, first_below):
    problem = Problem(shape, precision, first_below=first_below, bias=shape[0] != 5)
    exact, eager = twins(problem)
    s_out = problem.buffer(problem.M, 2 * padded(problem.fan_out))
    complex_layers.complex_fwd(problem.s_in, ACT, problem.packed, s_out, precision, first_below=first_below)
    found = Problem.exact(s_out, problem.fan_out, False)
    assert_good(found, exact.forward(), eager.forward(), "u")
    assert not pads(s_out, problem.fan_out, False).any()  # and no NaN is left

    d_in = torch.full_like(problem.s_in, float("nan"), dtype=problem.d.dtype)
    db = run_dx(problem, d_in)
    d_u, eager_d_u = exact.input_cotangent(), eager.input_cotangent()
    assert_good(
        Problem.exact(db, problem.fan_in, first_below),
        d_u.sum(0, keepdim=True),
        eager_d_u.sum(0, keepdim=True),
        "d_b below",
    )
    assert_good(
        Problem.exact(d_in, problem.fan_in, first_below), d_u, stored(eager_d_u, precision), "d_u below"
    )
    assert not pads(d_in, problem.fan_in, first_below).any()

    found = run_dw(problem, 32)
    assert_good(found.to(torch.complex128), exact.weight_gradient(), eager.weight_gradient(), "d_weight")


def stored(d: Tensor, precision: str) -> Tensor:
    """Return a cotangent as the engine stores it."""
    return d if precision == "fp32" else rounded(d, precision, backward=True)


def pads(buffer: Tensor, features: int, real: bool) -> Tensor:
    """Return what lies in the pads of a buffer, in float64."""
    planes = buffer.cpu().double().view(len(buffer), 1 if real else 2, -1)
    return planes[:, :, features:]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_wide_real_output(precision):
    problem = Problem((37, 33, 40), precision, first_below=False, real_output=True)
    exact, eager = twins(problem)
    s_out, out = problem.buffer(37, 64), problem.buffer(40, 37).T  # out in any strides, not padded
    for targets in ((None, out), (s_out, out)):
        for target in targets:
            if target is not None:
                target.fill_(float("nan"))
        complex_layers.complex_fwd(
            problem.s_in, ACT, problem.packed, targets[0], precision, first_below=False, out=targets[1]
        )
        for target in targets:
            if target is not None:
                assert_good(target[:, :40].double(), exact.forward(), eager.forward(), "out")
    assert not s_out[:, 40:].any()

    d_in = torch.full_like(problem.s_in, float("nan"), dtype=problem.d.dtype)
    run_dx(problem, d_in)
    found = Problem.exact(d_in, problem.fan_in, False)
    assert_good(found, exact.input_cotangent(), stored(eager.input_cotangent(), precision), "d_u below")
    found = run_dw(problem, 32)
    assert_good(found.to(torch.complex128), exact.weight_gradient(), eager.weight_gradient(), "d_weight")


@pytest.mark.parametrize("first_below", [True, False])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_cotangent_may_take_the_place_of_what_was_saved(precision, first_below):
    problem = Problem((37, 35, 5), precision, first_below=first_below)
    apart = torch.full_like(problem.s_in, float("nan"), dtype=problem.d.dtype)
    sums = run_dx(problem, apart)
    in_place = problem.s_in.view(problem.d.dtype)
    assert torch.equal(run_dx(problem, in_place), sums)
    assert torch.equal(in_place, apart)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, in the interpreter
@pytest.mark.parametrize("first_below", [True, False])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_row_of_nan_spoils_no_other(precision, first_below):
    problem = Problem((6, 5, 4), precision, first_below=first_below)
    found = []
    for spoiled in (False, True):
        if spoiled:
            problem.s_in[3, 2] = float("nan")
            problem.s_in[4, 2] = float("inf")
        s_out = problem.buffer(6, 64)
        complex_layers.complex_fwd(
            problem.s_in, ACT, problem.packed, s_out, precision, first_below=first_below
        )
        d_in = torch.full_like(problem.s_in, float("nan"), dtype=problem.d.dtype)
        complex_layers.complex_dx(
            problem.d, problem.packed, problem.s_in, ACT, d_in, None, precision, first_below=first_below
        )
        found.append((s_out, d_in))
    others = [0, 1, 2, 5]
    for clean, spoiled in zip(*found, strict=True):
        assert torch.equal(clean[others], spoiled[others])
        assert spoiled[3].isnan().any()
        assert spoiled[4].isnan().any()  # exp(-inf) cos(inf), as in eager
    assert found[1][0][3:5, :4].isnan().all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_chunks_do_not_change_a_gradient(precision):
    problem = Problem((90, 3, 4), precision, first_below=False)
    whole = run_dw(problem, 32)
    parts = run_dw(problem, 32, rows=slice(0, 64))
    parts = run_dw(problem, 32, parts, slice(64, 90))
    assert torch.equal(whole, parts)


@pytest.mark.parametrize("real_output", [False, True])
def test_bias_gradients_are_sums_of_groups(real_output):
    gen = cases.generator()
    partial = torch.randn(7, 32 if real_output else 64, generator=gen).to(DEVICE)
    d_bias = cases.nan_filled(10, dtype=torch.complex64).to(DEVICE)[::2]
    complex_layers.fold_db(partial.clone(), d_bias, accumulate=False, group=2, real_output=real_output)
    sums = partial.cpu().double().sum(0)
    exact = torch.complex(sums[:5], torch.zeros(5).double() if real_output else sums[32:37])
    assert error(d_bias.cpu(), exact) < 1e-6
    chunked = torch.zeros_like(d_bias)
    for rows in (partial[:4], partial[4:]):
        complex_layers.fold_db(rows, chunked, accumulate=True, group=2, real_output=real_output)
    assert torch.equal(chunked, d_bias)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_packed_weights_of_any_layout(precision):
    gen = cases.generator()
    weight, bias = random_complex(5, 35, gen=gen), random_complex(5, gen=gen)
    layouts = (
        (weight, bias),
        (cases.strided(weight), cases.strided(bias)),
        (weight.mH.conj().T, bias),
        (weight.conj().conj(), bias),
    )
    layouts += ((weight.conj().resolve_conj().conj(), bias.conj().resolve_conj().conj()),)
    for w, b in layouts:
        packed = complex_layers.pack_complex(
            w.to(DEVICE), b.to(DEVICE), precision, rows_padded=32, cols_padded=64
        )
        planes = (packed.real, packed.imag)
        forward = torch.stack([sum(t.double() for t in plane.forward) for plane in planes]).cpu()
        backward = torch.stack([sum(t.double() for t in plane.backward) for plane in planes]).cpu().mT
        for found, is_backward in ((forward, False), (backward, True)):
            expected = weight.to(torch.complex128)
            if precision != "fp32":
                expected = rounded(expected, precision, backward=is_backward)
            tolerance = 2.0**-21 * largest(weight) if precision == "fp32" else 0.0
            assert error(torch.complex(found[0], found[1])[:5, :35], expected) <= tolerance
            assert not found[:, 5:].any()
            assert not found[:, :, 35:].any()
        for part, plane in enumerate(planes):
            assert torch.equal(plane.bias.cpu()[:5], torch.view_as_real(bias)[:, part])
            assert not plane.bias[5:].any()


@pytest.mark.parametrize("architecture", ["sm_80", "sm_89", "sm_90"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_launches_are_recorded(precision, architecture):
    """On meta tensors, with the work and the bytes that a launch must do and move."""
    rows, size = 1000, 2 if precision == "fast" else 4
    with recording(architecture) as launches:
        weight = torch.empty(256, 256, dtype=torch.complex64, device="meta")
        packed = complex_layers.pack_complex(weight, None, precision, rows_padded=256, cols_padded=256)
        s = torch.empty(rows, 512, dtype=torch.float16 if size == 2 else torch.float32, device="meta")
        d = torch.empty(rows, 512, dtype=torch.bfloat16 if size == 2 else torch.float32, device="meta")
        partial = torch.empty(2, 256, 512, device="meta")
        complex_layers.complex_fwd(s, ACT, packed, torch.empty_like(s), precision, first_below=False)
        blocks, _ = complex_layers.complex_dx_blocks(rows, ACT, packed, precision)
        db = torch.empty(blocks, 512, device="meta")
        complex_layers.complex_dx(d, packed, s, ACT, torch.empty_like(d), db, precision, first_below=False)
        complex_layers.complex_dw(d, s, ACT, partial, 512, precision, first_below=False)
        complex_layers.fold_dw(partial, torch.empty_like(weight), accumulate=False)
    layer = ["complex_fwd", "complex_dx", "complex_dw", "sum_partials_ordered"]
    names = ["pack_weight", "pack_weight", "store_scalars", *layer]
    assert [launch.name for launch in launches] == names
    fwd, dx, dw, fold = launches[3:]
    assert fwd.flops == dx.flops == dw.flops == 8 * rows * 256 * 256
    weights = (2 if precision == "fp32" else 1) * 2 * 256 * 256 * size
    assert fwd.bytes_read == rows * 512 * size + weights + 512 * 4
    assert fwd.bytes_written == rows * 512 * size
    assert dx.bytes_read == 2 * rows * 512 * size + weights
    assert dx.bytes_written == rows * 512 * size + blocks * 512 * 4
    assert dw.bytes_read == 2 * rows * 512 * size
    assert dw.bytes_written == fold.bytes_read == 2 * 512 * 256 * 4
    assert fold.bytes_written == 256 * 256 * 8

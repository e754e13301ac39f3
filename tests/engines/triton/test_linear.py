"""The real hidden layer against float64 formulas, in Triton's interpreter where there is no GPU.

An error may be twice that of eager float32 in ``fp32``, and elsewhere twice that of the float64 formula whose
operands alone are rounded to the precision. There the mean difference from that formula must be small too.
"""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("triton")

from fastsnf.engines.triton import layers
from fastsnf.engines.triton.launch import recording
from fastsnf.engines.triton.parameters import PRECISIONS, saved_format
from fastsnf.engines.triton.plan import DTYPES
from fastsnf.reference import activations
from fastsnf.spec import Gaussian, Identity, ReLU, Sine, Tanh
from tests import cases
from tests.engines.triton.layer_problem import (
    DEVICE,
    PHASE_NAN,
    PHASE_STEPS,
    Problem,
    assert_rounded,
    assert_within,
    buffer,
    rounded,
    turns_apart,
)
from tests.tolerances import bound, largest

ACTIVATIONS = (*cases.REAL_ACTIVATIONS, Identity())

SHAPES = ((1, 1, 1), (5, 3, 40), (33, 33, 31), (40, 64, 65), (64, 64, 32))
"""(M, fan_in, fan_out): one, less than a tile, across tiles in every dimension, and whole tiles."""

MIXED = (40, 37, 70)
"""No multiple of anything."""

SMALL = {"tf32": 2.0**-12, "fast": 2.0**-9}
"""A relative error that is none: one rounding, where there are too few operands for a statistic."""

each_precision = pytest.mark.parametrize("precision", PRECISIONS)
each_activation = pytest.mark.parametrize("act", ACTIVATIONS, ids=cases.name)


def allowed(problem, twin, exact):
    small = SMALL.get(problem.precision, 0.0)
    return max(bound(twin, exact), small * largest(exact))


def check_forward(problem, act_out, kind):
    M, fan_out = problem.M, problem.fan_out
    s_out = buffer(M, problem.columns, dtype=DTYPES[kind])
    out = buffer(M, fan_out)
    problem.forward(s_out, out, act_out, kind)
    u = problem.h_in @ problem.weight.T + problem.bias
    h = problem.h_float().double() if problem.precision == "fp32" else problem.h_in
    twin = problem.twin(h, problem.weight.T, backward=False) + problem.bias.to(
        torch.float32 if problem.precision == "fp32" else torch.float64
    )
    exact_h, twin_h = activations.value(act_out, u), activations.value(act_out, twin)
    assert_within(out, exact_h, allowed(problem, twin_h, exact_h), "value")
    assert_rounded(out, twin_h, exact_h, twin_h, "value")
    assert not s_out[:, fan_out:].any()
    may = allowed(problem, twin, u)
    if isinstance(act_out, Sine):
        scale = act_out.omega / (2.0 * math.pi)
        saved = s_out[:, :fan_out].double() / (PHASE_STEPS if kind == "phase16" else 1.0)
        apart = turns_apart(saved, u * scale)
        quantum = 2.0**-17 if kind == "phase16" else 2.0**-23
        assert float(apart.max()) <= may * scale + quantum
    else:
        quantum = 2.0**-11 * largest(u) if kind == "float16" else 0.0
        assert_within(s_out[:, :fan_out], u, may + quantum, "saved")


def check_input_gradient(problem, *, in_place=False):
    M, fan_in = problem.M, problem.fan_in
    d_in = buffer(M, problem.inputs, dtype=problem.d_dtype)
    db = buffer(problem.blocks, problem.inputs)
    if in_place:
        d_in = problem.s_in.view(problem.d_dtype)
    problem.input_gradient(d_in, db)
    slope = problem.slope
    exact = (problem.d_u @ problem.weight) * slope
    own_slope = problem.slope_float() if problem.precision == "fp32" else slope
    whole = problem.twin(problem.d_u, problem.weight, backward=True) * own_slope
    twin = whole if problem.precision == "fp32" else rounded(whole, problem.precision, True)
    assert_within(d_in[:, :fan_in], exact, allowed(problem, twin, exact), "d_in")
    assert_rounded(d_in[:, :fan_in], twin, exact, twin, "d_in")
    assert not d_in[:, fan_in:].any()
    assert not db[:, fan_in:].any()
    # Sums are of values before their rounding to an operand.
    total, sums = exact.sum(0), db.cpu()[:, :fan_in].sum(0)
    may = allowed(problem, whole.sum(0), total) + 4e-7 * float(exact.abs().sum(0).max())
    assert_within(sums, total, may, "db")


def check_weight_gradient(problem, split=32):
    M, fan_in, fan_out = problem.M, problem.fan_in, problem.fan_out
    partial = buffer(-(-M // split), problem.columns, problem.inputs)
    problem.weight_gradient(partial, split)
    h = problem.h_float().double() if problem.precision == "fp32" else problem.h_in
    for s, rows in enumerate(slice(at, at + split) for at in range(0, M, split)):
        exact = problem.d_u[rows].T @ problem.h_in[rows]
        twin = problem.twin(problem.d_u[rows].T, h[rows], backward=True)
        found = partial[s, :fan_out, :fan_in]
        assert_within(found, exact, allowed(problem, twin, exact), "dw")
        assert_rounded(found, exact if problem.precision == "tf32" else twin, exact, twin, "dw")
    assert not partial[:, fan_out:].any()  # of rows of W that are not there: their cotangents are 0
    assert bool(partial.isfinite().all())


@each_precision
@each_activation
def test_every_activation(act, precision):
    problem = Problem(MIXED, act, precision)
    check_forward(problem, act, problem.format)
    check_weight_gradient(problem)
    check_input_gradient(problem)


@each_precision
@pytest.mark.parametrize("shape", SHAPES)
def test_odd_shapes(shape, precision):
    problem = Problem(shape, Sine(30.0), precision, bias=False)
    check_forward(problem, Sine(3.0), problem.format)
    check_weight_gradient(problem)
    check_input_gradient(problem)


def test_16_bit_phases_in_tf32():
    problem = Problem(MIXED, Sine(30.0), "tf32", phases=True)
    assert problem.s_in.dtype == torch.int16
    check_forward(problem, Sine(30.0), "phase16")
    check_weight_gradient(problem)
    check_input_gradient(problem)


@pytest.mark.parametrize(
    ("act", "precision"),
    [(Sine(30.0), "fp32"), (Gaussian(10.0), "tf32"), (Sine(30.0), "fast"), (Tanh(), "fast")],
)
def test_the_input_gradient_may_take_the_place_of_what_was_saved(act, precision):
    problem = Problem(MIXED, act, precision)
    assert problem.s_in.element_size() == problem.d.element_size()
    check_input_gradient(problem, in_place=True)


@each_precision
@pytest.mark.parametrize("inputs", [9, 40])
def test_raw_coordinates(inputs, precision):
    problem = Problem((37, inputs, 50), Identity(), precision, raw=True)
    check_forward(problem, Tanh(), saved_format(Tanh(), precision))
    check_weight_gradient(problem)
    d_x = buffer(problem.M, inputs)
    problem.input_gradient(d_x, None, with_slope=False)
    exact = problem.d_u @ problem.weight
    twin = problem.twin(problem.d_u, problem.weight, backward=True)
    assert_within(d_x, exact, allowed(problem, twin, exact), "d_x")
    assert_rounded(d_x, twin, exact, twin, "d_x")


def test_values_go_to_any_strides_and_nothing_beside_them():
    problem = Problem((37, 20, 5), ReLU(), "fp32")
    memory = buffer(5, 2 * 37)
    out = memory.T[::2]
    problem.forward(None, out, Identity(), "float32")
    exact = problem.h_in @ problem.weight.T + problem.bias
    assert_within(out, exact, 1e-5, "out")
    assert bool(memory[:, 1::2].isnan().all())


@pytest.mark.parametrize(
    ("act", "precision"), [(Tanh(), "fp32"), (Sine(30.0), "tf32"), (Sine(30.0), "fast"), (Tanh(), "fast")]
)
def test_not_a_number_stays_in_its_row(act, precision):
    problem, clean = Problem(MIXED, act, precision), Problem(MIXED, act, precision)
    kind = problem.format
    problem.s_in[13, 7] = PHASE_NAN if kind == "phase16" else float("nan")
    found, expected = (buffer(40, 96, dtype=DTYPES[kind]) for _ in range(2))
    problem.forward(found, None, act, kind)
    clean.forward(expected, None, act, kind)
    assert bool((found[13] == PHASE_NAN if kind == "phase16" else found[13].isnan()).all())
    others = torch.arange(40, device=DEVICE) != 13
    assert torch.equal(found[others], expected[others])
    d_found, d_expected = (buffer(40, 64, dtype=problem.d_dtype) for _ in range(2))
    problem.input_gradient(d_found, None)
    clean.input_gradient(d_expected, None)
    assert bool(d_found[13, 7].isnan())
    d_found[13, 7] = d_expected[13, 7]
    assert torch.equal(d_found, d_expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of inf - inf
@each_precision
def test_infinity_stays_infinite(precision):
    problem, clean = (Problem((5, 8, 6), ReLU(), precision) for _ in range(2))
    problem.s_in[2, 3] = float("inf")
    found, expected = buffer(5, 6), buffer(5, 6)
    problem.forward(None, found, Identity(), "float32")
    clean.forward(None, expected, Identity(), "float32")
    expected[2] = problem.weight[:, 3].sign() * float("inf")
    assert torch.equal(found, expected)


@each_precision
def test_weight_gradients_do_not_depend_on_chunks(precision):
    problem = Problem((90, 45, 20), Sine(30.0), precision)
    split, results = 32, []
    for chunk in (32, 64, 96):
        total = buffer(20, 45)
        for begin in range(0, 90, chunk):
            rows = slice(begin, min(begin + chunk, 90))
            partial = buffer(-(-(rows.stop - begin) // split), problem.columns, problem.inputs)
            problem.weight_gradient(partial, split, rows)
            layers.sum_partials(partial, total, accumulate=begin > 0)
        results.append(total)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    exact = problem.d_u.T @ problem.h_in
    assert_within(
        results[0], exact, {"fp32": 1e-5, "tf32": 2e-3, "fast": 2e-2}[precision] * largest(exact), "dw"
    )


def test_runs_repeat():
    def run():
        problem = Problem(MIXED, Sine(30.0), "fast")
        made = [
            buffer(40, 96, dtype=torch.int16),
            buffer(40, 64, dtype=torch.bfloat16),
            buffer(problem.blocks, 64),
            buffer(2, 96, 64),
        ]
        problem.forward(made[0], None, Sine(30.0), "phase16")
        problem.input_gradient(made[1], made[2])
        problem.weight_gradient(made[3], 32)
        return made

    assert all(torch.equal(first, again) for first, again in zip(run(), run(), strict=True))


@each_precision
def test_launches_claim_what_they_move(precision):
    M, width = 4096, 256
    act, d_dtype = Sine(30.0), torch.bfloat16 if precision == "fast" else torch.float32
    kind = saved_format(act, precision)

    def meta(*shape, dtype=torch.float32):
        return torch.empty(shape, dtype=dtype, device="meta")

    with recording("sm_90") as launches:
        packed = layers.pack(meta(width, width), None, precision, rows_padded=width, cols_padded=width)
        s, s_out = (meta(M, width, dtype=DTYPES[kind]) for _ in range(2))
        d, d_in = (meta(M, width, dtype=d_dtype) for _ in range(2))
        layers.linear_fwd(s, act, packed, s_out, act, precision, format_in=kind, format_out=kind)
        layers.linear_dx(d, packed, s, act, d_in, None, precision, format_in=kind)
        layers.linear_dw(d, s, act, meta(2, width, width), 2048, precision, format_in=kind)
    packing, fwd, dx, dw = launches
    element = 2 if precision == "fast" else 4
    weights = sum(w.numel() * w.element_size() for w in packed.forward)
    assert packing.bytes_read == 4 * width * width
    assert (fwd.bytes_read, fwd.bytes_written) == (
        M * width * element + weights + 4 * width,
        M * width * element,
    )
    assert (dx.bytes_read, dx.bytes_written) == (2 * M * width * element + weights, M * width * element)
    assert (dw.bytes_read, dw.bytes_written) == (2 * M * width * element, 2 * 4 * width * width)
    assert fwd.flops == dx.flops == dw.flops == 2 * M * width * width


def test_nothing_happens_to_zero_rows():
    problem = Problem((0, 8, 6), Tanh(), "fp32")
    problem.forward(buffer(0, 32), None, Tanh(), "float32")
    problem.input_gradient(buffer(0, 32), buffer(0, 32))
    problem.weight_gradient(buffer(0, 32, 32), 32)
    total = buffer(6, 8)
    layers.sum_partials(buffer(0, 32, 32), total, accumulate=False)
    assert not total.any()

"""The CPU engine's adjusted pass: at most twice eager's own error, for whole and ragged layouts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.engines import native
from fastsnf.reference.adjusted import Adjustment, Layout
from fastsnf.spec import Activation, FieldSpec, Gabor, Identity, Sine
from tests import cases
from tests.engines.problems import EVERY_SPEC, Problem, problem, until_one_passes
from tests.engines.runs import EVERY_VARIANT, VARIANTS, judge_variants
from tests.judge import Result, Run
from tests.tolerances import THREADS, assert_close, error, largest

ACTS = pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)


class Case(NamedTuple):
    """A problem whose points lie in groups, and an adjustment of it."""

    field: Problem
    layout: Layout
    vectors: Tensor
    coefficients: Tensor

    @property
    def rows(self) -> list[Tensor]:
        """Return what the runs take beside the parameters."""
        return [*self.field.mse_rows, self.vectors, self.coefficients]


def drawn(
    spec: FieldSpec,
    widths: Sequence[int],
    groups: int,
    offsets: int,
    k: int,
    *,
    ragged: float = 1.0,
    seed: int = 0,
) -> Case:
    """Return a random case; of a ragged layout that share of the points is there. V is orthonormal."""
    gen = cases.generator(seed)
    slots = None
    if ragged < 1.0:
        there = torch.rand(groups * offsets, generator=gen) < ragged
        slots = there.nonzero().flatten()
    points = groups * offsets if slots is None else len(slots)
    vectors, _ = torch.linalg.qr(torch.randn(groups, max(k, 1), generator=gen))
    coefficients = 1.0 - 2.0 * torch.rand(k, generator=gen)
    return Case(
        problem(spec, widths, points, gen=gen),
        Layout(groups, offsets, slots),
        vectors[:, :k].contiguous(),
        coefficients,
    )


def native_pass(case: Case, sample_weight: Tensor | None = None) -> tuple:
    """Return the engine's pass over a case with its own sample weights, or with others."""
    field, (groups, offsets, slots) = case.field, case.layout
    return native.adjusted_mse_value_and_grad(
        field.x,
        field.target,
        field.weights,
        field.biases,
        field.spec,
        groups,
        offsets,
        slots,
        case.vectors,
        case.coefficients,
        field.sample_weight if sample_weight is None else sample_weight,
    )


def named(result: tuple) -> dict[str, Tensor]:
    """Return every tensor of a pass by name."""
    loss, d_weights, d_biases, rows = result
    return Result([loss, rows], [], d_weights, d_biases).named()


def native_run(spec: FieldSpec, layout: Layout) -> Run:
    """Return the engine's pass as a run of (x, target, sample_weight, V, a)."""

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, target, sample_weight, v, a = rows
        loss, d_weights, d_biases, _ = native.adjusted_mse_value_and_grad(
            x, target, weights, biases, spec, *layout, v, a, sample_weight
        )
        return Result([loss], [], d_weights, d_biases)

    return run


def eager_run(spec: FieldSpec, layout: Layout) -> Run:
    """Return the reference as a run of (x, target, sample_weight, V, a)."""

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, target, sample_weight, v, a = rows
        loss, d_weights, d_biases, _ = reference.adjusted.adjusted_mse_value_and_grad(
            x, target, weights, biases, spec, Adjustment(layout, v, a), sample_weight
        )
        return Result([loss], [], d_weights, d_biases)

    return run


def judge(draw: Callable[[int], Case]) -> None:
    """Judge loss and gradients of every variant, on one of some draws."""

    def check(case: Case) -> None:
        spec = case.field.spec
        judge_variants(native_run(spec, case.layout), eager_run(spec, case.layout), case.field, case.rows)

    until_one_passes(check, draw)


@EVERY_SPEC
@pytest.mark.parametrize("ragged", [1.0, 0.8], ids=["whole", "ragged"])
@pytest.mark.usefixtures("nan_memory")
def test_every_activation(spec: FieldSpec, ragged: float) -> None:
    widths = [3, *[20] * (spec.layers - 1), 5]
    judge(lambda seed: drawn(spec, widths, 23, 6, 4, ragged=ragged, seed=seed))


@pytest.mark.parametrize("ragged", [1.0, 0.9, 0.3], ids=["whole", "ragged", "sparse"])
@pytest.mark.parametrize(
    ("groups", "offsets", "k"),
    [(1, 1, 1), (1, 200, 1), (2, 100, 2), (16, 30, 16), (31, 9, 3), (33, 7, 5), (64, 8, 0), (97, 5, 20),
     (200, 4, 7), (150, 1, 2), (700, 2, 21)],
)  # fmt: skip
def test_every_layout(groups: int, offsets: int, k: int, ragged: float) -> None:
    spec = FieldSpec.mlp(Sine(30.0), 1)
    judge(lambda seed: drawn(spec, [2, 24, 17, 3], groups, offsets, k, ragged=ragged, seed=seed))


@pytest.mark.parametrize("number", range(cases.count(100)))
def test_drawn_shapes(number: int) -> None:
    gen = cases.generator(number)

    def size(low: int, high: int) -> int:
        return min(high, int(low * ((high + 1) / low) ** float(torch.rand((), generator=gen))))

    spec = FieldSpec.mlp(cases.ACTIVATIONS[number % len(cases.ACTIVATIONS)], size(1, 3) - 1)
    widths = [size(1, 9), *[size(1, 200) for _ in spec.activations[1:]], size(1, 9)]
    groups, offsets = size(1, 300), size(1, 20)
    k, ragged = size(1, min(groups, 30)), 1.0 if number % 2 else 0.7
    judge(lambda seed: drawn(spec, widths, groups, offsets, k, ragged=ragged, seed=number + 1000 * seed))


@EVERY_VARIANT
@ACTS
@pytest.mark.parametrize("ragged", [1.0, 0.7], ids=["whole", "ragged"])
def test_without_vectors_it_is_the_plain_pass(ragged: float, act: Activation, variant: str) -> None:
    case = drawn(FieldSpec.mlp(act, 1), [2, 33, 20, 3], 45, 12, 0, ragged=ragged)
    field = case.field
    with native.use_variant(variant):
        loss, d_weights, d_biases, _ = native_pass(case)
        plain = native.mse_value_and_grad(
            field.x, field.target, field.weights, field.biases, field.spec, field.sample_weight
        )
    assert_close(loss, plain[0], THREADS)
    for ours, theirs in zip([*d_weights, *d_biases], [*plain[1], *plain[2]], strict=True):
        assert_close(ours, theirs, THREADS)


@EVERY_VARIANT
@pytest.mark.parametrize("ragged", [1.0, 0.7], ids=["whole", "ragged"])
def test_the_loss_is_the_plain_one(ragged: float, variant: str) -> None:
    case = drawn(FieldSpec.mlp(Sine(30.0), 1), [2, 33, 20, 3], 45, 12, 9, ragged=ragged)
    with native.use_variant(variant):
        adjusted = native_pass(case)[0]
        plain = native_pass(case._replace(vectors=case.vectors[:, :0], coefficients=case.coefficients[:0]))[0]
    assert torch.equal(adjusted, plain)


@pytest.mark.parametrize("ragged", [1.0, 0.7, 0.05], ids=["whole", "ragged", "sparse"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_largest_residual_of_each_group(threads: int, ragged: float) -> None:
    torch.set_num_threads(threads)
    case = drawn(FieldSpec.mlp(Sine(30.0), 1), [2, 33, 20, 3], 45, 30, 5, ragged=ragged)
    field = case.field
    out = reference.forward(field.x, field.weights, field.biases, field.spec)
    w = field.sample_weight[:, None]
    residual = torch.where(w != 0, w.sqrt() * (out - field.target), 0.0)
    expected = reference.adjusted.largest_rows(residual, case.layout)
    for variant in VARIANTS:
        with native.use_variant(variant):
            assert torch.equal(native_pass(case)[3], expected), variant


def constant_field(case: Case, value: float) -> Case:
    """Return the case with a field that is `value` everywhere."""
    spec = FieldSpec((Identity(),))
    channels, inputs = case.field.target.shape[1], case.field.x.shape[1]
    weights, biases = [torch.zeros(channels, inputs)], [torch.full((channels,), value)]
    return case._replace(field=case.field._replace(spec=spec, weights=weights, biases=biases))


@EVERY_VARIANT
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_first_of_equal_residuals(threads: int, variant: str) -> None:
    torch.set_num_threads(threads)
    case = constant_field(drawn(FieldSpec((Identity(),)), [2, 3], 40, 21, 3), 1.0)
    ones = torch.ones(40 * 21)
    case.field.target[:] = 0.0
    with native.use_variant(variant):
        assert native_pass(case, ones)[3].tolist() == list(range(40))
        case.field.target[40 * 7 : 40 * 9] = -1.0
        assert native_pass(case, ones)[3].tolist() == list(range(40 * 7, 40 * 8))
        assert native_pass(case, 0.0 * ones)[3].tolist() == list(range(40))


@EVERY_VARIANT
def test_a_nan_residual_is_the_largest(variant: str) -> None:
    case = constant_field(drawn(FieldSpec((Identity(),)), [2, 3], 40, 9, 3), 1.0)
    case.field.target[:] = 0.0
    case.field.target[40 * 5 + 17, 1] = math.nan
    with native.use_variant(variant):
        loss, d_weights, _, rows = native_pass(case, torch.ones(360))
    assert loss.isnan()
    assert d_weights[0].isnan().any()
    assert rows.tolist() == [40 * 5 + 17 if group == 17 else group for group in range(40)]


@EVERY_VARIANT
def test_a_nan_spoils_its_own_channel_and_offset(variant: str) -> None:
    """The workspace keeps nothing of it: the next call has the bits of the one before."""
    case = drawn(FieldSpec.mlp(Sine(30.0), 1), [2, 33, 20, 3], 45, 12, 9)
    broken = case._replace(field=case.field._replace(target=torch.full_like(case.field.target, math.nan)))
    with native.use_variant(variant):
        before = named(native_pass(case))
        assert native_pass(broken)[0].isnan()
        after = named(native_pass(case))
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@EVERY_VARIANT
@ACTS
@pytest.mark.parametrize("ragged", [1.0, 0.7], ids=["whole", "ragged"])
def test_threads(ragged: float, act: Activation, variant: str) -> None:
    """The same bits for the same count, close ones for another."""
    case = drawn(FieldSpec.mlp(act, 1), [2, 33, 20, 3], 45, 40, 9, ragged=ragged)
    found = {}
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        with native.use_variant(variant):
            found[threads] = named(native_pass(case))
            again = named(native_pass(case))
        assert all(torch.equal(again[name], tensor) for name, tensor in found[threads].items())
    for threads in (2, 3, 7):
        for name, tensor in found[1].items():
            assert error(found[threads][name], tensor) <= THREADS * largest(tensor), (threads, name)


def test_more_threads_than_offsets() -> None:
    torch.set_num_threads(7)
    judge(lambda seed: drawn(FieldSpec.mlp(Sine(30.0), 1), [2, 24, 17, 3], 300, 2, 5, seed=seed))


@EVERY_VARIANT
def test_layout_in_memory_does_not_matter(variant: str) -> None:
    case = drawn(FieldSpec.mlp(Sine(30.0), 1), [2, 33, 20, 3], 45, 12, 9, ragged=0.8)
    field, slots = case.field, case.layout.slots
    strided = Case(
        field._replace(
            x=cases.transposed(field.x),
            target=cases.strided(field.target),
            weights=[cases.transposed(w) for w in field.weights],
            sample_weight=cases.strided(field.sample_weight),
        ),
        case.layout._replace(slots=torch.stack([slots, slots], dim=1)[:, 0]),
        cases.transposed(case.vectors),
        cases.strided(case.coefficients),
    )
    with native.use_variant(variant):
        assert all(map(torch.equal, named(native_pass(strided)).values(), named(native_pass(case)).values()))


@EVERY_VARIANT
def test_no_points(variant: str) -> None:
    case = drawn(FieldSpec.mlp(Sine(30.0), 1), [2, 16, 16, 3], 5, 4, 2, ragged=0.0)
    with native.use_variant(variant):
        loss, d_weights, d_biases, rows = native_pass(case)
    assert loss == 0.0
    assert not any(grad.any() for grad in [*d_weights, *d_biases])
    assert rows.tolist() == [0] * 5


def test_no_weights_are_weights_of_one() -> None:
    case = drawn(FieldSpec.mlp(Sine(30.0), 1), [2, 33, 20, 3], 45, 12, 9)
    field = case.field._replace(target=case.field.target.nan_to_num(0.5))
    arguments = field.x, field.target, field.weights, field.biases, field.spec, *case.layout
    plain = native.adjusted_mse_value_and_grad(*arguments, case.vectors, case.coefficients)
    ones = native_pass(case._replace(field=field), torch.ones(45 * 12))
    assert all(map(torch.equal, named(plain).values(), named(ones).values()))


def test_what_does_not_fit_the_layout_is_refused() -> None:
    case = drawn(FieldSpec.mlp(Sine(30.0), 1), [2, 9, 9, 3], 6, 5, 2)
    for wrong in (case.vectors[:5], case.vectors[:, :1], case.vectors[0]):
        with pytest.raises(ValueError, match="expected vectors"):
            native_pass(case._replace(vectors=wrong))
    with pytest.raises(ValueError, match="every offset"):
        native_pass(case._replace(layout=Layout(6, 4)))
    for slots in ([0, 1, 1, 2], [3, 2, 1, 0], [-1, 0, 1, 2], [0, 1, 2, 30]):
        ragged = case.layout._replace(slots=torch.tensor(slots))
        short = case.field._replace(x=case.field.x[:4], target=case.field.target[:4])
        with pytest.raises(ValueError, match="ascending slots"):
            native_pass(case._replace(field=short, layout=ragged), torch.ones(4))
    with pytest.raises(ValueError, match="a slot of each"):
        native_pass(case._replace(layout=case.layout._replace(slots=torch.arange(4))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": -1}, "points"),
        ({"n": 2}, "slots"),
        ({"x": 0}, "inputs"),
        ({"target": 0}, "targets"),
        ({"groups": 0}, "groups"),
        ({"groups": -1}, "groups"),
        ({"groups": 2**40}, "groups"),
        ({"offsets": 0}, "offsets"),
        ({"offsets": 2**60}, "offsets"),
        ({"k": -1}, "vectors"),
        ({"k": 2**40}, "vectors"),
        ({"k": 1}, "vectors"),
        ({"largest": 0}, "largest"),
        ({"layers": []}, "layer"),
        ({"threads": 0}, "threads"),
    ],
    ids=str,
)
def test_sizes_are_checked_before_a_pointer_is_used(change: dict[str, object], message: str) -> None:
    layer = (1, 1, False, 0, 0.0, 0.0, 64, 0, 0, 0)
    given = {"variant": "", "layers": [layer], "n": 1, "x": 64, "target": 64, "sample_weight": 0}
    given |= {"groups": 1, "offsets": 1, "slots": 0, "k": 0, "vectors": 0, "coefficients": 0, "largest": 64}
    with pytest.raises(ValueError, match=message):
        native.module().adjusted_mse(**given | {"threads": 1} | change)

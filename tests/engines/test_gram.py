"""Blocks of the empirical NTK by every variant of the CPU engine: at most twice eager's error, symmetric."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.engines import native
from fastsnf.spec import FieldSpec, Gabor, Sine
from tests import cases
from tests.engines.problems import EVERY_SPEC, problem, until_one_passes
from tests.engines.runs import EVERY_VARIANT, VARIANTS
from tests.tolerances import assert_as_good_as_eager


class Operands(NamedTuple):
    """What `gram` takes, by layer."""

    inputs: list[Tensor]
    cotangents: list[Tensor]
    bias: list[bool]

    def double(self) -> Operands:
        """Return the same numbers in float64 and complex128."""
        return Operands(cases.as_double(self.inputs), cases.as_double(self.cotangents), self.bias)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Operands:
        """Return the operands with every tensor changed."""
        return Operands([change(a) for a in self.inputs], [change(d) for d in self.cotangents], self.bias)


def drawn(
    blocks: int,
    n: int,
    widths: Sequence[int],
    *,
    is_complex: Sequence[bool] = (),
    bias: Sequence[bool] = (),
    seed: int = 0,
) -> Operands:
    """Return normal operands for layers between `widths`; by default real and with biases."""
    gen, layers = cases.generator(seed), len(widths) - 1
    kinds = [torch.complex64 if pair else torch.float32 for pair in is_complex] or [torch.float32] * layers
    inputs = [torch.randn(blocks, n, w, generator=gen, dtype=k) for w, k in zip(widths, kinds, strict=False)]
    cotangents = [
        torch.randn(blocks, n, w, generator=gen, dtype=k) for w, k in zip(widths[1:], kinds, strict=True)
    ]
    return Operands(inputs, cotangents, list(bias) or [True] * layers)


def judge(draw: Callable[[int], Operands]) -> None:
    """Assert that every variant's blocks are as good as eager's, exactly symmetric, on one of some draws."""

    def check(operands: Operands) -> None:
        exact = reference.ntk.ntk_gram(*operands.double())
        eager = reference.ntk.ntk_gram(*operands)
        for variant in VARIANTS:
            with native.use_variant(variant):
                ours = native.gram(*operands)
            assert torch.equal(ours, ours.mT), variant
            assert_as_good_as_eager(ours, eager, exact, variant)

    until_one_passes(check, draw)


@EVERY_SPEC
def test_every_activation(spec: FieldSpec) -> None:
    def draw(seed: int) -> Operands:
        case = problem(spec, [3, *[21] * (spec.layers - 1), 5], 45, gen=cases.generator(seed))
        kept = reference.ntk.layer_trace(case.x, case.weights, case.biases, spec, case.d_out)
        block = [[t.unflatten(0, (3, 15)) for t in tensors] for tensors in kept]
        return Operands(block[0], block[1], [True] * spec.layers)

    judge(draw)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 65, 127, 129, 200])
@pytest.mark.parametrize("pairs", [False, True], ids=["real", "complex"])
@pytest.mark.usefixtures("nan_memory")
def test_every_number_of_points(n: int, pairs: bool) -> None:
    kinds = [False, pairs, pairs]
    judge(lambda seed: drawn(3, n, [2, 19, 33, 1], is_complex=kinds, bias=[True, False, True], seed=seed))


@pytest.mark.parametrize("number", range(cases.count(200)))
def test_drawn_shapes(number: int) -> None:
    gen = cases.generator(number)

    def size(low: int, high: int) -> int:
        return min(high, int(low * ((high + 1) / low) ** float(torch.rand((), generator=gen))))

    layers, blocks, n = size(1, 5), size(1, 20), size(1, 150)
    widths = [size(1, 400) for _ in range(layers + 1)]
    kinds = [size(1, 4) > 2 for _ in range(layers)]
    bias = [size(1, 4) > 1 for _ in range(layers)]
    judge(lambda seed: drawn(blocks, n, widths, is_complex=kinds, bias=bias, seed=number + 1000 * seed))


def test_real_inputs_of_complex_cotangents() -> None:
    """Im(A A^H) is 0 where A is real, whatever D is."""
    for swap in (False, True):
        real, pairs = torch.randn(2, 20, 5), torch.randn(2, 20, 7, dtype=torch.complex64)
        operands = Operands([pairs], [real], [True]) if swap else Operands([real], [pairs], [True])
        judge(lambda _, operands=operands: operands)


@pytest.mark.parametrize("n", [600, 2100] if cases.count(10) == 10 else [300])
def test_many_points(n: int) -> None:
    judge(lambda seed: drawn(1, n, [2, 64, 64, 3], seed=seed))


def test_many_blocks() -> None:
    for n in (1, 3, 20):
        judge(lambda seed, n=n: drawn(cases.count(4096), n, [2, 9, 1], seed=seed))


@EVERY_VARIANT
@pytest.mark.parametrize(("blocks", "n"), [(1, 1), (1, 40), (5, 33), (7, 3), (2, 150), (1, 260)], ids=str)
def test_the_same_bits_for_every_thread_count(blocks: int, n: int, variant: str) -> None:
    operands = drawn(blocks, n, [3, 40, 21, 2], is_complex=[False, True, True])
    found = []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        with native.use_variant(variant):
            found.append(native.gram(*operands))
    assert all(torch.equal(other, found[0]) for other in found)


@EVERY_VARIANT
def test_a_block_alone_is_as_among_others(variant: str) -> None:
    operands = drawn(9, 50, [3, 40, 2])
    with native.use_variant(variant):
        together = native.gram(*operands)
        for b in range(9):
            alone = native.gram(*operands.mapped(lambda t, b=b: t[b : b + 1]))
            assert torch.equal(alone[0], together[b])


@EVERY_VARIANT
@pytest.mark.parametrize("layout", [cases.strided, cases.transposed, cases.offset], ids=lambda f: f.__name__)
@pytest.mark.parametrize("pairs", [False, True], ids=["real", "complex"])
def test_layout_does_not_matter(pairs: bool, layout: Callable[[Tensor], Tensor], variant: str) -> None:
    operands = drawn(2, 37, [3, 18, 2], is_complex=[pairs, pairs])
    with native.use_variant(variant):
        assert torch.equal(native.gram(*operands.mapped(layout)), native.gram(*operands))


def test_lazy_conjugates_and_minus_signs() -> None:
    operands = drawn(2, 20, [3, 6, 2], is_complex=[True, True])
    lazy = operands.mapped(lambda t: t.conj().resolve_conj().conj())
    assert lazy.inputs[0].is_conj()
    assert torch.equal(native.gram(*lazy), native.gram(*operands))
    minus = operands.mapped(lambda t: t.conj().imag)
    assert minus.inputs[0].is_neg()
    assert torch.equal(native.gram(*minus), native.gram(*operands.mapped(lambda t: -t.imag)))


@EVERY_VARIANT
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_point_that_is_not_finite_spoils_its_own_entries(value: float, variant: str) -> None:
    operands = drawn(2, 40, [3, 18, 2])
    operands.inputs[1][1, 35, 7] = value
    with native.use_variant(variant):
        found = native.gram(*operands)
    touched = torch.zeros(2, 40, 40, dtype=torch.bool)
    touched[1, 35, :] = touched[1, :, 35] = True
    assert torch.equal(~found.isfinite(), touched)


@EVERY_VARIANT
def test_what_an_earlier_call_left_does_not_matter(variant: str) -> None:
    operands = drawn(3, 41, [3, 18, 2], is_complex=[False, True])
    wide = drawn(3, 70, [30, 60, 5])
    with native.use_variant(variant):
        native.gram(*wide.mapped(lambda t: torch.full_like(t, math.nan)))
        after_nan = native.gram(*operands)
        native.gram(*wide)
        assert torch.equal(native.gram(*operands), after_nan)


def test_no_eigenvalue_is_negative_beyond_rounding() -> None:
    spec = FieldSpec.mlp(Gabor(20.0, 10.0), 1)
    case = problem(spec, [2, 30, 30, 1], 100)
    kept = reference.ntk.layer_trace(case.x, case.weights, case.biases, spec, case.d_out)
    gram = native.gram([a[None] for a in kept.inputs], [d[None] for d in kept.cotangents], [True] * 3)[0]
    values = torch.linalg.eigvalsh(gram.double())
    assert values[0] >= -1e-5 * values[-1]


def test_it_is_the_gram_of_the_jacobian() -> None:
    spec = FieldSpec.mlp(Sine(30.0), 1)
    case = problem(spec, [2, 16, 16, 1], 30)
    kept = reference.ntk.layer_trace(case.x, case.weights, case.biases, spec, torch.ones(30, 1))
    gram = native.gram([a[None] for a in kept.inputs], [d[None] for d in kept.cotangents], [True] * 3)[0]
    doubles = cases.as_double([case.x]), cases.as_double(case.weights), cases.as_double(case.biases)
    jacobian = reference.ntk.jacobian(doubles[0][0], doubles[1], doubles[2], spec)
    exact = reference.ntk.jacobian_gram(jacobian)[:, 0, :, 0]
    assert float((gram - exact).abs().max()) <= 1e-5 * float(exact.abs().max())


def test_no_blocks() -> None:
    assert native.gram([torch.zeros(0, 5, 3)], [torch.zeros(0, 5, 2)], [True]).shape == (0, 5, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": 0}, "block"),
        ({"n": 0}, "point"),
        ({"n": -3}, "point"),
        ({"n": 2**40}, "smaller"),
        ({"blocks": 2**60}, "smaller"),
        ({"out": 0}, "result"),
        ({"threads": 0}, "threads"),
        ({"threads": 10**6}, "threads"),
        ({"layers": []}, "layer"),
        ({"layers": [(0, 2, False, False, True, 64, 64)]}, "sizes"),
        ({"layers": [(3, -2, False, False, True, 64, 64)]}, "sizes"),
        ({"layers": [(3, 2**40, False, False, True, 64, 64)]}, "sizes"),
        ({"layers": [(3, 2, False, False, True, 0, 64)]}, "inputs"),
        ({"layers": [(3, 2, False, False, True, 64, 0)]}, "cotangents"),
        ({"variant": "mmx"}, "variant"),
    ],
    ids=str,
)
def test_sizes_are_checked_before_a_pointer_is_used(change: dict[str, object], message: str) -> None:
    layer = (3, 2, False, False, True, 64, 64)
    given = {"variant": "", "layers": [layer], "blocks": 1, "n": 1, "out": 64, "threads": 1} | change
    with pytest.raises(ValueError, match=message):
        native.module().gram(**given)


def test_reasons() -> None:
    cpu, shapes = torch.device("cpu"), [(3, 4), (4, 1)]
    assert native.gram_reasons(cpu, torch.float32, shapes) == []
    assert "runs on the CPU" in native.gram_reasons(torch.device("cuda"), torch.float32, shapes)[0]
    assert "float64" in native.gram_reasons(cpu, torch.float64, shapes)[0]
    assert "no inputs" in native.gram_reasons(cpu, torch.float32, [(0, 3)])[0]

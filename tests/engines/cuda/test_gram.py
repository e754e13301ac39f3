"""`gram` in the emulator: indexing, masks, ragged edges, mirror images, terms, strides and accuracy."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fastsnf.engines import cuda
from fastsnf.reference.ntk import ntk_gram
from tests.engines.cuda.emulated import LARGE_TILES, SMALL_TILES, running
from tests.tolerances import RATIO

TILES = pytest.mark.parametrize("tiles", [LARGE_TILES, SMALL_TILES], ids=["large", "small"])


class Shape(NamedTuple):
    """B blocks of n points; (fan_in, fan_out) of every layer."""

    B: int
    n: int
    layers: tuple[tuple[int, int], ...]


SHAPES = (
    Shape(1, 1, ((1, 1),)),
    Shape(3, 2, ((2, 5), (5, 1))),
    Shape(2, 31, ((3, 17), (17, 33), (33, 3))),
    Shape(1, 32, ((2, 64), (64, 64), (64, 1))),
    Shape(2, 33, ((4, 16), (16, 15))),
    Shape(1, 64, ((2, 20), (20, 3))),
    Shape(2, 65, ((1, 7), (7, 2))),
    Shape(1, 132, ((2, 36), (36, 4))),
    Shape(1, 130, ((130, 65), (65, 1))),
    Shape(40, 3, ((2, 4), (4, 1))),
)
"""Around the tiles' sides (32, 64), the chunks (16, 32), the parts of a sum (64) and quads (4)."""


def operands(shape: Shape, *, is_complex: bool = False, seed: int = 0) -> tuple[list[Tensor], list[Tensor]]:
    """Return random A and D of every layer."""
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.complex64 if is_complex else torch.float32

    def draw(width: int) -> Tensor:
        return torch.randn(shape.B, shape.n, width, dtype=dtype, generator=generator)

    return [draw(a) for a, _ in shape.layers], [draw(d) for _, d in shape.layers]


def exact(inputs: list[Tensor], cotangents: list[Tensor], bias: list[bool]) -> Tensor:
    """Return K in float64."""
    wide = [
        [t.to(torch.promote_types(t.dtype, torch.float64)) for t in part] for part in (inputs, cotangents)
    ]
    return ntk_gram(wide[0], wide[1], bias)


def error(gram: Tensor, target: Tensor) -> float:
    """Return the error of K in units of its largest entry, block by block."""
    scale = target.abs().amax(dim=(1, 2), keepdim=True)
    return float(((gram - target) / scale).abs().max())


def check(inputs: list[Tensor], cotangents: list[Tensor], bias: list[bool]) -> Tensor:
    """Assert that K is as accurate as eager float32's and symmetric bit for bit; return it."""
    found, target = cuda.gram(inputs, cotangents, bias), exact(inputs, cotangents, bias)
    assert torch.equal(found, found.mT)
    # half a rounding of each term's product and of each sum, where eager is exact by luck
    least = 2.0**-24 * (2 + len(inputs))
    assert error(found, target) <= max(RATIO * error(ntk_gram(inputs, cotangents, bias), target), least)
    return found


@TILES
@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape(extension: ModuleType, shape: Shape, is_complex: bool, tiles: str) -> None:
    bias = [layer % 2 == 0 for layer in range(len(shape.layers))]
    with running(extension, processors=tiles):
        check(*operands(shape, is_complex=is_complex), bias)


@TILES
def test_long_sums_are_cut(extension: ModuleType, tiles: str) -> None:
    shape = Shape(1, 9, ((2048, 1023),))
    with running(extension, processors=tiles):
        found = error(cuda.gram(*operands(shape), [True]), exact(*operands(shape), [True]))
    # one sum of 2,048 products is off by 1e-6 and more; 32 parts of 64 by as much as a sum of some 100
    assert found < 4e-7


@TILES
def test_more_terms_than_a_launch_takes(extension: ModuleType, tiles: str) -> None:
    shape = Shape(2, 37, ((3, 2),) * 40)
    with running(extension, processors=tiles):
        check(*operands(shape, is_complex=True), [True, False] * 20)


def test_real_inputs_and_complex_cotangents(extension: ModuleType) -> None:
    shape = Shape(2, 35, ((3, 9),))
    (real, _), (_, turned) = operands(shape), operands(shape, is_complex=True)
    with running(extension):
        found = cuda.gram(real, turned, [True])
        swapped = cuda.gram(turned, real, [False])
    plain = (real[0] @ real[0].mT + 1) * (turned[0] @ turned[0].mH).real
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(
        swapped, (turned[0] @ turned[0].mH).real * (real[0] @ real[0].mT), rtol=1e-5, atol=1e-4
    )


def test_operands_as_they_lie_in_memory(extension: ModuleType) -> None:
    """Rows apart, one row or one block for all, transposed, lazily conjugated: no wrong number is read."""
    generator = torch.Generator().manual_seed(1)
    wide = torch.full((2, 21, 40), float("nan"))
    wide[:, :, 3:20] = torch.randn(2, 21, 17, generator=generator)
    apart = wide[:, :, 3:20]
    row = torch.randn(3, generator=generator).expand(2, 21, 3)
    block = torch.randn(21, 8, generator=generator).expand(2, 21, 8)
    across = torch.randn(2, 5, 21, generator=generator).mT
    turned = torch.randn(2, 21, 3, dtype=torch.complex64, generator=generator).conj()
    negative = torch.randn(2, 21, 3, dtype=torch.complex64, generator=generator).conj().imag
    with running(extension):
        check([apart, block], [row, across], [True, False])
        check([turned], [turned.resolve_conj()], [True])
        check([negative], [negative], [False])


@TILES
def test_nothing_is_read_or_written_beyond(extension: ModuleType, tiles: str) -> None:
    """NaN around the operands does not reach K, and what is around K stays."""
    n, width = 37, 18
    around = torch.full((n * width + 64,), float("nan"))
    around[32 : 32 + n * width] = torch.randn(n * width, generator=torch.Generator().manual_seed(2))
    operand = around[32 : 32 + n * width].view(1, n, width)
    out = torch.full((n * n + 64,), 7.0)
    layer = (operand.data_ptr(), width, 0, width, False)
    with running(extension, processors=tiles):
        extension.gram(out[32:].data_ptr(), 1, n, [(layer, layer, True)], 0, 0)
        assert torch.equal(out[32 : 32 + n * n].view(1, n, n), cuda.gram([operand], [operand], [True]))
    assert bool((out[:32] == 7).all())
    assert bool((out[32 + n * n :] == 7).all())


@TILES
def test_blocks_of_the_batch_do_not_mix(extension: ModuleType, tiles: str) -> None:
    """A NaN stays in the rows and columns of its point."""
    (a,), (d,) = operands(Shape(3, 70, ((5, 6),)))
    with running(extension, processors=tiles):
        whole = cuda.gram([a], [d], [True])
        a[1, 66, 4] = float("nan")
        found = cuda.gram([a], [d], [True])
    hit = torch.zeros(3, 70, 70, dtype=torch.bool)
    hit[1, 66, :] = hit[1, :, 66] = True
    assert torch.equal(found.isnan(), hit)
    assert torch.equal(found[~hit], whole[~hit])


@TILES
def test_threads_do_not_race(extension: ModuleType, tiles: str) -> None:
    """The bits are the same whichever thread comes first between two barriers."""
    a, d = operands(Shape(1, 67, ((9, 35), (35, 2))), is_complex=True)
    grams = []
    for order in ("forward", "reverse"):
        with running(extension, processors=tiles, order=order):
            grams.append(cuda.gram(a, d, [True, True]))
    assert torch.equal(*grams)

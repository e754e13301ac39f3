"""The block method against float64 eigh: on hard spectra, from any start, in both precisions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf.ntk.block import (
    MOST_PRODUCTS,
    BlockPairs,
    argument,
    block_pairs,
    block_size,
    filtered,
    orthonormal,
    scattered,
)
from fastsnf.spec import ReLU
from tests import cases
from tests.ntk.spectra import N, entk, exact_pairs, siren, spectra, with_spectrum

COUNT = 21
TOLERANCE = {torch.float32: 4e-6, torch.float64: 1e-12}
SPECTRA = spectra()


def check(found: BlockPairs, gram: Tensor, count: int = COUNT) -> None:
    """Assert what defines leading eigenpairs, against the matrix itself in float64."""
    assert found.converged
    values, vectors = found.values[0].double(), found.vectors[0].double()
    k, tolerance = gram.double(), 1.5 * TOLERANCE[gram.dtype]
    top = exact_pairs(gram)[0]
    scale = top[0].abs().clamp_min(1e-300)
    eye = torch.eye(vectors.shape[-1], dtype=torch.float64)
    assert (vectors.T @ vectors - eye).abs().max() < 30 * torch.finfo(gram.dtype).eps
    residual = (k @ vectors - vectors * values)[:, :count].norm(dim=0).max()
    assert residual <= tolerance * scale
    # No leading eigenvalue is missed: a residual alone would not tell.
    assert (values[:count] - top[:count]).abs().max() <= tolerance * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SPECTRA)
def test_a_cold_start_finds_the_leading_pairs(name: str, dtype: torch.dtype) -> None:
    gram = with_spectrum(SPECTRA[name], cases.generator(1))[0].to(dtype)
    check(block_pairs(gram[None], COUNT, TOLERANCE[dtype]), gram)


@pytest.mark.parametrize("scale", [2.0**-66, 2.0**66])
@pytest.mark.parametrize("name", ["geometric", "rank 10", "one far out"])
def test_the_scale_of_the_matrix_changes_no_bit(name: str, scale: float) -> None:
    gram = with_spectrum(SPECTRA[name], cases.generator(2))[0].float()
    plain, scaled = (block_pairs(k[None], COUNT, 4e-6) for k in (gram, scale * gram))
    check(scaled, scale * gram)
    assert scaled[2:] == plain[2:]
    assert torch.equal(scaled.vectors, plain.vectors)
    assert torch.equal(scaled.values, scale * plain.values)


def start_of(kind: str, gram: Tensor) -> Tensor:
    vectors = exact_pairs(gram)[1].to(gram.dtype)
    gen = cases.generator(3)
    noise = torch.randn(N, 64, generator=gen, dtype=gram.dtype)
    return {
        "exact": vectors[:, :64],
        "near": vectors[:, :64] + 1e-2 * noise,
        "few columns": vectors[:, :5],
        "all columns": vectors,
        "the wrong end": vectors[:, -64:],
        "without the first": vectors[:, 1:65],
        "equal columns": vectors[:, :1].expand(N, 64),
        "zeros": torch.zeros(N, 64, dtype=gram.dtype),
        "not of norm 1": 1e12 * vectors[:, :64],
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["exact", "near", "few columns", "all columns", "the wrong end", "without the first", "equal columns",
     "zeros", "not of norm 1"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["geometric", "slow", "rank 10", "identity"])
def test_any_start_leads_to_the_same_pairs(name: str, kind: str) -> None:
    gram = with_spectrum(SPECTRA[name], cases.generator(4))[0].float()
    check(block_pairs(gram[None], COUNT, 4e-6, start_of(kind, gram)[None]), gram)


def test_a_missed_direction_is_found_where_nothing_leads_to_it() -> None:
    """In a diagonal matrix the columns of the identity stay where they are: no rounding mixes them."""
    gram = torch.diag(torch.where(torch.arange(N) < N - 1, 0.997 ** torch.arange(N), 0.95))
    check(block_pairs(gram[None], COUNT, 4e-6, torch.eye(N)[None, :, :64]), gram)


@pytest.mark.parametrize("count", [1, 2, 5, 16, 32, 33, 40])
def test_any_number_of_pairs(count: int) -> None:
    gram = siren(move=1e-3).float()
    assert block_size(count) >= 2 * count
    check(block_pairs(gram[None], count, 4e-6), gram, count)


@pytest.mark.parametrize("move", [1e-4, 1e-3])
def test_a_warm_start_on_an_entk_converges_in_few_products(move: float) -> None:
    start = None
    for step in range(3):
        gram = siren(move=move * step).float()
        found = block_pairs(gram[None], COUNT, 4e-6, start)
        check(found, gram)
        assert found.products <= 20
        start = found.vectors


def test_the_steep_spectrum_of_relu_converges() -> None:
    gram = entk(ReLU(), N).float()
    values = exact_pairs(gram)[0]
    assert values[0] > 100.0 * values[COUNT]  # steep indeed
    check(block_pairs(gram[None], COUNT, 4e-6), gram)


def test_a_batch_is_its_matrices() -> None:
    grams = torch.stack(
        [with_spectrum(SPECTRA[name], cases.generator(5))[0] for name in ("geometric", "rank 10", "zero")]
    ).float()
    found = block_pairs(grams, COUNT, 4e-6)
    for i, gram in enumerate(grams):
        check(BlockPairs(found.values[i : i + 1], found.vectors[i : i + 1], *found[2:]), gram)


def test_a_matrix_that_is_not_contiguous_gives_the_same() -> None:
    gram = siren().float()
    for view in (cases.strided(gram), cases.transposed(gram), cases.offset(gram)):
        check(block_pairs(view[None], COUNT, 4e-6), gram)


def test_without_convergence_it_stops_and_says_so() -> None:
    gram = siren().float()
    found = block_pairs(gram[None], COUNT, 0.0)
    assert not found.converged
    assert MOST_PRODUCTS <= found.products <= MOST_PRODUCTS + 8
    assert 0.0 < found.residual < 1e-5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_matrix_that_is_not_finite_does_not_converge(value: float) -> None:
    for place in ((3, 4), (7, 7)):
        gram = siren().float()
        gram[place] = gram[place[::-1]] = value
        found = block_pairs(gram[None], COUNT, 4e-6)
        assert not found.converged
        assert found.products < MOST_PRODUCTS
    assert not block_pairs(torch.full((1, N, N), value), COUNT, 4e-6).converged


def test_the_same_call_gives_the_same_bits_and_touches_no_generator() -> None:
    gram = siren().float()[None]
    state = torch.get_rng_state()
    first, second = block_pairs(gram, COUNT, 4e-6), block_pairs(gram, COUNT, 4e-6)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.vectors, second.vectors)
    assert torch.equal(first.values, second.values)


def test_scattered_numbers_are_uniform_and_unrelated() -> None:
    numbers = scattered(1000, 64, torch.zeros(0, dtype=torch.float64))
    assert numbers.abs().max() <= 1.0
    assert abs(float(numbers.mean())) < 0.01
    assert abs(float(numbers.square().mean()) - 1.0 / 3.0) < 0.01
    normed = numbers / numbers.norm(dim=0)
    assert (normed.T @ normed - torch.eye(64, dtype=torch.float64)).abs().max() < 0.2


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_the_filter_is_a_chebyshev_polynomial(degree: int) -> None:
    """On a diagonal matrix it multiplies rows; each column is divided by the value at its own quotient."""
    eigenvalues = 0.9 ** torch.arange(N, dtype=torch.float64)
    gram = torch.diag(3.0 * eigenvalues)[None]  # scaled by 3
    x = torch.linalg.qr(torch.randn(N, 8, generator=cases.generator(7), dtype=torch.float64))[0]
    kx = eigenvalues[:, None] * x
    for span in (1e12, 30.0):
        found = filtered(gram, torch.tensor([[[3.0]]]).double(), x[None], kx[None], degree, span)[0]
        quotients = (x * kx).sum(dim=0)
        bound = max(quotients.min(), 2.0 * quotients.max() / argument(degree, span))

        def chebyshev(t: Tensor) -> Tensor:
            return torch.where(
                t > 1.0,
                torch.cosh(degree * torch.acosh(t.clamp_min(1.0))),
                torch.cos(degree * t.clamp(-1, 1).acos()),
            )

        rows = chebyshev(2.0 * eigenvalues / bound - 1.0)
        columns = chebyshev((2.0 * quotients / bound - 1.0).clamp_min(1.0))
        assert torch.allclose(found, rows[:, None] * x / columns, rtol=1e-9, atol=1e-12)
        assert columns.max() <= max(1.0, 1.01 * span)


def test_a_block_that_has_no_rank_is_nan_and_not_something() -> None:
    zeros = torch.zeros(1, 9, 3)
    assert orthonormal(zeros, zeros).isnan().any()
    assert orthonormal(zeros + 1.0, zeros).isnan().any()
    nearly = 1.0 + 1e-9 * torch.randn(1, 40, 12, generator=cases.generator(8), dtype=torch.float64)
    assert orthonormal(nearly, torch.zeros_like(nearly)).isnan().any()  # some pivot is negative


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_orthonormal_columns_survive_a_loss_of_rank(dtype: torch.dtype) -> None:
    gen = cases.generator(6)
    x = torch.linalg.qr(torch.randn(2, 90, 12, generator=gen, dtype=dtype))[0]
    y = torch.randn(2, 90, 12, generator=gen, dtype=dtype)
    y[0, :, 3] = 0.0
    y[0, :, 5] = y[0, :, 4]
    y[0, :, 7] = 1e6 * y[0, :, 6] + 1e-3 * y[0, :, 7]
    q = orthonormal(y, x)
    eye = torch.eye(12, dtype=dtype)
    assert (q.mT @ q - eye).abs().max() < 20 * torch.finfo(dtype).eps
    kept = [0, 1, 2, 4, 6, 8, 9, 10, 11]
    rest = y[0][:, kept] - q[0] @ (q[0].T @ y[0][:, kept])
    assert rest.norm(dim=0).max() < 1e-4 * y[0][:, kept].norm(dim=0).min()

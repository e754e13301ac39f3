"""The coefficients of S against the loop of the released code, and where rounding stands for zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ntk.coefficients import adjustment_of, coefficients
from fastsnf.ntk.spectrum import Eigenpairs, leading
from tests import cases
from tests.ntk.spectra import with_spectrum


def released(values: Tensor, vectors: Tensor, start: int, end: int, target: int) -> Tensor:
    """Return S as the released code builds it: an identity that loses one direction after the other."""
    s = torch.eye(len(vectors), dtype=vectors.dtype)
    for i in range(start, end):
        if values[i] <= 0:
            break
        s -= (1.0 - values[target] / values[i]) * torch.outer(vectors[:, i], vectors[:, i])
    return s


@pytest.mark.parametrize(
    ("start", "end", "target"),
    [(0, 5, 5), (0, 5, 0), (0, 5, 4), (2, 7, 2), (2, 7, 7), (0, 0, 0), (3, 4, 9), (0, 10, 9)],
)
@pytest.mark.parametrize("method", ["eigh", "block"])
def test_s_is_that_of_the_released_code(start: int, end: int, target: int, method: str) -> None:
    values = 0.7 ** torch.arange(60, dtype=torch.float64)
    gram, exact = with_spectrum(values, cases.generator(1))
    vectors, a = adjustment_of(leading(gram, 10, method=method), start, end, target)
    assert vectors.shape == (60, end - start)
    s = torch.eye(60, dtype=torch.float64) - vectors @ torch.diag(a) @ vectors.T
    assert (s - released(values, exact, start, end, target)).abs().max() < 1e-9
    assert vectors.is_contiguous()
    assert a.is_contiguous()


def test_the_forms() -> None:
    """S times the spectrum: sgd lifts to the start's eigenvalue, adam lowers to the end's; the rest stays."""
    values = torch.tensor([8.0, 4.0, 2.0, 1.0])
    lifted = values[:3] * (1.0 - coefficients(values, 0, 3, 0))
    lowered = values[:3] * (1.0 - coefficients(values, 0, 3, 3))
    assert torch.equal(lifted, torch.full((3,), 8.0))
    assert torch.equal(lowered, torch.full((3,), 1.0))


def test_it_stops_at_the_first_eigenvalue_that_is_not_positive() -> None:
    values = torch.tensor([4.0, 2.0, 0.0, 1.0, -1.0])
    assert coefficients(values, 0, 5, 0).tolist() == [0.0, -1.0, 0.0, 0.0, 0.0]
    assert coefficients(values, 3, 5, 3).tolist() == [0.0, 0.0]
    assert coefficients(torch.zeros(3), 0, 3, 0).tolist() == [0.0, 0.0, 0.0]
    assert coefficients(-torch.ones(3), 0, 3, 0).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("last", [0.0, -1e-6])
def test_a_target_that_is_not_positive_attenuates_to_nothing(last: float) -> None:
    values = torch.tensor([4.0, 2.0, last])
    assert coefficients(values, 0, 2, 2).tolist() == [1.0, 1.0]
    assert coefficients(values, 0, 3, 2).tolist() == [1.0, 1.0, 0.0]


def test_rounding_is_not_amplified() -> None:
    values = torch.tensor([1.0, 1e-2, 1e-5, 2e-8, -1e-8])
    a = coefficients(values, 0, 5, 0, rounding=1e-6)
    assert torch.allclose(a, 1.0 - torch.tensor([1.0, 1e2, 1e5, 1.0, 1.0]), rtol=1e-5)
    assert coefficients(values, 0, 2, 3, rounding=1e-6).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("method", ["eigh", "block"])
@pytest.mark.parametrize("rank", [0, 1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_singular_matrix_is_adjusted_in_its_range_alone(rank: int, dtype: torch.dtype, method: str) -> None:
    values = torch.where(torch.arange(90) < rank, 0.5 ** torch.arange(90), 0.0)
    gram, exact = with_spectrum(values.double(), cases.generator(2))
    pairs = leading(gram.to(dtype), 10, method=method)
    for target, coefficient in ((0, 1.0 - 2.0 ** torch.arange(rank)), (9, torch.ones(rank))):
        vectors, a = (t.double() for t in adjustment_of(pairs, 0, 9, target))
        s = exact[:, :rank] @ torch.diag(coefficient.double()) @ exact[:, :rank].T
        assert (vectors @ torch.diag(a) @ vectors.T - s).abs().max() < 1e-3
        assert a[rank:].eq(0.0).all()


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_the_scale_of_the_spectrum_does_not_matter(scale: float) -> None:
    values = 0.5 ** torch.arange(12.0)
    for target in (0, 11):
        a = coefficients(values * scale, 0, 10, target, rounding=1e-5)
        assert torch.allclose(a, coefficients(values, 0, 10, target, rounding=1e-5), rtol=1e-5)


def test_batches_go_one_by_one() -> None:
    values = torch.tensor([[4.0, 2.0, 1.0], [1.0, 0.0, 0.0]])
    batched = coefficients(values, 0, 2, 2, rounding=1e-6)
    assert torch.equal(batched, torch.stack([coefficients(v, 0, 2, 2, rounding=1e-6) for v in values]))
    vectors, a = adjustment_of(Eigenpairs(values, torch.ones(2, 5, 3)), 0, 2, 2)
    assert (vectors.shape, a.shape) == ((2, 5, 2), (2, 2))


@pytest.mark.parametrize(
    ("start", "end", "target", "message"),
    [
        (-1, 2, 0, "0 <= start"),
        (2, 1, 0, "0 <= start"),
        (0, 4, 0, "<= 3"),
        (0, 2, 3, "from 0 to 2"),
        (0, 2, -1, "from 0 to 2"),
    ],
)
def test_what_is_refused(start: int, end: int, target: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        coefficients(torch.ones(3), start, end, target)

"""Lanczos' method against dense eigenvalues in float64."""

import pytest
import torch

from fastsnf.analysis import lanczos
from fastsnf.errors import InputError
from tests.cases import generator


def symmetric(n, seed=0):
    a = torch.randn(n, n, generator=generator(seed), dtype=torch.float64)
    return a + a.T


def test_as_many_steps_as_rows_give_every_eigenvalue():
    matrix = symmetric(40)
    (found,) = lanczos(
        lambda v: matrix @ v, torch.randn(40, 1, generator=generator(1), dtype=torch.float64), 40
    )
    assert found.steps == 40
    assert torch.allclose(found.values, torch.linalg.eigvalsh(matrix).flip(0), rtol=0, atol=1e-11)


def test_residuals_bound_the_distance_to_an_eigenvalue_and_the_ends_come_first():
    matrix = symmetric(200)
    exact = torch.linalg.eigvalsh(matrix)
    (found,) = lanczos(
        lambda v: matrix @ v, torch.randn(200, 1, generator=generator(1), dtype=torch.float64), 60
    )
    nearest = (found.values[:, None] - exact).abs().amin(dim=1)
    assert bool((nearest <= found.residuals + 1e-10).all())
    assert abs(float(found.values[0] - exact[-1])) < 1e-6
    assert abs(float(found.values[-1] - exact[0])) < 1e-6


def test_weights_are_the_start_vectors_energies():
    matrix = symmetric(30)
    start = torch.randn(30, 2, generator=generator(2), dtype=torch.float64)
    _values, vectors = torch.linalg.eigh(matrix)
    for column, found in zip(start.T, lanczos(lambda v: matrix @ v, start, 30), strict=True):
        energies = (vectors.T @ column).square().flip(0) / column.square().sum()
        assert torch.allclose(found.weights, energies, rtol=0, atol=1e-10)
    (few,) = lanczos(lambda v: matrix @ v, start[:, :1], 4)  # Gauss quadrature: exact up to degree 7
    for power in range(8):
        moment = (start[:, 0] @ torch.linalg.matrix_power(matrix, power) @ start[:, 0]) / start[
            :, 0
        ].square().sum()
        assert torch.allclose((few.weights * few.values**power).sum(), moment, rtol=1e-10)


def test_an_exhausted_space_ends_early_without_copies():
    diagonal = torch.tensor([3.0, 3.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    starts = torch.stack([torch.ones(5), torch.eye(5)[0], torch.zeros(5)], dim=1).double()
    found = lanczos(lambda v: diagonal[:, None] * v, starts, 50)
    assert [krylov.steps for krylov in found] == [3, 1, 0]
    assert torch.allclose(found[0].values, torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64), atol=1e-12)
    assert torch.allclose(found[1].values, torch.tensor([3.0], dtype=torch.float64))


def test_float32_finds_no_eigenvalue_twice():
    matrix = torch.diag(torch.logspace(0, -6, 100))
    (found,) = lanczos(lambda v: matrix @ v, torch.ones(100, 1), 60)
    assert abs(float(found.values[0]) - 1.0) < 1e-5
    assert float(found.values[1]) < 0.95  # without reorthogonalisation copies of 1 appear


def test_bad_calls_are_refused():
    with pytest.raises(InputError, match="Lanczos steps"):
        lanczos(lambda v: v, torch.ones(3, 1), 0)
    with pytest.raises(InputError, match=r"start vectors \[n, k\]"):
        lanczos(lambda v: v, torch.ones(3), 1)
    with pytest.raises(InputError, match="finite products"):
        lanczos(lambda v: v * torch.nan, torch.ones(3, 1), 2)

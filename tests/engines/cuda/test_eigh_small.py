"""`eigh_small` in the emulator: values, vectors, spectra of every kind, special numbers."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import Tensor

from fastsnf.engines import cuda
from tests.cases import count
from tests.engines.cuda.emulated import running

SIDES = (1, 2, 3, 5, 8, 13, 28, 31, 63, 64)

EPS = 2.0**-23


def spectrum(kind: str, m: int) -> Tensor:
    """Return m eigenvalues in float64."""
    return {
        "random": torch.randn(m, dtype=torch.float64, generator=torch.Generator().manual_seed(m)),
        "decades": torch.logspace(0, -12, m, dtype=torch.float64),
        "clusters": 1 + 1e-6 * (torch.arange(m) % 3).double() + (torch.arange(m) // 4).double(),
        "deficient": torch.cat([torch.ones(m // 2), torch.zeros(m - m // 2)]).double(),
        "equal": torch.full((m,), 3.0, dtype=torch.float64),
        "zero": torch.zeros(m, dtype=torch.float64),
    }[kind]


def matrix_of(values: Tensor, seed: int = 0) -> Tensor:
    """Return a symmetric float32 matrix near that spectrum."""
    m = len(values)
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(m, m, dtype=torch.float64, generator=generator))
    matrix = (basis * values) @ basis.mT
    return (0.5 * (matrix + matrix.mT)).float()


def check(matrices: Tensor) -> None:
    """Assert values against float64's, the residual and the orthonormality."""
    values, vectors = cuda.eigh_small(matrices)
    m = matrices.shape[-1]
    exact = matrices.double()
    scale = exact.abs().amax(dim=(1, 2)).clamp_min(1e-300)[:, None] * m
    assert bool((values.diff(dim=-1) >= 0).all())
    assert bool(((values - torch.linalg.eigvalsh(exact)).abs() / scale <= EPS).all())
    columns = vectors.double()
    residual = exact @ columns - columns * values.double()[:, None, :]
    assert bool((residual.norm(dim=1) / scale <= EPS).all())
    unity = columns.mT @ columns - torch.eye(m, dtype=torch.float64)
    assert float(unity.abs().max()) <= 2 * EPS * max(4.0, m**0.5)


@pytest.mark.parametrize("kind", ["random", "decades", "clusters", "deficient", "equal", "zero"])
def test_every_spectrum(extension: ModuleType, kind: str) -> None:
    sides = SIDES if count(10) == 10 else (3, 28)
    with running(extension):
        for m in sides:
            check(matrix_of(spectrum(kind, m))[None])


@pytest.mark.parametrize("m", [1, 2, 17, 63, 64])
def test_every_side(extension: ModuleType, m: int) -> None:
    with running(extension):
        check(torch.stack([matrix_of(spectrum("random", m), seed) for seed in range(2)]))


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e30, 3e38])
def test_squares_that_float32_does_not_hold(extension: ModuleType, scale: float) -> None:
    matrix = matrix_of(spectrum("random", 6)) / 4
    matrix = matrix / matrix.abs().max()
    with running(extension):
        values, vectors = cuda.eigh_small((matrix * scale)[None])
    expected = torch.linalg.eigvalsh((matrix * scale).double())
    inside = expected.abs() < 3.4e38
    step = max(6 * EPS * scale, 2 * 2.0**-149)
    assert bool(((values[0] - expected).abs()[inside] <= step).all())
    assert bool(vectors.isfinite().all())


@pytest.mark.parametrize("special", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_gives_nan_in_its_block_alone(extension: ModuleType, special: float) -> None:
    matrices = torch.stack([matrix_of(spectrum("random", 9), seed) for seed in range(3)])
    with running(extension):
        values, vectors = cuda.eigh_small(matrices)
        matrices[1, 7, 2] = special
        found_values, found_vectors = cuda.eigh_small(matrices)
    assert bool(found_values[1].isnan().all())
    assert bool(found_vectors[1].isnan().all())
    for block in (0, 2):
        assert torch.equal(found_values[block], values[block])
        assert torch.equal(found_vectors[block], vectors[block])


def test_a_diagonal_matrix_is_only_sorted(extension: ModuleType) -> None:
    with running(extension):
        values, vectors = cuda.eigh_small(torch.diag(torch.tensor([3.0, -1.0, 2.0, -1.0]))[None])
    assert values.tolist() == [[-1.0, -1.0, 2.0, 3.0]]
    assert torch.equal(vectors[0], torch.eye(4)[:, [1, 3, 2, 0]])


def test_threads_do_not_race(extension: ModuleType) -> None:
    matrix, found = matrix_of(spectrum("random", 33))[None], []
    for order in ("forward", "reverse"):
        with running(extension, order=order):
            found.append(cuda.eigh_small(matrix))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))

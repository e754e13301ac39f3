"""Leading eigenpairs by every method, what fails and how; condition number and alignment as defined."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ntk import spectrum
from fastsnf.ntk.coefficients import adjustment_of
from fastsnf.ntk.spectrum import Eigenpairs, SpectrumError, alignment, condition_number, leading
from fastsnf.spec import ReLU, Sine
from tests import cases
from tests.ntk.spectra import N, entk, exact_pairs, projector, siren, spectra, with_spectrum

SPECTRA = spectra()


def adjusted(pairs: Eigenpairs, r: Tensor, target: int) -> Tensor:
    """Return S r in float64 for the first 20 of 21 pairs."""
    vectors, a = (t.double() for t in adjustment_of(pairs, 0, 20, target))
    return r - vectors @ (a[:, None] * (vectors.T @ r))


@pytest.mark.parametrize("method", ["eigh", "block"])
@pytest.mark.parametrize(
    "name", ["geometric", "algebraic", "slow", "equal", "equal across the cut", "nearly equal across the cut"]
)
def test_adjusted_residuals_are_those_of_float64(name: str, method: str) -> None:
    """Attenuated to the end's eigenvalue, clusters included: across the cut their coefficients are 0."""
    gram, vectors = with_spectrum(SPECTRA[name], cases.generator(1))
    r = torch.randn(N, 3, generator=cases.generator(2), dtype=torch.float64)
    values = SPECTRA[name]
    a = torch.where(torch.arange(N) < 20, 1.0 - values[20] / values, 0.0)
    exact = r - vectors @ (a[:, None] * (vectors.T @ r))
    found = leading(gram.float(), 21, method=method)
    assert found.method == method
    assert not found.fallback
    # Rounding moves the eigenvalues by some 1e-7 of the first, which counts relative to the last.
    allowed = 2e-5 + 1e-6 * float(values[0] / values[20])
    assert (adjusted(found, r, 20) - exact).norm() <= allowed * r.norm()
    found = leading(gram, 21, method=method)
    assert (adjusted(found, r, 20) - exact).norm() <= 1e-8 * r.norm()


@pytest.mark.parametrize("method", ["eigh", "block"])
@pytest.mark.parametrize("move", [0.0, 1e-3])
def test_adjusted_residuals_on_entks(method: str, move: float) -> None:
    """Both forms, on the float32 matrix: the solver's error alone."""
    start = leading(siren(N).float(), 21, method=method).basis
    gram = siren(N, move=move).float()
    r = torch.randn(N, 3, generator=cases.generator(3), dtype=torch.float64)
    found, exact = leading(gram, 21, start=start, method=method), exact_pairs(gram)
    full = Eigenpairs(exact[0], exact[1])
    for target, allowed in ((20, 1e-5), (0, 3e-4)):
        wanted = adjusted(full, r, target)
        assert (adjusted(found, r, target) - wanted).norm() <= allowed * wanted.norm()


@pytest.mark.parametrize("act", [Sine(30.0), ReLU()], ids=cases.name)
def test_projectors_where_there_is_a_gap(act: Sine | ReLU) -> None:
    gram = entk(act, N).float()
    values, vectors = exact_pairs(gram)
    gap = int((values[2:20] - values[3:21]).argmax()) + 3
    found = leading(gram, 21, method="block")
    apart = (projector(found.vectors[:, :gap]) - projector(vectors[:, :gap])).norm()
    assert apart <= 4.0 * 4e-6 * gap**0.5 * values[0] / (values[gap - 1] - values[gap])  # Davis and Kahan


@pytest.mark.parametrize("method", ["auto", "eigh", "block"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 33, 64, 65, 129])
def test_every_order_and_count(n: int, dtype: torch.dtype, method: str) -> None:
    gram = with_spectrum(0.9 ** torch.arange(n), cases.generator(n))[0].to(dtype)
    for count in {0, 1, n // 4, n // 2, n}:
        found = leading(gram, count, method=method)
        assert found.values.shape == (count,)
        assert found.vectors.shape == (n, count)
        assert found.values.dtype == found.vectors.dtype == dtype
        assert (found.values - 0.9 ** torch.arange(count)).abs().le(1e-5).all()
        k = found.vectors.mT @ gram @ found.vectors
        assert (k - torch.diag(found.values)).abs().le(1e-5).all()


@pytest.mark.parametrize("method", ["eigh", "block"])
def test_batches_keep_their_shape(method: str) -> None:
    grams = torch.stack([siren(move=1e-3 * i) for i in range(4)]).float()
    batched = leading(grams.reshape(2, 2, N, N), 5, method=method)
    assert batched.values.shape == (2, 2, 5)
    assert batched.vectors.shape == (2, 2, N, 5)
    for i, gram in enumerate(grams):
        single = leading(gram, 5, method=method)
        assert torch.allclose(batched.values[i // 2, i % 2], single.values, rtol=1e-5)
    again = leading(grams.reshape(2, 2, N, N), 5, method=method, start=batched.basis)
    assert torch.allclose(again.values, batched.values, rtol=1e-5)
    assert leading(grams[:0], 5, method=method).vectors.shape == (0, N, 5)


def test_a_single_start_serves_a_batch() -> None:
    grams = torch.stack([siren(), siren(move=1e-3)]).float()
    found = leading(grams, 5, method="block", start=leading(grams[0], 5, method="block").basis)
    assert torch.allclose(found.values, exact_pairs(grams)[0][:, :5].float(), rtol=1e-4)


def test_auto_takes_eigh_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    gram = siren().float()
    found = leading(gram, 5)
    assert (found.method, found.basis, found.products, found.residual) == ("eigh", None, 0, None)
    monkeypatch.setattr(spectrum, "EIGH_IS_FASTER", N)
    assert leading(gram, 5).method == "block"
    assert leading(gram, N // 3).method == "eigh"  # a large share of the pairs


def test_a_block_says_what_it_did() -> None:
    found = leading(siren().float(), 21, method="block")
    assert found.basis is not None
    assert found.basis.shape == (N, 63)
    assert torch.equal(found.basis[:, :21], found.vectors)
    assert found.residual is not None
    assert 0.0 < found.residual <= 4e-6
    assert found.products > 0


def test_the_basis_alone_makes_a_call_exact_again() -> None:
    """What a checkpoint must hold."""
    first = leading(siren().float(), 21, method="block")
    moved = siren(move=1e-3).float()
    again = [leading(moved, 21, method="block", start=basis) for basis in (first.basis, first.basis.clone())]
    assert torch.equal(again[0].vectors, again[1].vectors)


def test_without_convergence_eigh_answers() -> None:
    gram = siren().float()
    found = leading(gram, 21, method="block", tolerance=0.0)
    assert (found.method, found.fallback) == ("eigh", True)
    assert found.basis is not None
    assert found.basis.shape == (N, 63)
    assert torch.equal(found.values, leading(gram, 21, method="eigh").values)
    assert found.residual is not None
    assert found.residual > 0.0


def test_a_start_that_is_not_finite_costs_a_fallback_and_no_more() -> None:
    gram = siren().float()
    found = leading(gram, 21, method="block", start=torch.full((N, 63), float("nan")))
    assert found.fallback
    assert torch.equal(found.values, leading(gram, 21, method="eigh").values)
    assert found.basis is not None
    assert not leading(gram, 21, method="block", start=found.basis).fallback


@pytest.mark.parametrize("method", ["eigh", "block"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_matrix_that_is_not_finite_raises(value: float, method: str) -> None:
    one = siren().float()
    one[3, 4] = one[4, 3] = value
    for gram in (
        one,
        torch.full((N, N), value),
        torch.full((1, 1), value),
        torch.stack([siren().float(), one]),
    ):
        with pytest.raises(SpectrumError, match="entries are not finite"):
            leading(gram, 1, method=method)


def test_a_solver_that_fails_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(matrix: Tensor) -> None:
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    for method in ("eigh", "block"):
        with pytest.raises(SpectrumError, match="did not converge"):
            leading(siren().float(), 3, method=method)


def test_nothing_is_recorded_and_autocast_does_not_reach_it() -> None:
    gram = siren().float()
    plain = leading(gram, 5, method="block")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = leading(gram.requires_grad_(), 5, method="block")
    assert not found.vectors.requires_grad
    assert torch.equal(found.values, plain.values)


@pytest.mark.parametrize(
    ("gram", "count", "options", "message"),
    [
        (torch.eye(4), 5, {}, "0 to 4 eigenpairs"),
        (torch.eye(4), -1, {}, "0 to 4 eigenpairs"),
        (torch.ones(4, 3), 1, {}, r"square matrices .*\[4, 3\]"),
        (torch.ones(4), 1, {}, "square matrices"),
        (torch.eye(4).half(), 1, {}, "float32 or float64; got torch.float16"),
        (torch.eye(4, dtype=torch.complex64), 1, {}, "float32 or float64"),
        (torch.eye(4), 1, {"method": "lanczos"}, "auto, eigh, block"),
        (torch.eye(4), 1, {"start": torch.ones(3, 2)}, r"start \[..., 4, m\]"),
        (torch.eye(4), 1, {"start": torch.ones(4)}, r"start \[..., 4, m\]"),
    ],
)
def test_what_is_refused(gram: Tensor, count: int, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        leading(gram, count, **options)


def test_the_condition_number_is_the_ratio_of_the_extremes() -> None:
    values = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.25])
    gram = with_spectrum(values)[0]
    assert condition_number(gram) == pytest.approx(32.0)
    assert condition_number(gram, average=2) == pytest.approx(6.0 / 0.375)
    assert condition_number(gram, average=6) == pytest.approx(1.0)
    assert torch.allclose(
        condition_number(torch.stack([gram, 2.0 * gram]).float()), torch.tensor([32.0, 32.0]), rtol=1e-4
    )


def test_the_condition_number_of_a_singular_matrix_is_infinite() -> None:
    gram = with_spectrum(SPECTRA["rank 10"])[0]
    for matrix in (gram, gram.float(), torch.zeros(5, 5), torch.ones(3, 3)):
        assert condition_number(matrix) == float("inf")
    steep = torch.diag(torch.tensor([1.0, 1e-9], dtype=torch.float64))
    assert condition_number(steep) == pytest.approx(1e9)
    assert condition_number(steep, rank_tolerance=1e-8) == float("inf")
    for average in (0, 6):
        with pytest.raises(InputError, match="average from 1 to 5"):
            condition_number(torch.eye(5), average=average)
    with pytest.raises(SpectrumError):
        condition_number(torch.full((3, 3), float("nan")))


def test_alignment_is_equation_9() -> None:
    values = torch.tensor([4.0, 2.0, 1.0, 0.5], dtype=torch.float64)
    gram, vectors = with_spectrum(values)
    errors = vectors @ torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
    found = alignment(gram, errors)
    shares = torch.tensor([1.0, 2.0, 4.0, 9.0], dtype=torch.float64) / 16.0
    assert torch.allclose(found.ratios, values / 4.0)
    assert torch.allclose(found.energies, shares.cumsum(0))
    thresholds = [2.0, 0.9, 0.5 - 1e-9, 0.3, 0.0]
    direct = torch.stack([shares[values / 4.0 >= t].sum() for t in thresholds])
    assert torch.allclose(found.at(thresholds), direct)
    assert torch.allclose(alignment(gram, errors[:, 0]).energies[-1], torch.ones((), dtype=torch.float64))


def test_alignment_does_not_depend_on_the_vectors_of_equal_eigenvalues() -> None:
    errors = torch.randn(6, 2)
    assert torch.allclose(alignment(torch.eye(6), errors).energies, torch.ones(6))
    assert torch.allclose(alignment(torch.eye(6), errors).at([1.0, 1.1]), torch.tensor([1.0, 0.0]))
    assert torch.equal(alignment(torch.zeros(6, 6), errors).ratios, torch.zeros(6))
    gram, vectors = with_spectrum(torch.tensor([1.0, 1.0, 1.0, 0.5, 0.2, 0.1], dtype=torch.float64))
    shares = (vectors.mT @ errors.double()).square().sum(dim=1) / errors.double().square().sum()
    assert torch.allclose(alignment(gram, errors).at([1.0, 0.9]), shares[:3].sum().expand(2))
    assert torch.equal(alignment(torch.eye(6), torch.zeros(6)).energies, torch.zeros(6))
    batched = alignment(torch.stack([torch.eye(6), torch.diag(torch.arange(6.0))]), errors)
    assert batched.at([0.9, 0.1]).shape == (2, 2)
    with pytest.raises(InputError, match=r"errors \[6\] or \[6, C\]"):
        alignment(torch.eye(6), torch.ones(5))


@pytest.mark.parametrize(
    ("cause", "raised"),
    [
        (RuntimeError("cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR"), SpectrumError),
        (torch.OutOfMemoryError("CUDA out of memory: the workspace of cusolver"), torch.OutOfMemoryError),
        (RuntimeError("an illegal memory access"), RuntimeError),
    ],
)
def test_what_a_gpu_raises(monkeypatch: pytest.MonkeyPatch, cause: Exception, raised: type) -> None:
    """The solver's statuses are failures of the problem; the GPU's own are not."""

    def fail(matrix: Tensor) -> tuple[Tensor, Tensor]:
        raise cause

    monkeypatch.setattr("fastsnf.ops.small_eigh", fail)
    with pytest.raises(raised) as caught:
        leading(torch.eye(5), 2)
    assert type(caught.value) is raised


@pytest.mark.parametrize("count", [2.5, "2", None, True])
def test_counts_that_are_no_whole_numbers(count: object) -> None:
    with pytest.raises(InputError, match="expected 0 to 3 eigenpairs of a matrix of order 3; got count="):
        leading(torch.eye(3), count)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected average from 1 to 3, the order of the matrix; got"):
        condition_number(torch.eye(3), average=count)  # type: ignore[arg-type]


def test_lists_are_no_matrices() -> None:
    for call in (lambda m: leading(m, 1), condition_number, lambda m: alignment(m, torch.ones(1))):
        with pytest.raises(InputError, match=r"expected a matrix as a torch\.Tensor; got list"):
            call([[1.0]])
    with pytest.raises(InputError, match=r"expected errors \[2\] or \[2, C\], a row a point; got list"):
        alignment(torch.eye(2), [1.0, 2.0])  # type: ignore[arg-type]

"""NTK spectra against explicit Jacobians in float64, and leading ones against dense ones."""

import json

import pytest
import torch
from torch.func import functional_call, jacrev

from fastsnf.analysis import leading_spectrum, ntk_spectrum
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.ntk import alignment, condition_number, empirical_ntk
from tests.cases import generator, random_points


def field(width=16, outputs=2, **options):
    return SNF(2, outputs, width, 1, generator=generator(3), dtype=torch.float64, **options)


def explicit(module, x):
    """Return J J^T of the sum of outputs over sqrt(C)."""
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    rows = jacrev(lambda p: functional_call(module, p, (x,)).sum(dim=1) / 2**0.5)(parameters)
    j = torch.cat([part.flatten(1) for part in rows.values()], dim=1)
    return j @ j.T


def test_values_condition_and_alignment_are_those_of_an_explicit_jacobian():
    x = random_points(40, 2, dtype=torch.float64, gen=generator(1))
    errors = torch.randn(40, 2, generator=generator(2), dtype=torch.float64)
    found = ntk_spectrum(field(), x, errors)
    gram = explicit(field(), x)
    values = torch.linalg.eigvalsh(gram).flip(0)
    assert torch.allclose(found.values, values, rtol=1e-9, atol=1e-9 * float(values[0]))
    assert found.condition == pytest.approx(float(values[:5].mean() / values[-5:].mean()), rel=1e-8)
    t = [0.5, 0.1, 0.01, 1e-6]
    assert torch.allclose(found.energy_at(t), alignment(gram, errors).at(t), atol=1e-9)
    assert found.condition == pytest.approx(float(condition_number(gram, average=5)), rel=1e-9)


def test_float32_fields_are_solved_in_float64():
    module = SNF(
        2, 1, 16, 1, generator=generator(0), first_omega=1.0, hidden_omega=1.0
    )  # smooth: ill-conditioned
    x = random_points(60, 2, gen=generator(1))
    found = ntk_spectrum(module, x)
    assert found.values.dtype == torch.float64
    assert 1e6 < found.condition < 1e15
    assert ntk_spectrum(module, x, dtype=torch.float32).condition == float("inf")
    assert module.dtype == torch.float32


def test_rows_and_panels():
    x = random_points(12, 2, dtype=torch.float64, gen=generator(1))
    found = ntk_spectrum(field(), x, x)
    row = found.row()
    assert json.loads(json.dumps(row))["points"] == 12
    assert list(row["alignment"]) == ["0.1", "0.01", "0.001", "0.0001"]
    assert "12 points" in found.panels()[0].title


def test_bad_calls_are_refused():
    x = random_points(8, 2, dtype=torch.float64, gen=generator(1))
    with pytest.raises(InputError, match="errors"):
        ntk_spectrum(field(), x, x[:3])
    with pytest.raises(InputError, match="average from 1 to 8"):
        ntk_spectrum(field(), x, average=9)
    with pytest.raises(InputError, match="without"):
        ntk_spectrum(field(), x).energy_at([0.1])
    with pytest.raises(InputError, match="not all 0"):
        leading_spectrum(field(), x, torch.zeros(8))


def test_leading_values_and_alignment_at_all_points_are_the_dense_ones():
    x = random_points(90, 2, dtype=torch.float64, gen=generator(1))
    errors = torch.randn(90, 2, generator=generator(2), dtype=torch.float64)
    gram = empirical_ntk(field(), x)
    exact = torch.linalg.eigvalsh(gram).flip(0)
    few = leading_spectrum(field(), x, steps=30, chunk=37)
    assert torch.allclose(few.values[:3], exact[:3], rtol=1e-8)
    assert bool(((few.values[:, None] - exact).abs().amin(dim=1) <= few.residuals + 1e-9).all())
    whole = leading_spectrum(field(), x, errors, steps=90)  # every step there is: the alignment is exact
    t = [1.0, 0.9, 0.3, 0.1, 0.03, 0.01]
    assert torch.allclose(whole.alignment.at(t), alignment(gram, errors).at(t), atol=1e-6)
    assert len(whole.panels()) == 2
    assert json.loads(json.dumps(whole.row()))["steps"] == 90

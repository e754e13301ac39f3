"""Observers of a fit: when they measure, and what."""

import pytest
import torch

from fastsnf import fit
from fastsnf.analysis import HessianTrace, NtkTrace, data_at, hessian_spectrum, ntk_spectrum, sampled_points
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.signals import synthetic
from tests.cases import generator


def image():
    return synthetic.siemens_star((12, 10), 4)


def test_measurements_are_those_of_the_field_at_their_step(tmp_path):
    field, signal = SNF(2, 1, 8, 1, generator=generator(0)), image()
    ntk, hessian = NtkTrace(30, every=4, average=3), HessianTrace(20, steps=[3], lanczos_steps=8)
    start = ntk_at(field, signal, 30)
    fit(field, signal, steps=10, log_every=2, batch_size="full", callbacks=[ntk, hessian])
    assert ntk.course.steps == (0, 4, 8, 10)
    assert hessian.course.steps == (0, 4, 10)  # the first row of metrics at or after step 3
    assert torch.allclose(ntk.course.values[0], start.values)
    end = ntk_at(field, signal, 30)
    assert torch.allclose(ntk.course.values[-1], end.values)
    t = [0.1, 0.01]
    assert torch.allclose(ntk.course.energies_at(t)[-1], end.energy_at(t))
    x, y, _ = data_at(field, signal, sampled_points(signal, 20))
    assert float(hessian.course.conditions[-1]) == hessian_spectrum(field, x, y, steps=8).condition
    ntk.course.draw(tmp_path / "ntk.png")
    hessian.course.draw(tmp_path / "hessian.png")


def ntk_at(field, signal, count):
    x, y, _ = data_at(field, signal, sampled_points(signal, count))
    with torch.no_grad():
        return ntk_spectrum(field, x, y - field(x), average=3)


def test_observers_change_no_step():
    def trained(*watchers):
        field = SNF(2, 1, 8, 1, generator=generator(0))
        fit(field, image(), steps=4, log_every=1, callbacks=watchers)
        return field(image().coords)

    assert torch.equal(trained(), trained(NtkTrace(10, every=1), HessianTrace(10, every=2, lanczos_steps=6)))


def test_logits_are_compared_as_values():
    trace = NtkTrace(15, every=100, average=2)
    field, signal = SNF(2, 1, 8, 1, generator=generator(0)), image()
    x, y, _ = data_at(field, signal, sampled_points(signal, 15))
    with torch.no_grad():
        before = ntk_spectrum(field, x, y - torch.sigmoid(field(x)), average=2)
    fit(field, signal, steps=1, loss="bce", callbacks=[trace])
    assert torch.allclose(trace.course.spectra[0].energy_at([0.1]), before.energy_at([0.1]))


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="every=N or steps"):
        NtkTrace(10)
    with pytest.raises(InputError, match="at least 1"):
        HessianTrace(10, every=0)

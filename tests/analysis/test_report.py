"""`analyze`: every part on every kind of field, and what is said of those that are missing."""

import json

import pytest
import torch

from fastsnf.analysis import analyze, data_at, hessian_spectrum, ntk_spectrum, sampled_points, signal_spectrum
from fastsnf.errors import InputError
from fastsnf.nn import SNF, make_field
from fastsnf.presets import PRESETS
from fastsnf.signals import Samples, from_metadata, synthetic
from tests.cases import generator

SMALL = {"points": 24, "hessian_points": 20, "hessian_steps": 6, "ntk_steps": 4}
EVERYTHING = ("ntk", "spectrum", "hessian", "layers", "ntk-all")


def image():
    return synthetic.siemens_star((10, 9), 4)


def test_parts_are_those_of_the_functions(tmp_path):
    field, signal = SNF(2, 1, 8, 1, generator=generator(0)), image()
    found = analyze(field, signal, only=EVERYTHING, seed=2, **SMALL)
    x, y, _ = data_at(field, signal, sampled_points(signal, 24, seed=2))
    with torch.no_grad():
        assert torch.equal(found.ntk.values, ntk_spectrum(field, x, y - field(x)).values)
    x, y, _ = data_at(field, signal, sampled_points(signal, 20, seed=2))
    assert torch.equal(found.hessian.values, hessian_spectrum(field, x, y).values)
    assert torch.equal(found.found["spectrum"]["signal"].energies, signal_spectrum(signal).energies)
    assert not found.missing
    assert sorted(found.to_dict()) == sorted([*EVERYTHING, "missing"])
    pictures = found.draw(tmp_path / "new" / "folder")
    assert [path.name for path in pictures] == [f"{part}.png" for part in EVERYTHING]
    assert all(path.exists() for path in pictures)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "snf"])
def test_every_field_has_an_analysis(name):
    smaller = {"low": 2, "high": 2, "phases": 2} if name == "fr" else {}
    field = make_field(
        name, 2, 1, shape=(10, 9), kind="image", hidden_features=6, hidden_layers=1, generator=generator(0),
        **smaller,
    )  # fmt: skip
    before = {key: value.clone() for key, value in field.state_dict().items()}
    found = analyze(field, image(), **SMALL)
    coupled = name == "bn"
    assert list(found.found) == ["ntk", "spectrum", "hessian", "layers"][coupled:]
    assert list(found.missing) == ["ntk"][: int(coupled)]
    assert all("couples its points" in why for why in found.missing.values())
    assert all(torch.equal(value, before[key]) for key, value in field.state_dict().items())
    json.dumps(found.to_dict())


def test_without_targets_what_needs_none_is_left():
    field, signal = SNF(2, 1, 8, 1, generator=generator(0)), image()
    described = analyze(field, from_metadata(signal.metadata()), only=EVERYTHING, **SMALL)
    assert list(described.found) == ["ntk", "spectrum", "layers", "ntk-all"]
    assert "give the file" in described.missing["hessian"]
    assert described.ntk.alignment is None
    alone = analyze(field, **SMALL)
    assert list(alone.found) == ["ntk", "layers"]
    assert sorted(alone.missing) == ["hessian", "spectrum"]


def test_a_line_and_a_volume():
    for shape in ((40,), (4, 5, 6)):
        signal = Samples(shape, 2, torch.rand(torch.Size(shape).numel(), 2, generator=generator(1)))
        found = analyze(SNF(len(shape), 2, 6, 1, generator=generator(0)), signal, **SMALL)
        assert not found.missing
        assert found.found["spectrum"]["field"].radial == (len(shape) > 1)


def test_bad_calls_are_refused(tmp_path):
    field = SNF(2, 1, 4, 1, generator=generator(0))
    with pytest.raises(InputError, match="did you mean 'hessian'"):
        analyze(field, image(), only=["hesian"])
    with pytest.raises(InputError, match="points"):
        analyze(field, image(), points=0)
    with pytest.raises(InputError, match="2 coordinates and 1 channels"):
        analyze(field, Samples((4,), 1, torch.zeros(4, 1)))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="folder for pictures"):
        analyze(field, image(), only="ntk", **SMALL).draw(tmp_path / "file" / "x")


def test_a_grid_of_other_bounds_is_analysed_where_it_is(monkeypatch):
    from fastsnf.analysis import function_spectrum
    from fastsnf.analysis.report import SPECTRUM_POINTS
    from fastsnf.signals import Occupancy, from_metadata

    solid = Occupancy.from_function(
        lambda x: x.norm(dim=1) < 0.3, (6, 5, 7), bounds=[(-0.5, 0.5), (0.0, 0.4), (-1.0, 1.0)], axes="xy"
    )
    field = SNF(3, 1, 6, 1, generator=generator(0))
    found = analyze(field, solid, only=["spectrum", "ntk"], points=20)
    assert found.missing == {}
    direct = function_spectrum(field(solid.coords).detach().reshape(6, 5, 7, 1))
    spectrum = found.found["spectrum"]
    torch.testing.assert_close(spectrum["field"].amplitudes, direct.amplitudes, equal_nan=True)
    assert set(spectrum) == {"field", "signal"}

    described = from_metadata(solid.metadata())
    without = analyze(field, described, only=["spectrum", "ntk"], points=20)
    torch.testing.assert_close(
        without.found["spectrum"]["field"].amplitudes, direct.amplitudes, equal_nan=True
    )
    assert set(without.found["spectrum"]) == {"field"}
    torch.testing.assert_close(without.ntk.values, found.ntk.values)
    assert SPECTRUM_POINTS >= 512 * 512
    monkeypatch.setattr("fastsnf.analysis.report.SPECTRUM_POINTS", 200)
    assert "at most 200 points" in analyze(field, solid, only=["spectrum"]).missing["spectrum"]


def test_scattered_points_have_no_spectrum_and_the_rest():
    from fastsnf.signals import PointCloud

    places = torch.rand(40, 3, generator=generator(1))
    cloud = PointCloud.from_arrays(places, places.sum(dim=1, keepdim=True))
    found = analyze(SNF(3, 1, 6, 1, generator=generator(0)), cloud, points=20, hessian_points=20)
    assert set(found.missing) == {"spectrum"}
    assert "scattered" in found.missing["spectrum"]

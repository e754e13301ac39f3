"""Settings of studies: what they refuse, what text becomes, and that every study has its own."""

from dataclasses import fields

import pytest

from fastsnf.errors import InputError
from fastsnf.studies.iga.config import GroupsSettings, ImageSettings, LineSettings, ToySettings
from fastsnf.studies.registry import STUDIES, entry, settings_of, study_of
from fastsnf.studies.settings import Option, Settings


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_settings_with_the_papers_defaults_and_a_class(name):
    settings = settings_of(name)()
    assert isinstance(settings, Settings)
    assert settings.__doc__
    assert study_of(name).name == name
    for field in fields(settings):
        option = field.metadata["option"]
        assert option.help.endswith(".")
        value = getattr(settings, field.name)
        if option.kind is not bool and value is not None:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            assert option.parse(field.name, text) == value


def test_an_unknown_study_names_the_nearest():
    with pytest.raises(InputError, match=r"did you mean 'iga-toy'"):
        entry("iga-tpy")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: ToySettings(steps=0), "steps to be at least 1; got 0"),
        (lambda: ToySettings(steps=1.5), "whole number; got 1.5"),
        (lambda: ToySettings(steps=True), "whole number; got True"),
        (lambda: ToySettings(lr=0.0), "lr to be above 0"),
        (lambda: ToySettings(lr=float("nan")), "finite number; got nan"),
        (lambda: ToySettings(widths=()), "tuple of at least one value"),
        (lambda: ToySettings(widths=[8]), r"tuple of at least one value; got \[8\]"),
        (lambda: ToySettings(widths=(8, 8)), "without repetition"),
        (lambda: ToySettings(methods=("S", "T")), "methods to be one of I, S, S~, S~e; got 'T'"),
        (lambda: ToySettings(points=100), "whole groups; got 100 points in groups of 8"),
        (lambda: ToySettings(points=64, group=8, ends=(9,)), "at most the 8 groups; got 9"),
        (lambda: LineSettings(points=32, groups=(8,), balanced=(5,)), "at most 4 balanced eigenvalues"),
        (lambda: LineSettings(models=("pe",)), "models to be one of siren, relu"),
        (lambda: ImageSettings(sample="max"), "did you mean"),
        (lambda: ImageSettings(size="96"), "size of two positive whole numbers"),
        (lambda: ImageSettings(same_lr=1), "same_lr to be a bool; got 1"),
        (lambda: GroupsSettings(groups=(0,)), "at least 1; got 0"),
    ],
)
def test_a_wrong_setting_is_refused(made, said):
    with pytest.raises(InputError, match=said):
        made()


def test_text_becomes_values():
    whole = Option("", "N", int, many=True)
    assert whole.parse("n", "1024, 2e3") == (1024, 2000)
    assert Option("", "LR", float).parse("lr", "5e-5") == 5e-5
    assert Option("", "NAME", str, many=True).parse("m", "relu,siren") == ("relu", "siren")
    with pytest.raises(InputError, match="n as a number; got 'x'"):
        whole.parse("n", "1,x")
    with pytest.raises(InputError, match="at least one value"):
        whole.check("n", whole.parse("n", ","))
    with pytest.raises(InputError, match=r"whole number; got 1\.5"):
        whole.check("n", whole.parse("n", "1.5"))

"""The presets as data: names, widths, frequencies and the settings of the papers."""

from __future__ import annotations

import math

import pytest

from fastsnf.encodings import FourierFeatures, Positional
from fastsnf.errors import InputError
from fastsnf.presets import PRESETS, make_encoding, nyquist, preset_called, resolve
from fastsnf.spec import ACTIVATIONS, Sine

NAMES = [
    *("snf", "relu-pe", "ffn", "gauss", "wire", "wire2d", "sinc"),
    *("mfn-fourier", "mfn-gabor", "finer", "fr", "bn"),
]


def test_the_presets_are_those_of_the_command_line() -> None:
    assert list(PRESETS) == NAMES
    assert all(preset.name == name and preset.title and preset.source for name, preset in PRESETS.items())


def test_a_preset_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["wire"].arguments["scale"] = 1.0  # type: ignore[index]


def test_an_unknown_name_shows_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'finer'"):
        preset_called("finner")
    assert preset_called("mfn_gabor") is PRESETS["mfn-gabor"]


def test_activations_of_presets_exist() -> None:
    named = [
        preset.arguments["activation"] for preset in PRESETS.values() if "activation" in preset.arguments
    ]
    assert set(named) <= set(ACTIVATIONS)


@pytest.mark.parametrize("n", [*range(8, 40), 255, 256, 257, 511, 512, 768, 4096, 308_207])
def test_frequencies_follow_the_published_rule(n: int) -> None:
    # oracle: get_num_frequencies_nyquist of siren/modules.py and wire/modules/relu.py
    published = math.floor(math.log2(1.0 / (2.0 * (2.0 * 1.0 / n))))
    assert nyquist(1, (n,)) == published
    assert nyquist(2, (n, n + 5)) == nyquist(2, (n + 5, n)) == published


def test_frequencies_of_other_signals() -> None:
    assert (nyquist(2, (256, 256)), nyquist(2, (512, 512)), nyquist(1, (308_207,))) == (6, 7, 16)
    assert nyquist(3, (512, 512, 512)) == nyquist(3, (9,)) == 10
    assert nyquist(4, (9, 9, 9, 9)) == 4
    assert nyquist(2, (1, 1)) == nyquist(1, (7,)) == 1
    assert nyquist(2, None) == 10
    assert nyquist(2, (65_536,)) == nyquist(2, (256, 256))  # scattered points


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [  # Yeom et al. 2025, Table 2
        ("image", "snf", {"first_omega": 30.0, "alpha": 2.37}),
        ("occupancy", "snf", {"first_omega": 10.0, "hidden_omega": 10.0, "alpha": 3.7}),
        ("sphere", "snf", {"first_omega": 30.0, "alpha": 2.5}),
        ("audio", "snf", {"first_omega": 3000.0, "hidden_omega": 30.0, "alpha": 2.0}),
        ("image", "relu-pe", {"encoding": Positional(10)}),
        ("audio", "relu-pe", {"encoding": Positional(16)}),
        ("image", "ffn", {"encoding": FourierFeatures(256, 10.0)}),
        ("occupancy", "ffn", {"encoding": FourierFeatures(10, 2.0)}),
        ("sphere", "ffn", {"encoding": FourierFeatures(256, 2.0)}),
        ("audio", "ffn", {"encoding": FourierFeatures(20, 20.0)}),
        ("image", "gauss", {"scale": 10.0}),
        ("occupancy", "gauss", {"scale": 10.0}),
        ("audio", "gauss", {"scale": 100.0}),
        ("image", "wire", {"first_omega": 20.0, "hidden_omega": 20.0, "scale": 10.0}),
        ("occupancy", "wire", {"first_omega": 10.0, "hidden_omega": 10.0, "scale": 40.0}),
        ("sphere", "wire", {"first_omega": 10.0, "hidden_omega": 10.0, "scale": 20.0}),
        ("audio", "wire", {"first_omega": 60.0, "hidden_omega": 60.0, "scale": 10.0}),
    ],
)
def test_settings_by_kind_are_those_of_the_paper(kind: str, name: str, expected: dict[str, object]) -> None:
    axes = {"image": (512, 512), "audio": (308_207,)}.get(kind, (64, 64, 64))
    made = resolve(PRESETS[name], len(axes), shape=axes, kind=kind)
    assert {key: made[key] for key in expected} == expected


def test_signals_take_their_defaults_from_the_preset() -> None:
    from fastsnf.signals.kinds import FieldDefaults

    audio = FieldDefaults.of("audio")
    assert (audio.alpha, audio.first_omega, audio.hidden_omega) == (2.0, 3000.0, 30.0)
    assert FieldDefaults.of("image") == FieldDefaults()


def test_the_width_of_complex_fields_is_wires() -> None:
    assert resolve(PRESETS["wire"], 2)["hidden_features"] == 181  # int(256 / sqrt 2)
    assert resolve(PRESETS["wire"], 2, hidden_features=512)["hidden_features"] == 362
    assert resolve(PRESETS["wire"], 2, hidden_features=1)["hidden_features"] == 1
    assert resolve(PRESETS["gauss"], 2, hidden_features=512)["hidden_features"] == 512


def test_another_activation_drops_what_belongs_to_the_presets() -> None:
    made = resolve(PRESETS["wire"], 2, activation="sine", hidden_omega=5.0)
    assert made == {"activation": "sine", "hidden_omega": 5.0, "hidden_features": 256}
    same = resolve(PRESETS["wire"], 2, activation="gabor", hidden_omega=5.0)
    assert (same["first_omega"], same["hidden_omega"], same["hidden_features"]) == (20.0, 5.0, 181)
    spec = resolve(PRESETS["snf"], 2, activation=Sine(7.0), kind="audio")
    assert spec == {"activation": Sine(7.0), "alpha": 2.0, "hidden_features": 256}


def test_encodings_override_and_drop() -> None:
    def encoding(preset: str, **given: object) -> object:
        return resolve(PRESETS[preset], 2, shape=(512, 512), **given).get("encoding")  # type: ignore[arg-type]

    assert encoding("relu-pe") == Positional(7)
    assert encoding("relu-pe", kind="image") == Positional(10)
    assert encoding("relu-pe", kind="image", frequencies=5) == Positional(5)
    assert encoding("relu-pe", kind="image", encoding="fourier", sigma=3.0) == FourierFeatures(256, 3.0)
    assert encoding("ffn", encoding="positional") == Positional(7)
    assert encoding("ffn", encoding="none") is None
    assert encoding("ffn", encoding=Positional(3)) == Positional(3)
    assert encoding("wire", encoding="positional", frequencies=2) == Positional(2)
    assert encoding("wire") is None


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("none", {"frequencies": 5}, "expected no frequencies with no encoding"),
        (None, {"frequencies": 5, "sigma": 2.0}, "no frequencies and no sigma"),
        ("positional", {"sigma": 2.0}, "expected no sigma with the encoding positional"),
        (Positional(4), {"frequencies": 5}, r"the encoding Positional\(4\); got frequencies=5"),
        ("fourrier", {}, "did you mean 'fourier'"),
        ("positional", {"frequencies": 99}, "from 1 to 32"),
        ("fourier", {"sigma": -1.0}, "a positive number"),
    ],
)
def test_parameters_that_an_encoding_does_not_have(name, parameters, said) -> None:
    with pytest.raises(InputError, match=said):
        make_encoding(name, 2, (9, 9), **parameters)


def test_encodings_print_what_makes_them() -> None:
    assert str(Positional(6)) == "Positional(6)"
    assert str(Positional(6, include_input=False)) == "Positional(6, include_input=False)"
    assert str(FourierFeatures(20, 20.0)) == "FourierFeatures(20, sigma=20.0)"

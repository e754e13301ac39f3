"""The published fields by name: what each is made of, and the settings its authors or its rivals used.

A preset is data: constructor arguments of a class of `fastsnf.nn`, what changes with the kind of signal, and
how it was trained. `fastsnf.nn.make_field` builds the field; explicit arguments override the preset. Nothing
heavy is imported here, so that the command line reads it at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fastsnf.encodings import ENCODINGS, Encoding, FourierFeatures, Positional
from fastsnf.errors import InputError, unknown

Arguments = Mapping[str, Any]

HIDDEN_FEATURES = 256
"""The width F that a preset starts from; the width of the field follows by `Preset.width`."""

NONE = "none"
"""The name of no encoding."""

OF_ACTIVATION = ("first_omega", "hidden_omega", "scale", "first_bias", "init", "factor")
"""Settings of a preset that belong to its activation: another activation drops them."""

WIDTHS = {"real": 1.0, "complex": math.sqrt(2.0)}
"""What the width F is divided by: complex features count double, so that fields of one F are as large."""


@dataclass(frozen=True)
class Preset:
    """A published field.

    Attributes:
        name: on the command line. title: for people.
        cls: the class, by its name in `fastsnf.nn.FIELDS`.
        arguments: of its constructor; ``encoding`` is a name of `ENCODINGS`, with ``frequencies`` and
            ``sigma`` beside it.
        kinds: what replaces them for a kind of signal (``"image"``, ``"audio"``, ``"occupancy"``,
            ``"volume"``, ``"sphere"``).
        width: the key of `WIDTHS` by which F becomes the number of features of a layer.
        training: how it was trained, where a source says so; information, which `fit` does not read.
        source: where the settings come from.
    """

    name: str
    title: str
    cls: str
    arguments: Arguments
    kinds: Mapping[str, Arguments] = field(default_factory=dict)
    width: str = "real"
    training: Arguments = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("arguments", "kinds", "training"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def features(self, hidden_features: int) -> int:
        """Return the `hidden_features` of the class for the width F: ``int(F / sqrt 2)`` in WIRE.

        Complex features have two numbers: by this rule, WIRE's own, fields of one F have about as many
        parameters (133,403 and 133,123 for F = 256 from 2 coordinates to 3 channels with 2 hidden layers).
        `fastsnf.nn.Wire2d` halves F itself, as the original.
        """
        return max(1, int(hidden_features / WIDTHS[self.width]))


_FAST = "Yeom et al. 2025 (weight scaling), Table 2"

_LISTED = (
    Preset(
        "snf",
        "SIREN, its initial weights scaled",
        "snf",
        {"activation": "sine", "first_omega": 30.0, "hidden_omega": 30.0, "alpha": 2.37},
        kinds={
            "occupancy": {"first_omega": 10.0, "hidden_omega": 10.0, "alpha": 3.7},
            "sphere": {"alpha": 2.5},
            "volume": {"alpha": 2.5},
            "audio": {"first_omega": 3000.0, "hidden_omega": 30.0, "alpha": 2.0},
        },
        training={"optimizer": "adam", "lr": 1e-4},
        source=_FAST,
    ),
    Preset(
        "relu-pe",
        "ReLU behind a positional encoding",
        "snf",
        # WIRE's and IGA's code start the layers as PyTorch does; SIREN's code has kaiming-normal
        {"activation": "relu", "encoding": "positional", "init": "default"},
        kinds={"image": {"frequencies": 10}},
        training={"optimizer": "adam", "lr": 1e-4},
        source=f"Mildenhall et al. 2020; wire/modules/relu.py; frequencies of images: {_FAST}",
    ),
    Preset(
        "ffn",
        "ReLU behind Fourier features",
        "snf",
        {
            "activation": "relu",
            "encoding": "fourier",
            "frequencies": 256,
            "sigma": 10.0,
            "init": "xavier-normal",
            "bias_init": "zero",
        },
        kinds={
            "occupancy": {"sigma": 2.0, "frequencies": 10},
            "sphere": {"sigma": 2.0},
            "audio": {"sigma": 20.0, "frequencies": 20},
        },
        training={"optimizer": "adam", "lr": 1e-4},
        source=f"Tancik et al. 2020, Demo.ipynb; per kind: {_FAST}",
    ),
    Preset(
        "gauss",
        "GaussNet",
        "snf",
        {"activation": "gaussian", "scale": 10.0, "init": "default"},
        kinds={"audio": {"scale": 100.0}},
        training={"optimizer": "adam", "lr": 5e-3},
        source=f"Ramasinghe & Lucey 2022 in the form of wire/modules/gauss.py; {_FAST}",
    ),
    Preset(
        "wire",
        "WIRE: complex Gabor wavelets",
        "snf",
        {
            "activation": "gabor",
            "first_omega": 20.0,
            "hidden_omega": 20.0,
            "scale": 10.0,
            "init": "default",
        },
        kinds={
            "occupancy": {"first_omega": 10.0, "hidden_omega": 10.0, "scale": 40.0},
            "sphere": {"first_omega": 10.0, "hidden_omega": 10.0, "scale": 20.0},
            "audio": {"first_omega": 60.0, "hidden_omega": 60.0, "scale": 10.0},
        },
        width="complex",
        training={"optimizer": "adam", "lr": 5e-3, "schedule": "exponential:0.1"},
        source=f"Saragadam et al. 2023, modules/wire.py; {_FAST}",
    ),
    Preset(
        "wire2d",
        "WIRE with wavelets of two dimensions",
        "wire2d",
        {"first_omega": 20.0, "hidden_omega": 20.0, "scale": 10.0},
        training={"optimizer": "adam", "lr": 5e-3, "schedule": "exponential:0.1"},
        source="Saragadam et al. 2023, modules/wire2d.py; omega and scale as in wire",
    ),
    Preset(
        "sinc",
        "sinc field",
        "snf",
        # torch.sinc(8 u) = sin(8 pi u) / (8 pi u)
        {
            "activation": "sinc",
            "first_omega": 8.0 * math.pi,
            "hidden_omega": 8.0 * math.pi,
            "init": "default",
        },
        training={"optimizer": "adam", "lr": 1e-4},
        source="the code of Yeom et al. 2025 (weight_scaling.py)",
    ),
    Preset(
        "mfn-fourier",
        "multiplicative filter network, Fourier filters",
        "mfn",
        {"filters": "fourier", "input_scale": 256.0, "weight_scale": 1.0},
        training={"optimizer": "adam", "lr": 1e-2},
        source="Fathony et al. 2021, mfn/mfn.py",
    ),
    Preset(
        "mfn-gabor",
        "multiplicative filter network, Gabor filters",
        "mfn",
        {"filters": "gabor", "input_scale": 256.0, "weight_scale": 1.0, "alpha": 6.0, "beta": 1.0},
        training={"optimizer": "adam", "lr": 1e-2},
        source="Fathony et al. 2021, mfn/mfn.py",
    ),
    Preset(
        "finer",
        "FINER: sine of variable period",
        "snf",
        {"activation": "finer", "first_omega": 30.0, "hidden_omega": 30.0, "init": "siren"},
        training={"optimizer": "adam", "lr": 5e-4, "schedule": "exponential:0.1"},
        source="Liu et al. 2024, models.py; first bias of width k: first_bias=k, which its images leave out",
    ),
    Preset(
        "fr",
        "Fourier reparameterized SIREN",
        "fr",
        {
            "activation": "sine",
            "first_omega": 30.0,
            "hidden_omega": 30.0,
            "low": 128,
            "high": 128,
            "phases": 32,
            "factor": 0.01,
        },
        kinds={
            kind: {"low": 256, "high": 256, "phases": 8, "factor": 0.001}
            for kind in ("occupancy", "volume", "sphere")
        },
        training={"optimizer": "adam", "lr": 1e-4},
        source="Shi et al. 2024 (FR-INR), modules.py",
    ),
    Preset(
        "bn",
        "batch-normalised ReLU behind a positional encoding",
        "normalized",
        {"activation": "relu", "encoding": "positional", "frequencies": 10, "norm": "batch"},
        training={"optimizer": "adam", "lr": 1e-2},
        source="Cai et al. 2024 (Norm-INR)",
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _LISTED}
"""Every preset by the name that ``fastsnf fit --field`` takes."""


def preset_called(name: str | Preset) -> Preset:
    """Return the preset called `name`, or `name` itself where it is one.

    Raises:
        InputError: for a name that is no preset's, with the nearest.
    """
    if isinstance(name, Preset):
        return name
    key = str(name).replace("_", "-")
    if key not in PRESETS:
        raise unknown("the field", name, PRESETS)
    return PRESETS[key]


def resolve(
    preset: Preset,
    in_features: int,
    *,
    shape: Sequence[int] | None = None,
    kind: str | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Return the constructor arguments of a preset: its own, those of a kind of signal, then those given.

    Args:
        preset: which.
        in_features: D.
        shape: of the signal's grid, from which `nyquist` takes the frequencies where none are set.
        kind: of the signal, which has settings of its own in some presets.
        given: arguments of the constructor, None for "not given". `encoding` takes an `Encoding`, a name of
            `ENCODINGS` or ``"none"``, with `frequencies`, `sigma`, `unit`, `include_input` and `factor`
            (radians; ``encoding_factor``) of it.

    Another `activation` than the preset's drops what belongs to the old one (`OF_ACTIVATION`, and the rule
    for the width), another `encoding` its frequencies and sigma.

    Raises:
        InputError: for parameters of an encoding that the field does not have.
    """
    given = {name: value for name, value in given.items() if value is not None}
    merged = {**preset.arguments, **preset.kinds.get(kind or "", {})}
    width = given.get("hidden_features", HIDDEN_FEATURES)
    if "activation" in given and given["activation"] != merged.get("activation"):
        merged = {name: value for name, value in merged.items() if name not in OF_ACTIVATION}
    elif isinstance(width, int) and width > 0 and width is not True:
        width = preset.features(width)
    encoding = given.pop("encoding", merged.get("encoding"))
    if encoding != merged.get("encoding"):
        merged = {name: value for name, value in merged.items() if name not in ("frequencies", "sigma")}
    merged = {**merged, **given, "hidden_features": width}
    parameters = {name: merged.pop(name) for name in ("frequencies", "sigma") if name in merged}
    merged.pop("encoding", None)
    made = make_encoding(encoding, in_features, shape, **parameters)
    return merged if made is None else {**merged, "encoding": made}


def make_encoding(
    name: Encoding | str | None, in_features: int, shape: Sequence[int] | None = None, **parameters: Any
) -> Encoding | None:
    """Return the encoding called `name` with the parameters that are given; None for ``"none"``.

    Positional encoding without `frequencies` takes those of `nyquist`.

    Raises:
        InputError: for an unknown name, or a parameter that the encoding does not have.
    """
    if isinstance(name, Encoding) or name in (None, NONE):
        if parameters:
            has = "no encoding" if name in (None, NONE) else f"the encoding {name}"
            raise InputError(
                f"expected no {' and no '.join(parameters)} with {has}; got "
                f"{', '.join(f'{key}={value}' for key, value in parameters.items())}: name an encoding, "
                f"{' or '.join(ENCODINGS)}, or drop it"
            )
        return None if name is None or name == NONE else name  # type: ignore[return-value]
    if name == Positional.name:
        if "sigma" in parameters:
            raise InputError(
                f"expected no sigma with the encoding {name}, which has only frequencies; "
                f"got {parameters['sigma']}: choose {FourierFeatures.name} or drop it"
            )
        return Positional(**{"frequencies": nyquist(in_features, shape), **parameters})
    if name == FourierFeatures.name:
        return FourierFeatures(**parameters)
    raise unknown("the encoding", name, (NONE, *ENCODINGS))


def nyquist(in_features: int, shape: Sequence[int] | None = None) -> int:
    """Return the frequencies K of a positional encoding by the rule of SIREN's and WIRE's code.

    3 coordinates: 10. 1 or 2: ``floor(log2(n / 4))``, at least 1, for the shorter side or the number of
    samples n, so that the last octave stays below the signal's Nyquist frequency. More coordinates: 4.

    Args:
        in_features: D. shape: of the grid; None where there is none, which gives 10.
    """
    if in_features == 3 or not shape:
        return 10
    if in_features > 3:
        return 4
    # scattered points: the side of a grid of as many
    side = min(shape) if len(shape) == in_features else int(math.prod(shape) ** (1.0 / in_features))
    return max(1, min(32, (side // 4).bit_length() - 1))

"""From a preset and what the user chose to the arguments of a field's constructor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastsnf.encodings import ENCODINGS, Encoding, FourierFeatures, Positional
from fastsnf.errors import InputError, unknown
from fastsnf.presets.preset import Preset
from fastsnf.presets.published import PRESETS

HIDDEN_FEATURES = 256
"""The width F that a preset starts from; the width of the field follows by `Preset.width`."""

NONE = "none"
"""The name of no encoding."""

OF_ACTIVATION = ("first_omega", "hidden_omega", "scale", "first_bias", "init", "factor")
"""Settings of a preset that belong to its activation: another activation drops them."""


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
            `ENCODINGS` or ``"none"``, with `frequencies` and `sigma` beside a name.

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

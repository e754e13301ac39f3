"""`make_field`: a published field by its name."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from fastsnf.errors import InputError
from fastsnf.nn.field import FIELDS, Field
from fastsnf.nn.linear import Device
from fastsnf.presets import Preset, preset_called, resolve


def make_field(
    preset: str | Preset,
    in_features: int,
    out_features: int,
    *,
    shape: Sequence[int] | None = None,
    kind: str | None = None,
    generator: torch.Generator | None = None,
    device: Device = None,
    dtype: torch.dtype | None = None,
    **overrides: Any,
) -> Field:
    """Return the field of a preset, such as ``make_field("wire", 2, 3)``.

    Args:
        preset: a name of `fastsnf.presets.PRESETS`, or a preset.
        in_features: coordinate dimensions D.
        out_features: output channels C.
        shape: of the signal's grid: sets the frequencies of a positional encoding (`presets.nyquist`).
        kind: of the signal (``"image"``, ``"audio"``, ...): takes what the preset has for it.
        generator: the source of the initial parameters; None for torch's global one.
        device, dtype: of the parameters.
        overrides: arguments of the field's class in place of the preset's, None for "as the preset";
            `hidden_features` is the width F of a real field, to which `Preset.features` fits a complex one;
            `encoding` may be a name, with `frequencies` and `sigma` beside it.

    Raises:
        InputError: for an unknown preset, an argument that its class does not take, or a bad value.
    """
    chosen = preset_called(preset)
    arguments = resolve(chosen, in_features, shape=shape, kind=kind, **overrides)
    taken = parameters(chosen)
    for name in arguments:
        if name not in taken:
            raise InputError(
                f"expected arguments of the field {chosen.name}: {', '.join(sorted(taken))}; got {name}: "
                "drop it"
            )
    cls = FIELDS[chosen.cls]
    return cls(in_features, out_features, **arguments, generator=generator, device=device, dtype=dtype)  # type: ignore[call-arg]


def parameters(preset: str | Preset) -> frozenset[str]:
    """Return the names that `make_field` takes as overrides for a preset."""
    names = set(inspect.signature(FIELDS[preset_called(preset).cls]).parameters)
    return frozenset(names - {"in_features", "out_features", "generator", "device", "dtype"})

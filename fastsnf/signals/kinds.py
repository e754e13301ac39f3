"""Signal kinds by file suffix, and the field defaults of each kind. Imports neither torch nor numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from fastsnf.errors import InputError, unknown
from fastsnf.presets import PRESETS


@dataclass(frozen=True)
class FieldDefaults:
    """What a field of a kind of signal starts from when the user says nothing.

    `alpha` is the weight-scaling factor (Fast Neural Fields, Table 2); the omegas are those of sine layers.
    They are those of the preset ``snf``, which holds them for every field.
    """

    alpha: float = 2.37
    first_omega: float = 30.0
    hidden_omega: float = 30.0

    @classmethod
    def of(cls, kind: str) -> FieldDefaults:
        """Return the defaults of a kind of signal."""
        preset = PRESETS["snf"]
        values = {**preset.arguments, **preset.kinds.get(kind, {})}
        return cls(**{name: values[name] for name in ("alpha", "first_omega", "hidden_omega")})


DEFAULTS: dict[str, FieldDefaults] = {kind: FieldDefaults.of(kind) for kind in ("image", "samples")}
"""Field defaults of the kinds that this version fits."""

FILE_KINDS: dict[str, tuple[str, ...]] = {
    "image": (".png", ".jpg", ".jpeg", ".tif", ".tiff"),
    "audio": (".wav", ".flac"),
    "occupancy": (".obj", ".ply", ".stl", ".off", ".glb"),
    "volume": (".npy", ".npz", ".mat", ".zarr", ".h5", ".nrrd"),
    "sphere": (".nc", ".grib"),
}
"""Every suffix with a meaning, by the kind of signal it holds."""

READABLE: tuple[str, ...] = ("image",)
"""The kinds of `FILE_KINDS` that this version reads."""


def kind_of(path: PurePath | str, kind: str | None = None) -> str:
    """Return the kind of signal in the file `path`: `kind` itself, or else by the suffix.

    Raises `InputError` for a kind or a suffix that this version does not read, listing those it does.
    """
    if kind is not None:
        if kind not in FILE_KINDS:
            raise unknown("the signal kind", kind, READABLE)
        if kind not in READABLE:
            raise InputError(f"expected a signal that this version reads: {_readable()}; got kind {kind!r}")
        return kind
    suffix = PurePath(path).suffix.lower()
    found = next((name for name, suffixes in FILE_KINDS.items() if suffix in suffixes), None)
    if found in READABLE:
        return found
    meaning = f" ({found})" if found else ""
    advice = "convert it" if found else f"convert it, or say what it holds with kind={READABLE[0]!r}"
    raise InputError(
        f"expected a file that this version reads: {_readable()}; got {str(path)!r}{meaning}; {advice}"
    )


def _readable() -> str:
    return ", ".join(f"{kind} ({' '.join(FILE_KINDS[kind])})" for kind in READABLE)

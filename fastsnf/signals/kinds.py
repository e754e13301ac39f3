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


KINDS: dict[str, str] = {
    "image": "image:Image",
    "audio": "audio:Audio",
    "occupancy": "occupancy:Occupancy",
    "volume": "volume:Volume",
    "sphere": "sphere:Sphere",
    "video": "video:Video",
    "points": "point_cloud:PointCloud",
    "sdf": "sdf:SignedDistance",
    "super-resolution": "super_resolution:SuperResolution",
    "samples": "samples:Samples",
}
"""Every kind of signal and its class, as ``module:name`` within `fastsnf.signals`."""

DEFAULTS: dict[str, FieldDefaults] = {kind: FieldDefaults.of(kind) for kind in KINDS}
"""Field defaults of every kind."""

ARRAYS = (".npy", ".npz", ".mat", ".zarr", ".h5", ".hdf5", ".nrrd", ".zip")
"""Suffixes of arrays, which hold an occupancy grid or a volume: their content decides. A zip has one file."""

MESHES = (".obj", ".ply", ".stl", ".off", ".glb")
"""Suffixes of meshes that are read."""

FILE_KINDS: dict[str, tuple[str, ...]] = {
    "image": (".png", ".jpg", ".jpeg", ".tif", ".tiff"),
    "audio": (".wav", ".flac"),
    "occupancy": (*MESHES, *ARRAYS),
    "volume": ARRAYS,
    "sphere": (".nc", ".grib", ".grib2", ".grb"),
    "video": (".mp4", ".mkv", ".mov", ".webm", ".avi"),
}
"""The suffixes that say a kind of signal; the other kinds have to be asked for by name."""


def kind_of(path: PurePath | str, kind: str | None = None) -> str:
    """Return the kind of signal in the file `path`: `kind` itself, or else by the suffix.

    For a file of an array (`ARRAYS`) it is ``volume``, whose reader sees whether it is an occupancy grid.

    Raises `InputError` for a kind or a suffix that is not known, listing those that are.
    """
    if kind is not None:
        if kind not in FROM_FILES:
            raise unknown("the signal kind", kind, FROM_FILES)
        return kind
    suffix = PurePath(path).suffix.lower()
    if suffix in ARRAYS:
        return "volume"
    found = next((name for name, suffixes in FILE_KINDS.items() if suffix in suffixes), None)
    if found is None:
        raise InputError(
            f"expected a file whose suffix says what it holds: {_readable()}; got {str(path)!r}; "
            "convert it, or say what it holds with kind='image' and the like"
        )
    return found


FROM_FILES: tuple[str, ...] = tuple(kind for kind in KINDS if kind != "samples")
"""The kinds that a file can be opened as."""


def _readable() -> str:
    return ", ".join(f"{kind} ({' '.join(suffixes)})" for kind, suffixes in FILE_KINDS.items())

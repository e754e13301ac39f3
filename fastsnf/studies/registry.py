"""The studies by name. No torch here: the command line lists them before anything heavy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from fastsnf.errors import unknown


@dataclass(frozen=True)
class Entry:
    """A study: one line about it, and where its settings and its class are, as ``module:name``."""

    line: str
    settings: str
    study: str


def _iga(line: str, settings: str, study: str) -> Entry:
    return Entry(line, f"fastsnf.studies.iga.config:{settings}", f"fastsnf.studies.iga.{study}")


STUDIES: dict[str, Entry] = {
    "iga-toy": _iga(
        "IGA, Experiment 1 (Fig. 1): NTK, empirical NTK and groups of 8 approach each other with width",
        "ToySettings",
        "toy:Toy",
    ),
    "iga-1d": _iga(
        "IGA, Experiment 2 (Fig. 2, 3): spectral errors against the number of balanced eigenvalues",
        "LineSettings",
        "line:Line",
    ),
    "iga-image": _iga(
        "IGA, Table 1: Kodak images with and without IGA, SIREN, ReLU and PE (needs --data)",
        "ImageSettings",
        "image:Images",
    ),
    "iga-groups": _iga(
        "IGA, Table 5: PSNR and time against the size of the groups (needs --data)",
        "GroupsSettings",
        "ablations:GroupSizes",
    ),
    "iga-sampling": _iga(
        "IGA, Table 4: which point stands for its group (needs --data)",
        "SamplingSettings",
        "ablations:SamplePoints",
    ),
}
"""Every study by the name that ``fastsnf reproduce`` takes."""


def settings_of(name: str) -> Any:
    """Return the class of a study's settings.

    Raises:
        InputError: for a name that is no study's.
    """
    return _resolve(entry(name).settings)


def study_of(name: str) -> Any:
    """Return the class of a study."""
    return _resolve(entry(name).study)


def entry(name: str) -> Entry:
    """Return the entry of a study."""
    if name not in STUDIES:
        raise unknown("the study", name, STUDIES)
    return STUDIES[name]


def _resolve(home: str) -> Any:
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)

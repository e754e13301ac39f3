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


def _nfsl(line: str, settings: str, study: str) -> Entry:
    return Entry(line, f"fastsnf.studies.nfsl.config:{settings}", f"fastsnf.studies.nfsl.{study}")


def _vi3nr(line: str, settings: str, study: str) -> Entry:
    return Entry(line, f"fastsnf.studies.vi3nr.config:{settings}", f"fastsnf.studies.vi3nr.{study}")


def _ws(line: str, settings: str, study: str) -> Entry:
    return Entry(line, f"fastsnf.studies.ws.config:{settings}", f"fastsnf.studies.ws.{study}")


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
        "IGA, Table 1: Kodak images with and without IGA and its rivals, SIREN, ReLU and PE (needs --data)",
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
    "iga-occupancy": _iga(
        "IGA, Tables 2 and 9: occupancy grids with and without IGA and its rivals (needs --data)",
        "OccupancySettings",
        "occupancy:OccupancyFields",
    ),
    "nfsl-images": _nfsl(
        "NFSL, Fig. 1: Gaussian networks from each initializer (needs --data)",
        "ImagesSettings",
        "images:Images",
    ),
    "nfsl-scaling": _nfsl(
        "NFSL, Fig. 3, 4: parameters needed against samples (all but the curve need --data)",
        "ScalingSettings",
        "scaling:Scaling",
    ),
    "nfsl-occupancy": _nfsl(
        "NFSL, Table 1, Fig. 6: an occupancy field of wavelets from each initializer (needs --data)",
        "OccupancySettings",
        "occupancy:OccupancyFields",
    ),
    "nfsl-sisr": _nfsl(
        "NFSL, Fig. 5: super-resolution with Gaussian networks from each initializer (needs --data)",
        "SisrSettings",
        "sisr:SuperResolutions",
    ),
    "vi3nr-tables": _vi3nr(
        "VI3NR, Tables 1 to 4: weights by initializer, sigma_p, and errors of the 100-layer, 1,000-wide net",
        "TablesSettings",
        "tables:Tables",
    ),
    "vi3nr-heatmap": _vi3nr(
        "VI3NR, Fig. 2a: how well Eq. 13 holds over the activation's parameter and sigma_p",
        "HeatmapSettings",
        "heatmap:Heatmap",
    ),
    "vi3nr-images": _vi3nr(
        "VI3NR, Tables 5 and 8, Fig. 2b, 3, 5: images by initializer, sigma_p and depth (needs --data)",
        "ImagesSettings",
        "images:Images",
    ),
    "ws-table1": _ws(
        "Weight scaling, Tables 1 and 4: all fields on images, occupancy, spheres or audio (needs --data)",
        "Table1Settings",
        "table1:Table1",
    ),
    "vi3nr-audio": _vi3nr(
        "VI3NR, Table 7: sounds by initializer (needs --data)",
        "AudioSettings",
        "audio:Sounds",
    ),
    "vi3nr-sdf": _vi3nr(
        "VI3NR, Table 6: signed distances of meshes by initializer (needs --data)",
        "SdfSettings",
        "sdf:Shapes",
    ),
    "ws-init": _ws(
        "Weight scaling, Prop. 3.1 and Fig. 4, 5, 9, 11: initialized fields before any step",
        "InitSettings",
        "initial:Initial",
    ),
    "ws-tradeoff": _ws(
        "Weight scaling, Fig. 2: speed and test PSNR against alpha and against the first omega",
        "TradeoffSettings",
        "tradeoff:Tradeoff",
    ),
    "ws-decouple": _ws(
        "Weight scaling, Fig. 3: scaled weights without scaled rates, and the reverse",
        "DecoupleSettings",
        "decouple:Decouple",
    ),
    "ws-optimal": _ws(
        "Weight scaling, Fig. 6 and 7: the best alpha against resolution, width, depth, and over pictures",
        "OptimalSettings",
        "optimal:Optimal",
    ),
    "ws-ntk": _ws(
        "Weight scaling, Fig. 5 and 10: eNTK and Hessian condition numbers along training",
        "NtkSettings",
        "conditioning:Conditioning",
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

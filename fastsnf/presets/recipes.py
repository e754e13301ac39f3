"""`RECIPES`: published trainings by name, each with the source of its settings. Imports nothing heavy.

Schedules: ``exponential:F`` falls with every step; the loops of WIRE and IGA lower the rate after every
epoch, by as much in total. At 200 epochs that is 1.2 % of the rate at most, at 50 epochs 3.2 %.
"""

from __future__ import annotations

import math

from fastsnf.presets.recipe import Recipe

_WS = "Yeom et al. 2025 (weight scaling), Sec. 5.1, App. E.1 and Table 2"
_SIREN = "Sitzmann et al. 2020"
_WIRE_GRID = {"crop": "wire", "axes": "xy"}
"""WIRE's box of the occupied voxels, without the last slice of each axis, and its order of coordinates."""
_RUN, _RUNS = 256, 512
"""Voxels of IGA's groups, and groups a step."""
_SIGMA_A, _RATIO = 0.02, 0.33
"""Of the Gaussian: ours, and the ratio sigma_a / sigma_p that VI3NR found for images (Sec. 4.2)."""

_LISTED = (
    Recipe(
        "wire-occupancy",
        "occupancy",
        "WIRE on a grid of voxels, as in its script: 200 passes",
        open=_WIRE_GRID,
        field={"field": "wire", "hidden_features": 256, "hidden_layers": 2},
        fit={"batch_size": 200_000, "epochs": 200, "lr": 5e-3, "schedule": "exponential:0.2", "loss": "mse"},
        source=(
            "Saragadam et al. 2023, wire_occupancy.py: omega 10, scale 40, 181 complex features, a rate that "
            "falls to a fifth (its comment says a tenth), MSE of the raw output. It prints the best IoU of "
            "an epoch while the weights move: --iou published"
        ),
    ),
    Recipe(
        "iga-occupancy",
        "occupancy",
        "SIREN with inductive gradient adjustment on a grid of voxels: 200 passes",
        open=_WIRE_GRID,
        field={
            "field": "snf",
            "init": "siren",
            "alpha": 1.0,
            "first_omega": 30.0,
            "hidden_omega": 30.0,
            "hidden_features": 256,
            "hidden_layers": 2,
        },
        fit={
            "batch_size": _RUN * _RUNS,
            "epochs": 200,
            "lr": 5e-4,
            "schedule": "exponential:0.1",
            "loss": "mse",
            "seed": 4096,
        },
        iga={"group": f"run:{_RUN}", "start": 0, "end": 14, "sample": "center"},
        source=(
            "Shi et al. 2025 (IGA), 3D_occupance.py: 512 runs of 256 voxels in a row a step, the middle one "
            "for its run, end 14 (its scripts: thai and armadillo 13, dragon 11, bunny 8, lucy 14). Voxels "
            "after the last whole run are a shorter run here; its code makes a plain step of them. It prints "
            "the best IoU of an epoch: --iou published"
        ),
    ),
    Recipe(
        "ws-occupancy",
        "occupancy",
        "weight scaling on a grid of voxels: 50 passes",
        open=_WIRE_GRID,
        field={"field": "snf", "alpha": 3.7, "hidden_features": 256, "hidden_layers": 3},
        fit={"batch_size": 100_000, "epochs": 50, "lr": 1e-4, "schedule": "exponential:0.2", "loss": "mse"},
        source=(
            f"{_WS}. Its grid is WIRE's, whose loop counts passes: so are its 50 iterations read, after "
            "which every field of its Table 1 is near an IoU of 0.99. The rate is that of App. E.1, which "
            "names no schedule but says that there is one: WIRE's"
        ),
    ),
    Recipe(
        "ws-image",
        "image",
        "weight scaling on a gray picture of 512 pixels a side: 150 steps",
        open={"size": "512x512", "mode": "gray"},
        field={"field": "snf", "alpha": 2.37, "hidden_features": 512, "hidden_layers": 3},
        fit={"batch_size": "full", "steps": 150, "lr": 1e-4, "schedule": "constant", "psnr": "published"},
        source=f"{_WS}; weight_scaling.py. The crop to a square before the resize is a reading",
    ),
    Recipe(
        "ws-sphere",
        "sphere",
        "weight scaling on a field over the sphere: 5,000 steps",
        field={"field": "snf", "alpha": 2.5, "hidden_features": 256, "hidden_layers": 3},
        fit={"batch_size": "full", "steps": 5000, "lr": 1e-4, "schedule": "constant"},
        source=f"{_WS}; ERA5 temperature at 46 x 90 (Dupont et al. 2022, COIN++)",
    ),
    Recipe(
        "ws-audio",
        "audio",
        "weight scaling on a sound: 1,000 steps",
        open={"channels": "mono"},
        field={"field": "snf", "alpha": 2.0, "hidden_features": 256, "hidden_layers": 3},
        fit={"batch_size": "full", "steps": 1000, "lr": 1e-4, "schedule": "constant"},
        source=f"{_WS}: first omega 3000; that of the hidden layers, 30, is SIREN's notebook's",
    ),
    Recipe(
        "siren-image",
        "image",
        "SIREN on a picture: 10,000 steps",
        field={
            "field": "snf",
            "init": "siren",
            "alpha": 1.0,
            "hidden_features": 256,
            "hidden_layers": 3,
        },
        fit={"batch_size": "full", "steps": 10_000, "lr": 1e-4, "schedule": "constant"},
        source=f"{_SIREN}, train_img.py, which maps the values to [-1, 1]; here they are in [0, 1]",
    ),
    Recipe(
        "siren-audio",
        "audio",
        "SIREN on a sound, in the notebook's coordinates: 1,000 steps",
        open={"channels": "mono"},
        field={
            "field": "snf",
            "init": "siren",
            "alpha": 1.0,
            "first_omega": 3000.0,
            "hidden_omega": 30.0,
            "hidden_features": 256,
            "hidden_layers": 3,
        },
        fit={"batch_size": "full", "steps": 1000, "lr": 1e-4, "schedule": "constant"},
        source=(
            f"{_SIREN}, explore_siren.ipynb: time in [-1, 1] and first omega 3000. Its script has time in "
            "[-100, 100] and omega 30: the same but for the first biases, whose phases are then 100 times "
            "smaller"
        ),
    ),
    Recipe(
        "vi3nr-audio",
        "audio",
        "a Gaussian field with VI3NR's initializer on a sound: 1,000 steps",
        open={"channels": "mono"},
        field={
            "field": "gauss",
            "scale": 1.0 / (math.sqrt(2.0) * _SIGMA_A),
            "init": "vi3nr",
            "sigma_p": _SIGMA_A / _RATIO,
            "bias_init": "like-weights",
            "hidden_features": 256,
            "hidden_layers": 3,
        },
        fit={"batch_size": "full", "steps": 1000, "lr": 3e-4, "schedule": "cosine"},
        source=(
            "Koneputugodage et al. 2025 (VI3NR), Sec. 4 and 10: width, depth, biases; sigma_a, rate and "
            "steps are ours, the paper states none"
        ),
    ),
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _LISTED}
"""Every recipe by the name that ``fastsnf fit --recipe`` takes."""

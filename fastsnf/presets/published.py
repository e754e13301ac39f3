"""`PRESETS`: the settings of the published fields, each with the source that has them."""

from __future__ import annotations

import math

from fastsnf.presets.preset import Preset

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
            # Ours: what counts of these lies between the points that are trained on, where a larger alpha
            # leaves noise (PSNR of distances on a grid: 35 dB with these, 9 dB with omega 30, alpha 2.37).
            "points": {"alpha": 1.0},
            "sdf": {"first_omega": 20.0, "hidden_omega": 20.0, "alpha": 1.0},
            "super-resolution": {"first_omega": 10.0, "alpha": 1.0},
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
        # its code divides both coordinates by H - 1; here each axis spans [-1, 1], as for every field
        source="Cai et al. 2024 (Norm-INR)",
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _LISTED}
"""Every preset by the name that ``fastsnf fit --field`` takes."""

"""The networks of NFSL's scaling experiments, one layer as wide as is asked, and their training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fastsnf.encodings import FourierFeatures
from fastsnf.nn import LayeredField
from fastsnf.nn.encoder import encoder_of
from fastsnf.nn.init import initialize_
from fastsnf.nn.linear import linear_chain
from fastsnf.signals import Image
from fastsnf.spec import Activation, FieldSpec, ReLU, Sinc
from fastsnf.studies.study import Progress, silent
from fastsnf.train import FitConfig
from fastsnf.train.metrics import psnr_of
from fastsnf.train.step import make_step

SHALLOW_FEATURES, DEEP_FEATURES = 8, 16
"""Dimensions of the random Fourier features (Sec. 5.1)."""
DEEP_LAYERS = 3
"""Hidden layers of fixed width before the one that varies."""
CURVE = (1, 3, 5)
"""Cycles per unit of the curve: sin(2 pi x) + sin(6 pi x) + sin(10 pi x)."""

Points = tuple[Tensor, Tensor]
"""Coordinates [N, D] and values [N, C] in [0, 1]."""


def curve(samples: int) -> Points:
    """Return so many equally spaced samples of the paper's curve over [-1, 1], brought to [0, 1]."""
    x = torch.linspace(-1.0, 1.0, samples, dtype=torch.float64).unsqueeze(1)
    y = torch.stack([torch.sin(2.0 * math.pi * k * x) for k in CURVE]).sum(dim=0)
    return x.float(), (y / (2 * len(CURVE)) + 0.5).float()


def pixels(image: Image, samples: int, seed: int) -> Points:
    """Return so many pixels of a picture, drawn without repetition."""
    index = torch.randperm(image.size, generator=torch.Generator().manual_seed(seed))[:samples]
    x, y, _ = image.batch(index)
    return x, y


def network(facts: Mapping[str, Any], width: int, shape: tuple[int, int]) -> LayeredField:
    """Return a network of a row in its initial state.

    Args:
        facts: `activation` (sinc or relu-pe), `init`, `deep`, `omega`, `sigma`, `width` and `seed`.
        width: of its last hidden layer, which varies.
        shape: D and C.
    """
    generator = torch.Generator().manual_seed(facts["seed"])
    activation: Activation = ReLU()
    encoding = None
    if facts["activation"] == "sinc":
        activation = Sinc.unnormalized(facts["omega"])
    else:
        rows = (DEEP_FEATURES if facts["deep"] else SHALLOW_FEATURES) // 2
        encoding = FourierFeatures(rows, facts["sigma"])
    encoder, inputs = encoder_of(encoding, shape[0], generator=generator)
    fixed = [facts["width"]] * (DEEP_LAYERS if facts["deep"] else 0)
    spec = FieldSpec.mlp(activation, len(fixed))
    field = LayeredField(spec, linear_chain(spec, [inputs, *fixed, width, shape[1]]), encoding=encoder)
    initialize_(field, facts["init"], bias_init="zero", generator=generator)
    return field


def parameters(field: LayeredField) -> int:
    """Return the number of trained parameters."""
    return sum(parameter.numel() for parameter in field.parameters())


def steps_to(
    field: LayeredField, points: Points, facts: Mapping[str, Any], progress: Progress = silent
) -> int | None:
    """Train on all points until the PSNR is reached; return the steps, None when the budget ends before.

    Args:
        field: trained in place.
        points: its data.
        facts: `psnr`, `steps`, `optimizer`, `lr` and `device`.
        progress: told of every step.
    """
    x, y = (tensor.to(facts["device"]) for tensor in points)
    config = FitConfig(batch_size="full", optimizer=facts["optimizer"], lr=facts["lr"], schedule="constant")
    step = make_step(field.to(facts["device"]), config)
    for number in range(facts["steps"]):
        loss = float(step(x, y))
        if not math.isfinite(loss):
            return None
        progress(number, facts["steps"], loss)
        if psnr_of(loss) >= facts["psnr"]:
            return number
    return None

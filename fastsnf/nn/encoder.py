"""`Encoder`: the module of an encoding, its fixed random numbers in a buffer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fastsnf.encodings import Encoding, FourierFeatures, Positional
from fastsnf.errors import InputError
from fastsnf.nn.linear import Device


class Encoder(nn.Module):
    """Coordinates [..., D] -> features [..., E] as an encoding describes.

    Args:
        spec: the encoding.
        in_features: D.
        generator: the source of `FourierFeatures`' matrix; None for torch's global one.
        device, dtype: of the buffer.

    Nothing in it is trained. The matrix ``frequencies`` [E / 2, D], in radians per unit of x, is part of the
    state: a checkpoint holds it.
    """

    frequencies: Tensor

    def __init__(
        self,
        spec: Encoding,
        in_features: int,
        *,
        generator: torch.Generator | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(spec, Encoding):
            raise InputError(f"expected an encoding such as Positional(10); got {spec!r}")
        self.spec = spec
        self.in_features = in_features
        self.out_features = spec.features(in_features)
        place = torch.get_default_device() if device is None else torch.device(device)
        matrix = _frequencies(spec, in_features, generator)
        self.register_buffer("frequencies", matrix.to(device=place, dtype=dtype or torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features [..., E] of coordinates `x` [..., D]."""
        if isinstance(self.spec, Positional):
            scaled = x.unsqueeze(-2) * self.frequencies  # [..., K, D], each coordinate by itself
            pairs = torch.stack([scaled.sin(), scaled.cos()], dim=-1).flatten(start_dim=-3)
            return torch.cat([x, pairs], dim=-1) if self.spec.include_input else pairs
        assert isinstance(self.spec, FourierFeatures)
        v = 0.5 * (x + 1.0) if self.spec.unit else x
        phase = v @ self.frequencies.mT
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def extra_repr(self) -> str:
        """Return the description for ``print(field)``."""
        return f"{self.spec}, {self.in_features} -> {self.out_features}"


def _frequencies(spec: Encoding, in_features: int, generator: torch.Generator | None) -> Tensor:
    """Return the matrix that coordinates are multiplied with."""
    if isinstance(spec, Positional):
        octaves = torch.tensor([spec.factor * 2.0**i for i in range(spec.frequencies)])
        return octaves.unsqueeze(1).expand(-1, in_features).clone()
    assert isinstance(spec, FourierFeatures)
    home = None if generator is None else generator.device
    drawn = torch.randn(spec.frequencies, in_features, generator=generator, device=home)
    return drawn * (2.0 * math.pi * spec.sigma)

"""`Encoder`: the module of an encoding, its fixed numbers in a buffer."""

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

    Nothing in it is trained. The matrix ``frequencies``, in radians per unit of x, is part of the state: a
    checkpoint holds it. It is [K, D] of a positional encoding, [m, D] of Fourier features.

    Phases are computed in the buffer's dtype, element by element: neither autocast nor TF32 reaches them. In
    float32 a phase p is off by at most 2^-23 |p|, as if x were off by 2^-23 of itself, which is how far
    neighbouring float32 coordinates are apart. So high octaves are exact functions of a coordinate that is
    rounded anyway; they lose their meaning where 2^K reaches 2^23, far above any signal's Nyquist frequency.

    For each point it computes E sines and cosines and writes about 3 E numbers, a few hundred operations of
    the million that a step of width 256 takes. No value is read back from the device.
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
        real = torch.get_default_dtype() if dtype is None else dtype
        if not real.is_floating_point:
            raise InputError(f"expected dtype to be torch.float32 or torch.float64; got {real}")
        self.register_buffer("frequencies", _frequencies(spec, in_features, generator, place, real))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features [..., E] of coordinates `x` [..., D].

        Raises:
            InputError: for another last dimension, dtype or device than the encoder's.
        """
        if x.shape[-1:] != (self.in_features,) or x.dtype != self.frequencies.dtype:
            raise InputError(
                f"expected x of shape [..., {self.in_features}] and {self.frequencies.dtype}; "
                f"got {list(x.shape)} and {x.dtype}: convert it, or the field"
            )
        if x.device != self.frequencies.device:
            raise InputError(
                f"expected x on {self.frequencies.device}, where the field is; got {x.device}: move one"
            )
        if isinstance(self.spec, Positional):
            phase = x.unsqueeze(-2) * self.frequencies  # [..., K, D], each coordinate by itself
            pairs = torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(start_dim=-3)
            return torch.cat([x, pairs], dim=-1) if self.spec.include_input else pairs
        assert isinstance(self.spec, FourierFeatures)
        phase = _project(0.5 * (x + 1.0) if self.spec.unit else x, self.frequencies)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def extra_repr(self) -> str:
        """Return the description for ``print(field)``."""
        return f"{self.spec}, {self.in_features} -> {self.out_features}"


def encoder_of(
    spec: Encoding | None,
    in_features: int,
    *,
    generator: torch.Generator | None = None,
    device: Device = None,
    dtype: torch.dtype | None = None,
) -> tuple[Encoder | None, int]:
    """Return the encoder of a field, None for no encoding, and how many inputs the field's first layer has.

    Args:
        spec, in_features, generator, device, dtype: as in `Encoder`.
    """
    if spec is None:
        return None, in_features
    encoder = Encoder(spec, in_features, generator=generator, device=device, dtype=dtype)
    return encoder, encoder.out_features


def _project(v: Tensor, matrix: Tensor) -> Tensor:
    """Return ``v matrix^T`` [..., m] for v [..., D] and matrix [m, D], coordinate by coordinate.

    A matrix product could be rounded to TF32 or a half type, which phases of hundreds of radians do not
    survive; with two or three coordinates it would not be faster.
    """
    phase = v[..., :1] * matrix[:, 0]
    for d in range(1, matrix.shape[1]):
        phase = torch.addcmul(phase, v[..., d : d + 1], matrix[:, d])
    return phase


def _frequencies(
    spec: Encoding,
    in_features: int,
    generator: torch.Generator | None,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """Return the matrix that coordinates are multiplied with; on the meta device its shape alone."""
    if not isinstance(spec, Positional | FourierFeatures):
        raise InputError(f"expected an encoding that has a module; got {spec}")
    if device.type == "meta":
        return torch.empty(spec.frequencies, in_features, device=device, dtype=dtype)
    if isinstance(spec, Positional):
        octaves = [spec.factor * 2.0**octave for octave in range(spec.frequencies)]
        column = torch.tensor(octaves, dtype=dtype, device=device).unsqueeze(1)
        return column.expand(-1, in_features).clone()
    home = device if generator is None else generator.device
    drawn = torch.randn(spec.frequencies, in_features, generator=generator, device=home, dtype=dtype)
    return (drawn * (2.0 * math.pi * spec.sigma)).to(device)

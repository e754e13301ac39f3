"""`Siren`: the interface of the original SIREN module on the fused engine."""

from __future__ import annotations

from typing import Any

import torch

from fastsnf.nn.init import siren_
from fastsnf.nn.linear import Device, check_sizes, linear_chain
from fastsnf.nn.pair import PairField
from fastsnf.spec import Activation, FieldSpec, Identity, Sine


class Siren(PairField):
    """SIREN with the original's argument order, parameter names and initial distribution.

    Args:
        in_features: coordinate dimensions D.
        hidden_features: width F.
        hidden_layers: hidden layers L after the first: L + 2 linear layers.
        out_features: output channels C.
        outermost_linear: whether the last layer is linear (``net.{n}.weight``), and not a sine layer
            (``net.{n}.linear.weight``, the original's default).
        first_omega_0, hidden_omega_0: omega of the first layer and of those after it.
        return_coords: return the original's pair (values, detached coordinates that require grad).
        generator: the source of the initial parameters; with None and the same ``torch.manual_seed`` they are
            the original's, number by number.
        device, dtype: of the parameters; float32 or float64.

    Loads state dicts of the original.
    Source: Sitzmann et al. 2020, "Implicit Neural Representations with Periodic Activation Functions".
    """

    name = "siren"

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        hidden_layers: int,
        out_features: int,
        outermost_linear: bool = True,
        first_omega_0: float = 30.0,
        hidden_omega_0: float = 30.0,
        *,
        return_coords: bool = False,
        generator: torch.Generator | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_sizes(
            hidden_layers=hidden_layers,
            in_features=in_features,
            hidden_features=hidden_features,
            out_features=out_features,
        )
        hidden = Sine(hidden_omega_0)
        spec = FieldSpec.mlp(
            hidden, hidden_layers, first=Sine(first_omega_0), last=Identity() if outermost_linear else hidden
        )
        widths = [in_features, *[hidden_features] * (hidden_layers + 1), out_features]
        super().__init__(
            spec, linear_chain(spec, widths, device=device, dtype=dtype), return_coords=return_coords
        )
        self._hidden = hidden
        self._config = {
            "in_features": in_features,
            "hidden_features": hidden_features,
            "hidden_layers": hidden_layers,
            "out_features": out_features,
            "outermost_linear": outermost_linear,
            "first_omega_0": first_omega_0,
            "hidden_omega_0": hidden_omega_0,
            "return_coords": return_coords,
        }
        siren_(self, generator=generator)

    @property
    def hidden_activation(self) -> Activation:
        """The activation of the hidden layers, whether there are any or not."""
        return self._hidden

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, JSON-able; `from_config` reads them back."""
        return {**self._config, "dtype": self._dtype_name()}

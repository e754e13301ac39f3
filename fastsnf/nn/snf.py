"""`SNF`: the field, with every activation."""

from __future__ import annotations

from typing import Any

import torch

from fastsnf.encodings import Encoding
from fastsnf.errors import InputError
from fastsnf.nn.arguments import activations_of, positive
from fastsnf.nn.encoder import encoder_of
from fastsnf.nn.init import BiasInit, default_initializer, initialize_, initializer_name
from fastsnf.nn.init.draw import uniform
from fastsnf.nn.layered import LayeredField
from fastsnf.nn.linear import Device, check_sizes, linear_chain
from fastsnf.spec import Activation, FieldSpec


class SNF(LayeredField):
    """A sinusoidal neural field, or one with another activation: [..., in_features] -> [..., out_features].

    Args:
        in_features: coordinate dimensions D.
        out_features: output channels C.
        hidden_features: width F; in a `Gabor` field the number of complex features.
        hidden_layers: hidden layers L after the first, as in SIREN: L + 2 linear layers.
        activation: a name (``"sine"``, ``"gaussian"``, ...) or a spec (``Sine(30.0)``).
        first_activation: another activation for the first layer, a name or a spec.
        first_omega: omega of the first layer where `activation` is a name; None for the spec's own default.
        hidden_omega: omega of the layers after the first, likewise.
        scale: scale of every layer, likewise.
        last_activation: what follows the last layer, such as the ``"sigmoid"`` of the original Fourier
            features, a name or a spec; None for nothing.
        encoding: what the coordinates become before the first layer, such as ``Positional(10)``; None for
            nothing.
        init: an initializer's name; None takes weight scaling for sine and FINER, and PyTorch's default for
            the others, as the papers that compare them do.
        alpha: the factor of weight scaling; other initializers do not read it.
        sigma_p: the deviation of pre-activations that VI3NR keeps; other initializers do not read it.
        first_bias: k of FINER: the first layer's biases start from U(-k, k), whatever `bias_init` says; None
            for `bias_init`. The coordinates lie in [-1, 1], and a wider spread of biases reaches more of
            FINER's frequencies.
        bias: whether the layers have biases.
        bias_init: ``"default"`` (PyTorch's uniform in +-1/sqrt(fan_in)), ``"zero"``, ``"like-weights"`` or a
            number.
        generator: the source of the initial parameters; None for torch's global one.
        device, dtype: of the parameters; float32 or float64, and the complex dtype of the same precision
            after the first layer of a `Gabor` field.

    Raises:
        InputError: for sizes, names or combinations that do not exist.
    """

    name = "snf"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_features: int = 256,
        hidden_layers: int = 3,
        *,
        activation: Activation | str = "sine",
        first_activation: Activation | str | None = None,
        first_omega: float | None = None,
        hidden_omega: float | None = None,
        scale: float | None = None,
        last_activation: Activation | str | None = None,
        encoding: Encoding | None = None,
        init: str | None = None,
        alpha: float = 2.37,
        sigma_p: float | None = None,
        first_bias: float | None = None,
        bias: bool = True,
        bias_init: BiasInit = "default",
        generator: torch.Generator | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        sizes = {"in_features": in_features, "out_features": out_features, "hidden_features": hidden_features}
        check_sizes(**sizes, hidden_layers=hidden_layers)
        # files hold them, whether the initializer reads them or not
        alpha = positive("alpha", alpha)
        sigma_p = None if sigma_p is None else positive("sigma_p", sigma_p)
        first_bias = None if first_bias is None else positive("first_bias", first_bias)
        hidden, first = activations_of(
            activation, first_activation, first_omega=first_omega, hidden_omega=hidden_omega, scale=scale
        )
        last = None if last_activation is None else activations_of(last_activation)[0]
        spec = FieldSpec.mlp(hidden, hidden_layers, first=first, last=last)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        encoder, encoded = encoder_of(encoding, in_features, generator=generator, **place)
        widths = [encoded, *[hidden_features] * (hidden_layers + 1), out_features]
        linears = linear_chain(spec, widths, bias=bias, **place)
        super().__init__(spec, linears, encoding=encoder)
        self._hidden = hidden
        chosen = default_initializer(spec) if init is None else initializer_name(init)
        self._config = {
            **sizes,
            "hidden_layers": hidden_layers,
            "activation": hidden.to_dict(),
            "first_activation": first.to_dict(),
            "last_activation": None if last is None else last.to_dict(),
            "encoding": None if encoding is None else encoding.to_dict(),
            "init": chosen,
            "alpha": alpha,
            "sigma_p": sigma_p,
            "first_bias": first_bias,
            "bias": bias,
            "bias_init": bias_init,
        }
        initialize_(self, chosen, alpha=alpha, sigma_p=sigma_p, bias_init=bias_init, generator=generator)
        if first_bias is not None:
            self._draw_first_bias(first_bias, generator)

    @property
    def hidden_activation(self) -> Activation:
        """The activation of the hidden layers, whether there are any or not."""
        return self._hidden

    @torch.no_grad()
    def _draw_first_bias(self, bound: float, generator: torch.Generator | None) -> None:
        """Write FINER's first biases, U(-bound, bound)."""
        bias = self.linears()[0].bias
        if bias is None:
            raise InputError(f"expected a field with biases for first_bias={bound}; got bias=False: drop one")
        uniform(bound)(bias, generator)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, JSON-able; `from_config` reads them back."""
        return {**self._config, "dtype": self._dtype_name()}

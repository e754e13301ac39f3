"""`Field`: what every field is to the trainer, the files and the user, and the registry that files read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol, Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.encodings import encoding_from_dict
from fastsnf.errors import InputError, unknown
from fastsnf.nn.linear import COMPLEX, Device
from fastsnf.spec import activation_from_dict

FIELDS: dict[str, type[Field]] = {}
"""Every field class by the name that files use; a subclass of `Field` with a `name` enters itself."""


class Units(Protocol):
    """What a field asks of the signal that it was fitted to, so that it answers in the user's units."""

    def to_coordinates(self, points: ArrayLike | Tensor) -> Tensor:
        """Return the coordinates [..., D] of points [..., U] in the user's units."""
        ...

    def to_units(self, values: Tensor) -> Tensor:
        """Return values [..., C] of the signal in the user's units."""
        ...


class Field(nn.Module):
    """A function of coordinates [..., D] -> [..., C] with parameters: the base of every field.

    A subclass defines `evaluate`, `config` and `summary`, and enters `FIELDS` by its `name`. One that is a
    chain of linear layers and activations is a `fastsnf.nn.LayeredField`, which runs as one fused op; any
    other computes by autograd, of fused layers where it has them.

    Args:
        in_features: coordinate dimensions D.
        out_features: output channels C.
        hidden_features: the width F that its summary and its options name.

    Attributes:
        signal: the signal that the field was fitted to, without its data, or None: set by `fastsnf.load`.
        outputs: what the field returns, ``values`` of the signal, or their ``logits``.

    Inside ``torch.autocast`` a field computes and returns its own dtype, converting its input, since phases
    of tens of radians do not survive 8 or 11 bits.
    """

    name: ClassVar[str] = ""
    least_batch: ClassVar[int] = 1
    """Points that a call in training mode takes at least."""
    # Not parameters, and no part of a state_dict: the field knows its signal by what it does for it alone.
    signal: Units | None = None
    outputs: str = "values"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("name"):
            FIELDS[cls.name] = cls

    def __init__(self, in_features: int, out_features: int, hidden_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.hidden_features = hidden_features

    def forward(self, x: Tensor) -> Tensor:
        """Return the values [..., C] at the coordinates `x` [..., D].

        Raises:
            InputError: for another last dimension, dtype or device than the field's.
        """
        if not isinstance(x, Tensor):
            raise InputError(f"expected x as a torch.Tensor; got {type(x).__name__}: use torch.as_tensor(x)")
        if x.dim() == 0 or x.shape[-1] != self.in_features:
            raise InputError(f"expected x of shape [..., {self.in_features}]; got {list(x.shape)}")
        kind = x.device.type
        if ops.has_autocast(kind) and torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                return self.evaluate(x.to(self.dtype))
        return self.evaluate(x)

    def at(self, points: ArrayLike | Tensor) -> Tensor:
        """Return the values [..., C] at `points` [..., U], both in the units of the user.

        Those are the units of the signal that the field was fitted to: pixels (row, column) of a picture,
        seconds of a sound, degrees (latitude, longitude) on a sphere; see the signal's ``unit``,
        ``to_coordinates`` and ``to_units``. Of a field of logits these are the values, not the logits.
        Derivatives are there when `points` is a tensor that requires them.

        ```python
        field = fastsnf.load("runs/photo")
        field.at([[0, 0], [255.5, 100]])  # [2, 3]: the top left pixel, and a point between rows 255 and 256
        ```

        Raises:
            InputError: the field did not come from a file that has its signal, or `points` are not [..., U].
        """
        if self.signal is None:
            raise InputError(
                "expected a field that was saved with its signal; got one without: call it with coordinates, "
                "field(x), or save it with fastsnf.save(field, path, signal)"
            )
        parameter = next(self.parameters())
        derivatives = isinstance(points, Tensor) and points.requires_grad and torch.is_grad_enabled()
        with torch.set_grad_enabled(derivatives):
            x = self.signal.to_coordinates(points).to(parameter.device, self.dtype)
            out = self(x)
            out = out[0] if isinstance(out, tuple) else out
            return self.signal.to_units(torch.sigmoid(out) if self.outputs == "logits" else out)

    def evaluate(self, x: Tensor) -> Tensor:
        """Return the values [..., C] at `x` [..., D], which `forward` has checked."""
        raise NotImplementedError(f"{type(self).__name__} cannot be evaluated: define evaluate()")

    @property
    def dtype(self) -> torch.dtype:
        """The real dtype of the parameters."""
        return next(self.parameters()).dtype.to_real()

    def choose_engine(self, x: Tensor, precision: str = ops.AUTO) -> ops.Choice:
        """Return the engine that computes the field at points like `x`, and in which precision.

        Raises:
            EngineError: when none has it, or the one asked for cannot take the call, with every reason.
        """
        return ops.choose_plain(x, precision)

    def settle(self, points: Callable[[], Iterable[Tensor]]) -> None:
        """Bring what evaluation mode reads beside the parameters up to date; most fields have nothing there.

        Args:
            points: called for an iterable of the training coordinates [n, D], the same at each call.
        """

    def summary(self) -> str:
        """Return one line about what the field computes."""
        return f"{self.name}, width {self.hidden_features}"

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, JSON-able; `from_config` reads them back."""
        raise NotImplementedError(f"{type(self).__name__} cannot be described: define config()")

    @classmethod
    def from_config(cls, config: dict[str, Any], *, device: Device = None) -> Self:
        """Return a field as `config` describes it, with initial parameters of its own."""
        try:
            arguments: dict[str, Any] = {key: decode(key, value) for key, value in config.items()}
            return cls(**arguments | {"device": device, "generator": torch.Generator()})
        except (TypeError, AttributeError) as error:
            raise InputError(f"expected the constructor arguments of {cls.__name__}; {error}") from error

    def _dtype_name(self) -> str:
        """Return the name of the field's dtype, as configs hold it."""
        return str(self.dtype).removeprefix("torch.")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Every conversion of nn.Module comes through here. Their functions take a complex parameter to a real
        # dtype by dropping its imaginary part, or leave it behind; on its real view they do what is meant.
        return super()._apply(_on_real_view(fn), recurse)


def from_config(name: str, config: dict[str, Any], *, device: Device = None) -> Field:
    """Return the field called `name` as `Field.config` described it, with initial parameters of its own.

    No global random state is read or changed.

    Raises:
        InputError: for a name that is no field's or arguments that the field does not take.
    """
    if name not in FIELDS:
        raise unknown("the field", name, FIELDS)
    return FIELDS[name].from_config(config, device=device)


def decode(key: str, value: Any) -> Any:
    """Return the constructor argument called `key` from its JSON form in `Field.config`."""
    if key == "dtype":
        names = {str(dtype).removeprefix("torch."): dtype for dtype in COMPLEX}
        if value not in names:
            raise unknown("dtype", value, names)
        return names[value]
    if key == "encoding":
        return None if value is None else encoding_from_dict(value)
    return activation_from_dict(value) if isinstance(value, dict) else value


def _on_real_view(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return `fn` for tensors that may be complex: it sees their real and imaginary parts."""

    def apply(tensor: Tensor) -> Tensor:
        if not tensor.is_complex():
            return fn(tensor)
        return torch.view_as_complex(fn(torch.view_as_real(tensor)))

    return apply

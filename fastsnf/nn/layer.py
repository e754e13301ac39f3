"""One activated layer, and the question whether a sub-module is still what its constructor made."""

from __future__ import annotations

from torch import Tensor, nn

from fastsnf import ops
from fastsnf.spec import Activation


class Layer(nn.Module):
    """``activation(x W^T + b)`` for x [..., fan_in], as one op.

    Args:
        linear: holds the weight [fan_out, fan_in] and bias [fan_out]; shared, not copied.
        activation: what follows it.

    A hook, a parametrization or another module in the place of `linear` is honoured: `linear` is then called
    as a module and the activation follows as an op of its own.
    """

    linear: nn.Linear

    def __init__(self, linear: nn.Linear, activation: Activation) -> None:
        super().__init__()
        self.linear = linear
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations [..., fan_out], complex for `Gabor`."""
        if is_plain(self.linear, nn.Linear):
            return ops.linear_act(x, self.linear.weight, self.linear.bias, activation=self.activation)
        return ops.activate(self.linear(x), activation=self.activation)

    def extra_repr(self) -> str:
        """Return the activation for ``print(field)``."""
        return f"activation={self.activation}"


def is_plain(module: nn.Module, cls: type[nn.Module]) -> bool:
    """Return whether calling `module` does what `cls` says and nothing else.

    A parametrization, quantization or sharding replaces the class; hooks and a ``forward`` of its own do not.
    """
    return type(module) is cls and "forward" not in module.__dict__ and not has_hooks(module)


def has_hooks(module: nn.Module) -> bool:
    """Return whether calling `module` runs a forward or backward hook."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )

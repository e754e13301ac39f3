"""The NTK by explicit Jacobians, for modules that the formula does not cover: ``K = J J^T``.

Hooks, parametrizations, shared parameters, a forward of one's own: J is that of whatever the module computes.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from fastsnf.errors import InputError
from fastsnf.ntk.module import trainable

JACOBIAN_BYTES = 1 << 28
"""Rows of a Jacobian that are held at once; a block of K takes two such sets of rows."""

COUPLED = 0.05
"""Relative change of an output with the points beside it that rounding does not explain, however steep."""

Parameters = dict[str, Tensor]


class Network:
    """A module as a function of its trainable parameters, and its Jacobian.

    Args:
        module: from coordinates [n, D] to values [n, C], or to a tuple that begins with them. Its buffers
            keep their values: what a forward pass writes into them is dropped.

    Attributes:
        parameters: the trainable ones by name, detached; complex ones as [..., 2] real numbers.
        count: how many numbers they are.
    """

    def __init__(self, module: nn.Module) -> None:
        given = trainable(module)
        self._module = module
        self._complex = {name for name, parameter in given.items() if parameter.is_complex()}
        self._transforms = True
        self.parameters: Parameters = {
            name: torch.view_as_real(p.detach()) if p.is_complex() else p.detach()
            for name, p in given.items()
        }
        self.count = sum(parameter.numel() for parameter in self.parameters.values())

    def __call__(self, parameters: Parameters, x: Tensor) -> Tensor:
        """Return the outputs [n, C] at x [n, D]."""
        whole = {
            name: torch.view_as_complex(p) if name in self._complex else p for name, p in parameters.items()
        }
        buffers = {name: buffer.clone() for name, buffer in self._module.named_buffers()}
        out = functional_call(self._module, {**buffers, **whole}, (x,))
        return out[0] if isinstance(out, tuple) else out

    def recorded(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return copies of the parameters and the outputs [n, C] at x [n, D] as autograd records them."""
        with torch.inference_mode(False), torch.enable_grad():  # of an inference tensor the copy is none
            leaves = {name: parameter.clone().requires_grad_() for name, parameter in self.parameters.items()}
            out = self(leaves, x.clone() if x.is_inference() else x)
            if not out.requires_grad:  # no trainable parameter enters: zero gradients, not an error
                out = out + 0.0 * next(iter(leaves.values())).sum()
        return list(leaves.values()), out

    def channels(self, x: Tensor) -> int:
        """Return C, seeing that the module works on x [N, D] and treats its points one by one.

        Raises:
            InputError: when it fails, returns anything but real values [n, C], or when the outputs at some of
                the points change with those that are computed beside them, or from call to call.
        """
        few = x[:3]
        with torch.no_grad():
            try:
                together = self(self.parameters, few)
                alone = [self(self.parameters, point.unsqueeze(0)) for point in few]
            except (RuntimeError, ValueError, TypeError) as error:
                if isinstance(error, (InputError, torch.OutOfMemoryError)):
                    raise
                cause = " ".join(str(error).split())
                raise InputError(
                    f"expected a module that takes points [n, D]; {type(self._module).__name__} raised "
                    f"{type(error).__name__} for {list(few.shape)}: {cause}"
                ) from error
        if not isinstance(together, Tensor) or not together.is_floating_point() or together.dim() != 2:
            shape = list(together.shape) if isinstance(together, Tensor) else type(together).__name__
            raise InputError(f"expected a module with real outputs [n, C] at points [n, D]; got {shape}")
        if together.shape[0] != len(few) or any(out.shape != together[:1].shape for out in alone):
            raise InputError(
                f"expected a module from points [n, D] to outputs [n, C]; got {list(together.shape)} for "
                f"{list(few.shape)}"
            )
        size = float(together.nan_to_num(0.0, 0.0, 0.0).abs().max())
        if not torch.allclose(together, torch.cat(alone), rtol=0.0, atol=COUPLED * size, equal_nan=True):
            raise InputError(
                "expected outputs that depend on their own point alone; those of "
                f"{type(self._module).__name__} change with the points beside it or at random: there is no "
                "gradient of one point. Call field.eval(), or remove the layer that does it"
            )
        return together.shape[1]

    def rows(self, x: Tensor, combinations: Tensor) -> list[Tensor]:
        """Return the Jacobian at x [n, D] of combinations [O, C] of the outputs: [n, O, p] a parameter."""
        if self._transforms:
            try:
                return [rows.flatten(2) for rows in self._transformed(x, combinations).values()]
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, ValueError):  # torch.func takes neither every operation nor every module
                self._transforms = False
        return self._one_by_one(x, combinations)

    def _transformed(self, x: Tensor, combinations: Tensor) -> Parameters:
        def at(parameters: Parameters, point: Tensor) -> Parameters:
            pull = vjp(lambda p: self(p, point.unsqueeze(0)).squeeze(0), parameters)[1]
            return vmap(lambda row: pull(row)[0])(combinations)

        with warnings.catch_warnings():
            # weight_norm among others has no batching rule: slower, and nothing that a user could change.
            warnings.filterwarnings("ignore", message="There is a performance drop")
            return vmap(at, in_dims=(None, 0))(self.parameters, x)

    def _one_by_one(self, x: Tensor, combinations: Tensor) -> list[Tensor]:
        rows = [x.new_empty(len(x), len(combinations), p.numel()) for p in self.parameters.values()]
        for n in range(len(x)):
            leaves, out = self.recorded(x[n : n + 1])
            for o, row in enumerate(combinations):
                gradients = torch.autograd.grad(
                    out, leaves, row.unsqueeze(0), retain_graph=True, materialize_grads=True
                )
                for kept, gradient in zip(rows, gradients, strict=True):
                    kept[n, o] = gradient.flatten()
        return rows


def combinations_of(outputs: str, channels: int, like: Tensor) -> Tensor:
    """Return the combinations [O, C] of the outputs: all over sqrt(C) for ``sum``, one by one otherwise."""
    if outputs == "sum":
        return like.new_full((1, channels), 1.0 / math.sqrt(channels))
    return torch.eye(channels, dtype=like.dtype, device=like.device)


def points_at_once(network: Network, combinations: Tensor) -> int:
    """Return the points whose rows of the Jacobian fit in `JACOBIAN_BYTES`."""
    return max(1, JACOBIAN_BYTES // (len(combinations) * network.count * combinations.dtype.itemsize))


def jacobian_gram(network: Network, x: Tensor, combinations: Tensor, *, pairs: bool) -> Tensor:
    """Return J J^T at x [N, D], in blocks of points, so that no more than two blocks of J are ever held.

    Args:
        network: the module.
        x: coordinates.
        combinations: of the outputs, [O, C].
        pairs: whether to relate different combinations to each other.

    Returns:
        [O, N, N], or [N, O, N, O] with `pairs`; symmetric.
    """
    points, count = len(x), len(combinations)
    width = count if pairs else 1  # rows of K for a point
    gram = x.new_zeros(1 if pairs else count, points * width, points * width)
    step = points_at_once(network, combinations)
    for i in range(0, points, step):
        left = _blocks(network.rows(x[i : i + step], combinations), pairs)
        here = slice(i * width, (i + step) * width)
        product = _product(left, left)
        gram[:, here, here] = 0.5 * (product + product.mT)
        for j in range(0, i, step):
            there = slice(j * width, (j + step) * width)
            product = _product(left, _blocks(network.rows(x[j : j + step], combinations), pairs))
            gram[:, here, there] = product
            gram[:, there, here] = product.mT
    return gram.reshape(points, count, points, count) if pairs else gram


def _blocks(rows: list[Tensor], pairs: bool) -> list[Tensor]:
    """Return rows [n, O, p] as [1, n O, p], or as [O, n, p]."""
    return [part.flatten(0, 1).unsqueeze(0) if pairs else part.transpose(0, 1) for part in rows]


def _product(left: list[Tensor], right: list[Tensor]) -> Tensor:
    """Return the sum over parameters of the products [O, n, m] of rows."""
    total = left[0] @ right[0].mT
    for a, b in zip(left[1:], right[1:], strict=True):
        total += a @ b.mT
    return total

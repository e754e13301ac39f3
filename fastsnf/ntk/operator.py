"""`NtkOperator`: products with the NTK of points too many for its matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fastsnf.errors import InputError, check_whole, unknown
from fastsnf.nn import LayeredField
from fastsnf.nn.plain import only_layers
from fastsnf.ntk.jacobian import Network, combinations_of, points_at_once
from fastsnf.ntk.module import check_points, underlying
from fastsnf.ntk.trace import Traced, numbers_per_point, traced
from fastsnf.ops.exact import full_float32
from fastsnf.ops.registration import own_precision

CHUNK_BYTES = 1 << 28
"""What the traces of a chunk of points may take."""

CHUNK_POINTS = 1 << 13
"""Points at once of a module whose activations are not known."""


class NtkOperator:
    """The empirical NTK ``K = J J^T`` as a linear operator: ``K v = J (J^T v)``, some points at a time.

    Memory grows with N by nothing but v and the result. Each product passes over the points twice. A field
    that is its layers alone takes matrix products on the inputs and cotangents of its layers; any other
    module takes autograd, forwards by differentiating twice. The parameters are read at every product, those
    that require grad then.

    Args:
        field: a field, or another module from [n, D] to [n, C], as in `empirical_ntk`.
        x: coordinates [N, D] of the field's dtype, on its device.
        outputs: ``sum``: of the outputs over sqrt(C); ``full``: all outputs related to all.
        chunk: points at once; None for as many as take some 256 MiB.

    Attributes:
        shape: of the matrix that `empirical_ntk` would give: (N, N), or (N, C, N, C) for ``full``.
        dtype, device: of the matrix.

    Raises:
        InputError: as `empirical_ntk`, but for memory.

    >>> import fastsnf, torch
    >>> operator = NtkOperator(fastsnf.SNF(2, 3), torch.rand(1_000_000, 2))
    >>> operator.shape
    (1000000, 1000000)
    """

    def __init__(
        self, field: nn.Module, x: Tensor, *, outputs: str = "sum", chunk: int | None = None
    ) -> None:
        if outputs not in ("sum", "full"):
            raise unknown("outputs", outputs, ("sum", "full"))
        if chunk is not None:
            check_whole("chunk", chunk, 1)
        self._module, plain = underlying(field)
        self._x = check_points(self._module, x, dimensions=(2,))
        self._chunk, self._outputs = chunk, outputs
        if plain:
            channels = cast(LayeredField, self._module).out_features
        else:
            channels = Network(self._module).channels(self._x)
        self._combinations = combinations_of(outputs, channels, self._x)
        self._channels = () if outputs == "sum" else (channels,)
        self.shape = (len(x), *self._channels) * 2
        self.dtype, self.device = x.dtype, x.device

    def __repr__(self) -> str:
        """Return the shape and the module's class."""
        return f"NtkOperator({type(self._module).__name__}, shape={self.shape}, outputs={self._outputs!r})"

    def __matmul__(self, v: Tensor) -> Tensor:
        """Return K v for v [N] or [N, k]; with ``full`` [N, C] or [N, C, k]; shaped as v.

        Raises:
            InputError: for another shape, dtype or device.
        """
        form = self.shape[: len(self.shape) // 2]
        if not isinstance(v, Tensor) or tuple(v.shape[: len(form)]) != form or v.dim() > len(form) + 1:
            got = list(v.shape) if isinstance(v, Tensor) else type(v).__name__
            raise InputError(f"expected a tensor {list(form)} or {[*form, 'k']}; got {got}")
        if v.dtype != self.dtype or v.device != self.device:
            raise InputError(
                f"expected {self.dtype} on {self.device}, as the points; got {v.dtype} on {v.device}"
            )
        columns = v.detach().reshape(len(self._x), len(self._combinations), -1)
        # Inference mode would record nothing where autograd is what computes, and give zeros.
        with torch.inference_mode(False), torch.no_grad(), own_precision(v), full_float32(v):
            return self._parts().product(columns).reshape(v.shape)

    def diagonal(self) -> Tensor:
        """Return K's diagonal, [N] or [N, C]: the squared norm of each output's gradient."""
        with torch.no_grad(), own_precision(self._x), full_float32(self._x):
            return self._parts().squares().reshape(len(self._x), *self._channels)

    def trace(self) -> Tensor:
        """Return the sum of the diagonal, 0-d."""
        return self.diagonal().sum()

    def _parts(self) -> _Layers | _Any:
        module, x, combinations = self._module, self._x, self._combinations
        if only_layers(module):
            field = module
            size = (1 + len(combinations)) * numbers_per_point(field) * x.dtype.itemsize
            return _Layers(field, x, combinations, self._chunk or max(1, CHUNK_BYTES // size))
        return _Any(Network(module), x, combinations, self._chunk or CHUNK_POINTS)


class _Tangent(NamedTuple):
    """A direction in the parameters of a layer, one for each column: [k, fan_out, fan_in], [k, fan_out]."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class _Layers:
    """Products with J and its transpose from the inputs A and cotangents D of a plain field's layers.

    A row of J has ``D A^T`` for a weight and D for a bias; for complex ones a change p of the parameter
    changes the output by the real part of ``sum_oi D_o p_oi A_i``.
    """

    field: LayeredField
    x: Tensor
    combinations: Tensor
    chunk: int

    def product(self, v: Tensor) -> Tensor:
        """Return K v for v [N, O, k]."""
        return self.forwards(self.backwards(v), v)

    def backwards(self, v: Tensor) -> list[_Tangent]:
        """Return J^T v for v [N, O, k], a layer's part at a time."""
        total: list[_Tangent] = []
        for here, traces in self._traces():
            for layer, a in enumerate(traces[0].inputs):
                if layer == len(total):
                    fan_out = traces[0].cotangents[layer].shape[1]
                    total.append(
                        _Tangent(
                            a.new_zeros(v.shape[2], fan_out, a.shape[1]), a.new_zeros(v.shape[2], fan_out)
                        )
                    )
                for k in range(v.shape[2]):
                    d = torch.zeros_like(traces[0].cotangents[layer])
                    for o, trace in enumerate(traces):
                        d += v[here, o, k, None] * trace.cotangents[layer]
                    total[layer].weight[k] += (d.mT @ a).conj()
                    if traces[0].bias[layer]:
                        total[layer].bias[k] += d.sum(dim=0).conj()
        return total

    def forwards(self, tangents: list[_Tangent], v: Tensor) -> Tensor:
        """Return J p, shaped as v, for the directions p of `backwards`."""
        out = torch.zeros_like(v)
        for here, traces in self._traces():
            for layer, a in enumerate(traces[0].inputs):
                for k in range(v.shape[2]):
                    t_u = a @ tangents[layer].weight[k].mT + tangents[layer].bias[k]
                    for o, trace in enumerate(traces):
                        out[here, o, k] += (trace.cotangents[layer] * t_u).sum(dim=1).real
        return out

    def squares(self) -> Tensor:
        """Return the squared norms [N, O] of the rows of J: ``sum_l (|A|^2 + bias) |D|^2``."""
        out = self.x.new_zeros(len(self.x), len(self.combinations))
        for here, traces in self._traces():
            for o, trace in enumerate(traces):
                for a, d, bias in zip(traces[0].inputs, trace.cotangents, trace.bias, strict=True):
                    out[here, o] += (_square(a) + float(bias)) * _square(d)
        return out

    def _traces(self) -> Iterator[tuple[slice, list[Traced]]]:
        """Yield the points of every chunk and its traces, one for each combination of the outputs."""
        for start in range(0, len(self.x), self.chunk):
            here = slice(start, start + self.chunk)
            yield here, [traced(self.field, self.x[here], row) for row in self.combinations]


@dataclass(frozen=True)
class _Any:
    """Products with J and its transpose by autograd."""

    network: Network
    x: Tensor
    combinations: Tensor
    chunk: int

    def product(self, v: Tensor) -> Tensor:
        """Return K v for v [N, O, k]."""
        return self.forwards(self.backwards(v), v)

    def backwards(self, v: Tensor) -> list[list[Tensor]]:
        """Return J^T v for v [N, O, k], a column's part at a time."""
        total: list[list[Tensor]] = []
        for here, leaves, out in self._outputs():
            for k in range(v.shape[2]):
                cotangent = v[here, :, k] @ self.combinations
                parts = torch.autograd.grad(out, leaves, cotangent, retain_graph=True, materialize_grads=True)
                if k == len(total):
                    total.append([torch.zeros_like(part) for part in parts])
                for kept, part in zip(total[k], parts, strict=True):
                    kept += part
        return total

    def forwards(self, tangents: list[list[Tensor]], v: Tensor) -> Tensor:
        """Return J p, shaped as v, for the directions p of `backwards`.

        J^T u is linear in u, and the derivative of its product with p is J p: no forward-mode rule is needed.
        """
        result = torch.zeros_like(v)
        for here, leaves, out in self._outputs():
            with torch.enable_grad():
                u = torch.zeros_like(out, requires_grad=True)
                pulled = torch.autograd.grad(out, leaves, u, create_graph=True, materialize_grads=True)
            linear = [part for part in pulled if part.requires_grad]
            for k in range(v.shape[2]):
                along = [p for p, part in zip(tangents[k], pulled, strict=True) if part.requires_grad]
                (t_out,) = torch.autograd.grad(linear, u, along, retain_graph=True, materialize_grads=True)
                result[here, :, k] = t_out @ self.combinations.mT
        return result

    def squares(self) -> Tensor:
        """Return the squared norms [N, O] of the rows of J."""
        out = self.x.new_zeros(len(self.x), len(self.combinations))
        step = points_at_once(self.network, self.combinations)
        for start in range(0, len(self.x), step):
            here = slice(start, start + step)
            for part in self.network.rows(self.x[here], self.combinations):
                out[here] += part.square().sum(dim=2)
        return out

    def _outputs(self) -> Iterator[tuple[slice, list[Tensor], Tensor]]:
        """Yield the points of every chunk, the parameters and the outputs [n, C] as autograd records them."""
        for start in range(0, len(self.x), self.chunk):
            here = slice(start, start + self.chunk)
            yield here, *self.network.recorded(self.x[here])


def _square(value: Tensor) -> Tensor:
    """Return the squared norms of the rows of [n, f], real or complex."""
    return (value * value.conj()).real.sum(dim=1)

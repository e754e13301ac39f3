"""The CPU engine: C++ SIMD kernels of ``csrc/cpu`` behind ``fastsnf._native``, on float32 tensors.

Tensors are checked by `fastsnf.ops` and cross as pointers and sizes. One binary holds a build for every
instruction set; the widest that runs here is taken unless FASTSNF_CPU or `use_variant` names another.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fastsnf.spec import FieldSpec, Sinc

ACTIVATION_CODES = {
    name: code
    for code, name in enumerate(
        ("identity", "sine", "gaussian", "sinc", "gabor", "gabor-real", "finer", "relu", "tanh", "sigmoid")
    )
}
"""The order of ``enum class Act`` in csrc/cpu/field.h."""

MOST_THREADS = 1024
"""As many as the extension takes."""

MOST_UNITS = 4096
"""The widest layer: wider ones would put more memory a thread into gradients than a cache can hold."""

MOST_GROUPS = 4096
"""The most groups of `adjusted_mse_value_and_grad`, whose tile is all of an offset's points. From some 700 on
a tile leaves the second-level cache; that was measured to cost less than a second forward pass."""

NOT_BUILT = Path(__file__).parent.parent / "_native_not_built.txt"
"""Where the build leaves the compiler's message when it fails."""

_variant: contextvars.ContextVar[str] = contextvars.ContextVar("fastsnf_cpu_variant", default="")

_PROCESS = os.getpid()
"""The process that imported this module, perhaps the parent of the one that loads the extension."""


@functools.cache
def _load() -> tuple[ModuleType | None, str]:
    """Return the extension and, where it is missing or does not run here, why."""
    try:
        from fastsnf import _native
    except ImportError as error:
        cause = NOT_BUILT.read_text().strip() if NOT_BUILT.exists() else str(error)
        return (
            None,
            f"the C++ extension is not built ({cause}); install a C++17 compiler and reinstall fastsnf",
        )
    try:
        _native.variant("")
    except ValueError as error:
        return None, str(error)
    if os.getpid() != _PROCESS:
        _native.own_threads()  # OpenMP's may have been torch's, in the parent
    return _native, ""


def module() -> ModuleType:
    """Return the extension module.

    Raises:
        RuntimeError: when it is not built or FASTSNF_CPU names a variant that does not run here.
    """
    native, cause = _load()
    if native is None:
        raise RuntimeError(cause)
    return native


@torch.compiler.assume_constant_result
def missing() -> str:
    """Return why the engine cannot run on this machine, an empty string when it can."""
    return _load()[1]


def variants() -> list[str]:
    """Return the instruction sets that run here, the widest first; none without the extension."""
    native, _ = _load()
    return [] if native is None else [name for name, runs_here, _ in native.variants() if runs_here]


@contextlib.contextmanager
def use_variant(name: str) -> Iterator[None]:
    """Run the instruction set `name` inside the block instead of the widest.

    Raises:
        ValueError: for a name that is unknown or does not run on this processor.
    """
    module().variant(name)
    token = _variant.set(name)
    try:
        yield
    finally:
        _variant.reset(token)


def detail() -> str:
    """Return the instruction set and thread count in use, empty when the engine cannot run."""
    native, _ = _load()
    return "" if native is None else f"{native.variant(_variant.get())}, {_threads()} threads"


def reasons(device: str, dtype: torch.dtype, shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """Return why the engine cannot take a call on `device` with weights of `shapes`, nothing when it can."""
    why = _reasons(device, dtype)
    widest = max(max(shape) for shape in shapes)
    if widest > MOST_UNITS:
        why.append(f"a layer has {widest} inputs or outputs, it takes at most {MOST_UNITS}")
    return why


def _reasons(device: str, dtype: torch.dtype) -> list[str]:
    """Return why no kernel can take tensors of a real `dtype` on `device`, nothing when one can."""
    why = [missing()] if missing() else []
    if device != "cpu":
        why.append(f"tensors are on {device}, it runs on the CPU")
    if dtype != torch.float32:
        why.append(f"tensors are {dtype}, it computes in torch.float32")
    return why


def forward(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    *,
    precision: str = "fp32",
) -> Tensor:
    """Return the field's output [N, C] at x [N, D]; the only `precision` is ``fp32``, here and below."""
    x, layers, _kept = _prepare(x, weights, biases, spec)
    out = x.new_empty(x.shape[0], weights[-1].shape[0])
    module().forward(_variant.get(), layers, x.shape[0], x.data_ptr(), out.data_ptr(), _threads())
    return out


def backward(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    d_out: Tensor,
    *,
    need_x: bool = True,
    need_params: bool = True,
    precision: str = "fp32",
) -> tuple[Tensor | None, list[Tensor], list[Tensor | None]]:
    """Return the gradients of x, the weights and the biases for the cotangent d_out [N, C].

    Activations are recomputed, a tile at a time. Without `need_x` the first is None, without `need_params`
    the lists are empty.
    """
    d_weights, d_biases = _empty_gradients(weights, biases) if need_params else ([], [])
    x, layers, _kept = _prepare(x, weights, biases, spec, d_weights, d_biases)
    d_out = d_out.contiguous()
    d_x = torch.empty_like(x) if need_x else None
    module().backward(
        _variant.get(),
        layers,
        x.shape[0],
        x.data_ptr(),
        d_out.data_ptr(),
        _address(d_x),
        _threads(),
    )
    return d_x, d_weights, d_biases


def mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    sample_weight: Tensor | None = None,
    *,
    precision: str = "fp32",
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return the weighted MSE and its gradients in one pass over the points."""
    d_weights, d_biases = _empty_gradients(weights, biases)
    x, layers, _kept = _prepare(x, weights, biases, spec, d_weights, d_biases)
    target = target.contiguous()
    sample_weight = None if sample_weight is None else sample_weight.contiguous()
    loss = module().mse(
        _variant.get(),
        layers,
        x.shape[0],
        x.data_ptr(),
        target.data_ptr(),
        _address(sample_weight),
        _threads(),
    )
    return torch.tensor(loss, dtype=torch.float32), d_weights, d_biases


@dataclass(frozen=True)
class GridPoints:
    """N points of a grid: coordinate c of point number i is ``tables[c][i // strides[c] % len(tables[c])]``.

    Attributes:
        tables: the coordinates along each axis, float32 on the CPU, contiguous.
        strides: how far apart the numbers of neighbours along each of those axes are.
        index: the numbers, contiguous int64 [N] on the CPU, or a range of step 1.
    """

    tables: Sequence[Tensor]
    strides: Sequence[int]
    index: Tensor | range

    def __len__(self) -> int:
        return len(self.index)

    def packed(self) -> tuple[list[int], list[int], list[int], int, int]:
        """Return what the extension takes; valid as long as the tensors live."""
        address, begin = (
            (0, self.index.start) if isinstance(self.index, range) else (self.index.data_ptr(), 0)
        )
        tables = [table.data_ptr() for table in self.tables]
        return tables, [len(table) for table in self.tables], list(self.strides), address, begin


def forward_on_grid(
    points: GridPoints,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    *,
    threshold: float | None = None,
) -> Tensor:
    """Return the field's output [N, C] at points of a grid, whose coordinates are made tile by tile.

    With `threshold` uint8 [ceil(N / 8)]: bit j of byte i says whether point ``8 i + j`` is above it.
    """
    like = weights[0]
    _x, layers, _kept = _prepare(like.new_empty(0), weights, biases, spec)
    n, above = len(points), threshold is not None
    out = like.new_empty(-(-n // 8), dtype=torch.uint8) if above else like.new_empty(n, weights[-1].shape[0])
    addresses = (0, out.data_ptr()) if above else (out.data_ptr(), 0)
    grid = points.packed()
    module().forward_grid(_variant.get(), layers, n, grid, *addresses, threshold or 0.0, _threads())
    return out


def mse_on_grid(
    points: GridPoints,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return what `mse_value_and_grad` does at points of a grid.

    `target` is float32 [N, C], or for one output the bits of the whole grid, uint8: bit i & 7 of byte i >> 3
    is the value of point number i.
    """
    d_weights, d_biases = _empty_gradients(weights, biases)
    like = weights[0]
    _x, layers, _kept = _prepare(like.new_empty(0), weights, biases, spec, d_weights, d_biases)
    target = target.contiguous()
    sample_weight = None if sample_weight is None else sample_weight.contiguous()
    bits = target.dtype == torch.uint8
    loss = module().mse_grid(
        _variant.get(),
        layers,
        len(points),
        points.packed(),
        0 if bits else target.data_ptr(),
        target.data_ptr() if bits else 0,
        _address(sample_weight),
        _threads(),
    )
    return torch.tensor(loss, dtype=torch.float32), d_weights, d_biases


def adjusted_mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    groups: int,
    offsets: int,
    slots: Tensor | None,
    vectors: Tensor,
    coefficients: Tensor,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor | None], Tensor]:
    """Return the weighted MSE, gradients of residuals that S = I - V diag(a) V^T has adjusted, and `largest`.

    One pass over the points, some whole offsets at a time, so that the correction stays inside a tile, up to
    `MOST_GROUPS` groups. `slots` [N] int64 ascends and is None where every group
    has every offset, `vectors` V are [groups, k], `coefficients` a [k]. `largest` [groups] holds the row of
    each group's largest ``sum_c |sqrt(w) r_c|`` before the adjustment, row 0 for a group without points.

    Raises:
        ValueError: when the points do not lie as the layout says, or V and a do not fit it.
    """
    d_weights, d_biases = _empty_gradients(weights, biases)
    x, layers, _kept = _prepare(x, weights, biases, spec, d_weights, d_biases)
    if vectors.shape != (groups, len(coefficients)):
        raise ValueError(
            f"expected vectors [{groups}, {len(coefficients)}]: a row a group and a column a coefficient; "
            f"got {list(vectors.shape)}"
        )
    if slots is not None and slots.shape != x.shape[:1]:
        raise ValueError(f"expected a slot of each of the {len(x)} points; got {list(slots.shape)}")
    target = target.contiguous()
    vectors, coefficients = (t.to(torch.float32).contiguous() for t in (vectors, coefficients))
    slots = None if slots is None else slots.to(torch.int64).contiguous()
    sample_weight = None if sample_weight is None else sample_weight.contiguous()
    largest = x.new_empty(groups, dtype=torch.int64)
    loss = module().adjusted_mse(
        _variant.get(),
        layers,
        x.shape[0],
        x.data_ptr(),
        target.data_ptr(),
        _address(sample_weight),
        groups,
        offsets,
        _address(slots),
        len(coefficients),
        vectors.data_ptr(),
        coefficients.data_ptr(),
        largest.data_ptr(),
        _threads(),
    )
    return torch.tensor(loss, dtype=torch.float32), d_weights, d_biases, largest


def layer_trace(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    d_out: Tensor,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return every layer's inputs [N, fan_in] and cotangents [N, fan_out] for ``s = sum_c d_out_c out_c``.

    The first layer's inputs are `x` itself. Cotangents are ``ds/dRe u - i ds/dIm u``; both are complex where
    the layer's weights are.
    """
    points, layers, _kept = _prepare(x, weights, biases, spec)
    d_out = d_out.contiguous()
    inputs, cotangents = [x], []
    for i, weight in enumerate(weights):
        fan_out, fan_in = weight.shape
        inputs += [x.new_empty(len(x), fan_in, dtype=weight.dtype)] if i else []
        cotangents.append(x.new_empty(len(x), fan_out, dtype=weight.dtype))
    outputs = [(a.data_ptr(), d.data_ptr()) for a, d in zip(inputs, cotangents, strict=True)]
    outputs[0] = (0, outputs[0][1])
    module().trace(_variant.get(), layers, len(x), points.data_ptr(), d_out.data_ptr(), outputs, _threads())
    return inputs, cotangents


def gram_reasons(device: torch.device, dtype: torch.dtype, shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """Return why `gram` cannot take operands of a real `dtype` on `device`, nothing when it can.

    `shapes` are the layers' (fan_in, fan_out).
    """
    why = _reasons(device.type, dtype)
    if any(0 in shape for shape in shapes):
        why.append("a layer has no inputs or no outputs")
    return why


def gram(inputs: Sequence[Tensor], cotangents: Sequence[Tensor], bias: Sequence[bool]) -> Tensor:
    """Return ``K = sum_l Re[(A_l A_l^H + bias_l) * (D_l D_l^H)]`` [B, n, n], symmetric to the last bit.

    A [B, n, fan_in] and D [B, n, fan_out] are float32 or complex64. The same bits for every thread count.
    """
    blocks, n = inputs[0].shape[:2]
    out = inputs[0].new_empty(blocks, n, n, dtype=torch.float32)
    layers, kept = [], []
    for a, d, has_bias in zip(inputs, cotangents, bias, strict=True):
        a, d = _dense(a), _dense(d)
        kept += [a, d]
        layers.append(
            (
                a.shape[2],
                d.shape[2],
                a.is_complex(),
                d.is_complex(),
                bool(has_bias),
                a.data_ptr(),
                d.data_ptr(),
            )
        )
    if blocks:
        module().gram(_variant.get(), layers, blocks, n, out.data_ptr(), _threads())
    return out


def _dense(tensor: Tensor) -> Tensor:
    """Return a tensor whose memory is what it says, row by row.

    A lazily conjugated or negated one is contiguous and still is not.
    """
    return tensor.resolve_conj().resolve_neg().contiguous()


def _threads() -> int:
    return min(torch.get_num_threads(), MOST_THREADS)


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _empty_gradients(
    weights: Sequence[Tensor], biases: Sequence[Tensor | None]
) -> tuple[list[Tensor], list[Tensor | None]]:
    contiguous = torch.contiguous_format
    return (
        [torch.empty_like(weight, memory_format=contiguous) for weight in weights],
        [None if bias is None else torch.empty_like(bias, memory_format=contiguous) for bias in biases],
    )


def _prepare(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    d_weights: Sequence[Tensor] = (),
    d_biases: Sequence[Tensor | None] = (),
) -> tuple[Tensor, list[tuple[Any, ...]], list[Tensor | None]]:
    """Return contiguous x, one tuple a layer for the extension, and the tensors that own its pointers."""
    kept: list[Tensor | None] = []
    layers = []
    for i, act in enumerate(spec.activations):
        weight, bias = _dense(weights[i]), biases[i]
        bias = None if bias is None else _dense(bias)
        kept += [weight, bias]
        layers.append(
            (
                weight.shape[1],
                weight.shape[0],
                spec.complex_weights(i),
                ACTIVATION_CODES[act.name],
                getattr(act, "omega", 0.0),
                act.amplitude if isinstance(act, Sinc) else getattr(act, "scale", 0.0),
                weight.data_ptr(),
                _address(bias),
                _address(d_weights[i]) if d_weights else 0,
                _address(d_biases[i]) if d_biases else 0,
            )
        )
    return x.contiguous(), layers, kept

"""The CUDA engine: kernels of ``csrc/cuda`` behind ``fastsnf._cuda``, on float32 and complex64 of a GPU.

It computes blocks of the empirical NTK and small eigen-decompositions. Tensors are checked by `fastsnf.ops`
and cross as pointers, sizes and the current stream of their device. Importing needs no GPU.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fastsnf.engines import nvidia

MOST_UNITS = 1 << 24
"""The widest layer, as the extension checks it."""

MOST_SIDE = 64
"""The largest matrix that `eigh_small` takes: two of them fill a multiprocessor's shared memory."""

NOT_BUILT = Path(__file__).parent.parent / "_cuda_not_built.txt"
"""Where the build leaves the compiler's message when it fails."""


@functools.cache
def _load() -> tuple[ModuleType | None, str]:
    """Return the extension and, where it is missing, why: the build's note and the import's error."""
    try:
        from fastsnf import _cuda
    except ImportError as error:
        cause = str(error)
        if NOT_BUILT.exists():
            cause = f"{NOT_BUILT.read_text(encoding='utf-8').strip()}; {cause}"
        return (
            None,
            f"the CUDA extension is not built ({cause}); install nvcc 12 or newer and reinstall fastsnf",
        )
    return _cuda, ""


def module() -> ModuleType:
    """Return the extension module.

    Raises:
        RuntimeError: when it is not built.
    """
    extension, cause = _load()
    if extension is None:
        raise RuntimeError(cause)
    return extension


@torch.compiler.assume_constant_result
def missing() -> str:
    """Return why the engine cannot run on this machine, an empty string when it can."""
    if cause := _load()[1]:
        return cause
    return nvidia.absent("the extension")


def detail() -> str:
    """Return the GPU and what the extension is compiled for, empty when the engine cannot run."""
    if missing():
        return ""
    extension = module()
    name = torch.cuda.get_device_name()
    return f"{name}, compiled by CUDA {extension.TOOLKIT} for {extension.ARCHITECTURES}"


def gram_reasons(device: torch.device, dtype: torch.dtype, shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """Return why the engine cannot take a call, nothing when it can.

    Args:
        device: where the tensors are.
        dtype: the real type of their numbers.
        shapes: (fan_in, fan_out) of every layer.
    """
    if cause := missing():
        why = [cause]
    elif device.type != "cuda":
        why = [f"tensors are on {device.type}, it runs on NVIDIA GPUs"]
    else:
        why = [cause] if (cause := _gpu_failure(device.index)) else []
    if dtype != torch.float32:
        why.append(f"tensors are {dtype}, it computes in torch.float32")
    widest = max([0, *(max(shape) for shape in shapes)])  # torch.compile does not trace max's default
    if widest > MOST_UNITS:
        why.append(f"a layer has {widest} inputs or outputs, it takes at most {MOST_UNITS}")
    return why


def gram(inputs: Sequence[Tensor], cotangents: Sequence[Tensor], bias: Sequence[bool]) -> Tensor:
    """Return ``K = sum_l Re[(A_l A_l^H + bias_l) o (D_l D_l^H)]`` [B, n, n], symmetric bit for bit.

    Both products, their elementwise product and the sum over layers stay on the chip: nothing is allocated
    but K, and copies of tensors whose rows are not contiguous.

    Args:
        inputs: A, [B, n, fan_in] each.
        cotangents: D, [B, n, fan_out] each; complex ones as ``ds/dRe u - i ds/dIm u``.
        bias: which layers have one.
    """
    batch, points, _ = inputs[0].shape
    kept = [(_rows(a), _rows(d), has) for a, d, has in zip(inputs, cotangents, bias, strict=True)]
    layers = [(_operand(a), _operand(d), has) for a, d, has in kept]
    out = torch.empty(batch, points, points, dtype=torch.float32, device=inputs[0].device)
    with torch.cuda.device_of(out):
        module().gram(out.data_ptr(), batch, points, layers, *_place(out))
    return out


def eigh_small(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues [B, m], ascending, and orthonormal vectors [B, m, m] of symmetric [B, m, m].

    One launch, nothing waits for the device; equal input gives equal bits. A matrix with a number that is not
    finite gives NaN.

    Args:
        matrix: float32, m at most `MOST_SIDE`.
    """
    batch, m, _ = matrix.shape
    matrix = matrix.contiguous()
    values, vectors = matrix.new_empty(batch, m), torch.empty_like(matrix)
    pointers = [tensor.data_ptr() for tensor in (matrix, values, vectors)]
    with torch.cuda.device_of(matrix):
        module().eigh_small(*pointers, batch, m, *_place(matrix))
    return values, vectors


def _rows(tensor: Tensor) -> Tensor:
    """Return the tensor with the numbers of a row next to each other, as they are meant."""
    tensor = tensor.resolve_conj().resolve_neg()
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def _operand(tensor: Tensor) -> tuple[Any, ...]:
    """Return (address, width, batch stride, row stride, is complex), as the extension takes it."""
    return (tensor.data_ptr(), tensor.shape[-1], tensor.stride(0), tensor.stride(1), tensor.is_complex())


def _place(tensor: Tensor) -> tuple[int, int]:
    """Return the device and the stream of a launch."""
    index = tensor.get_device()
    return index, torch.cuda.current_stream(index).cuda_stream


@torch.compiler.assume_constant_result
def _gpu_failure(index: int | None) -> str:
    return nvidia.failure(index, _launch)


def _launch(device: torch.device) -> str:
    """Return what goes wrong when a kernel runs on a GPU, an empty string when nothing does."""
    one = torch.ones(1, 1, 1, dtype=torch.float32, device=device)
    try:
        result = float(gram([one], [one], [True]))
    except RuntimeError as error:  # a driver older than the toolkit that compiled it, ...
        return f"the CUDA extension cannot run a kernel here ({' '.join(str(error).split())[:300]})"
    return "" if result == 2.0 else f"the CUDA extension computes wrongly here (1 + 1 = {result})"

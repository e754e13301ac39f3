"""Whether the engine can run: what is missing, for the machine as a whole and for one call.

Importable without triton. Kernels are launched once on each GPU before the answer is yes, so that a broken
installation is a reason and no crash.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from fastsnf.engines import nvidia
from fastsnf.engines.triton.launch import architecture_of, triton_interprets
from fastsnf.spec import FieldSpec

MOST_UNITS = 4096
"""The widest layer that has tiles."""


@torch.compiler.assume_constant_result
def missing() -> str:
    """Return why the engine cannot run on this machine, an empty string when it can."""
    if cause := _import_failure():
        return cause
    if triton_interprets():
        return ""
    return nvidia.absent("the kernels are tuned")


@torch.compiler.assume_constant_result
def interpreted() -> bool:
    """Return whether kernels are interpreted on the CPU (TRITON_INTERPRET=1), for tests and debugging."""
    return triton_interprets()


def detail() -> str:
    """Return the GPU and Triton's version, empty when the engine cannot run."""
    if missing():
        return ""
    import triton

    if triton_interprets():
        return f"interpreted on the CPU (TRITON_INTERPRET=1), triton {triton.__version__}"
    major, minor = torch.cuda.get_device_capability()
    tiles = architecture_of(major, minor)
    return f"{torch.cuda.get_device_name()}, tiles of {tiles}, triton {triton.__version__}"


def reasons(
    device: torch.device, dtype: torch.dtype, shapes: Sequence[tuple[int, ...]], spec: FieldSpec
) -> list[str]:
    """Return why the engine cannot take a call with weights of `shapes`, nothing when it can."""
    if cause := missing():
        why = [cause]
    elif triton_interprets():
        why = (
            [] if device.type == "cpu" else [f"tensors are on {device.type}, the interpreter takes the CPU's"]
        )
    elif device.type != "cuda":
        why = [f"tensors are on {device.type}, it runs on NVIDIA GPUs"]
    else:
        why = [cause] if (cause := _gpu_failure(device.index)) else []
    if dtype != torch.float32:
        why.append(f"tensors are {dtype}, it takes torch.float32")
    widest = max(max(shape) for shape in shapes)
    if widest > MOST_UNITS:
        why.append(f"a layer has {widest} inputs or outputs, it takes at most {MOST_UNITS}")
    return why


@functools.cache
def _import_failure() -> str:
    try:
        import triton  # noqa: F401
    except Exception as error:  # a broken installation raises anything
        return f"triton cannot be imported ({type(error).__name__}: {error}); pip install triton"
    return ""


@torch.compiler.assume_constant_result
def _gpu_failure(index: int | None) -> str:
    return nvidia.failure(index, _launch)


def _launch(device: torch.device) -> str:
    """Return what goes wrong when a kernel runs on a GPU, an empty string when nothing does."""
    try:
        from fastsnf.engines.triton.kernels.probe import run_probe

        run_probe(device)
    except Exception as error:  # a missing C compiler, a driver that is too old, ...
        return (
            f"Triton cannot run a kernel here ({type(error).__name__}: {' '.join(str(error).split())[:300]})"
        )
    return ""

"""The GPU under the engines `triton` and `cuda`: whether there is one, new enough, on which a kernel runs."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

LEAST_CAPABILITY = (8, 0)
"""The first GPUs whose matrix units take tf32 and bf16, and that the CUDA extension is compiled for."""


def absent(kernels: str) -> str:
    """Return why PyTorch has no GPU for `kernels`, as the reason calls them; an empty string when it has."""
    if torch.version.hip is not None:
        return f"this PyTorch is built for AMD GPUs, {kernels} for NVIDIA's"
    if not torch.cuda.is_available():
        return "PyTorch sees no NVIDIA GPU"
    return ""


def failure(index: int | None, launch: Callable[[torch.device], str]) -> str:
    """Return why kernels cannot run on a GPU, an empty string when they can.

    Args:
        index: of the GPU; None: the current one.
        launch: runs a kernel there and returns what went wrong; called once for each GPU.
    """
    if torch.cuda.is_current_stream_capturing():
        return ""  # the probe waits for its result, which would break the capture
    return _probe(torch.cuda.current_device() if index is None else index, launch)


@functools.cache
def _probe(index: int, launch: Callable[[torch.device], str]) -> str:
    capability = torch.cuda.get_device_capability(index)
    if capability < LEAST_CAPABILITY:
        least, found = (".".join(map(str, version)) for version in (LEAST_CAPABILITY, capability))
        return f"the GPU has compute capability {found}, it takes {least} or newer"
    return launch(torch.device("cuda", index))

"""What a fit says when the memory of the GPU does not suffice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from fastsnf.errors import RunError


@contextlib.contextmanager
def gpu_memory() -> Iterator[None]:
    """Make an error of torch's GPU allocator in the block one that a user can act on.

    Engines take fewer points at a time before it comes to that; what is left does not fit at all.

    Raises:
        RunError: in place of `torch.OutOfMemoryError`.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        # Three sentences of torch's: that memory is out, what was asked for, and how much the GPU has.
        got = ". ".join(" ".join(str(error).split()).split(". ")[:3]).rstrip(".")
        raise RunError(
            f"expected GPU memory for the data, the field and a step; got: {got}: close other programs on "
            "the GPU, lower batch_size or hidden_features, or fit on the CPU"
        ) from error

"""Small tensors of the host on their way to a GPU."""

from __future__ import annotations

import torch
from torch import Tensor


def uploaded(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on a device; the host does not wait for the copy of one of its own to a GPU."""
    device = torch.device(device)
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)  # from memory that may move, it would wait

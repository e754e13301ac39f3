"""Bytes of tensors alive, as torch's operators make and free them: on the CPU and on meta tensors alike."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """Counts the storages that operators inside the block make; tensors of before do not count.

    Attributes:
        now, peak: bytes alive, and the most at once.
        made: (bytes, operator) of every storage, in order.
    """

    def __init__(self, before: Sequence[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.made: list[tuple[int, str]] = []
        self._seen = weakref.WeakKeyDictionary({tensor.untyped_storage(): 0 for tensor in before})

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                self._seen.setdefault(leaf.untyped_storage(), 0)
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage() not in self._seen:
                self._add(leaf.untyped_storage(), str(func))
        return result

    def _add(self, storage: torch.UntypedStorage, operator: str) -> None:
        size = storage.nbytes()
        self._seen[storage] = size
        self.made.append((size, operator))
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size

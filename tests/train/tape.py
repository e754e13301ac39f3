"""A stand-in for CUDA graphs on the CPU: torch's operations are recorded, and only they are replayed.

As on a GPU, recording changes no tensor that was there before, tensors that were made hold nothing until the
first replay, Python does not run again, and reading a number on the host breaks the recording.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

T = TypeVar("T")
READS = ("aten::_local_scalar_dense", "aten::item", "aten::equal", "aten::nonzero")


class Tape(TorchDispatchMode):
    """Operations with the very tensors that they took and made."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []
        self.made: list[Tensor] = []
        self._before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name
        if name in READS:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        written = [
            leaf
            for argument, value in zip(func._schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
            for leaf in tree_leaves(value)
            if isinstance(leaf, Tensor)
        ]
        for tensor in written:
            key = tensor.untyped_storage().data_ptr()
            if key not in self._before and key not in {m.untyped_storage().data_ptr() for m in self.made}:
                self._before[key] = (tensor, tensor.clone())
        out = func(*args, **kwargs)
        outs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        fresh = [] if any(r.alias_info for r in func._schema.returns) else outs
        self.made += fresh
        self.calls.append((func, args, kwargs, fresh))
        return out

    def forget(self) -> None:
        """Undo what the recording did: old tensors hold what they held, new ones nothing."""
        for tensor, before in self._before.values():
            tensor.copy_(before)
        for tensor in self.made:
            spoil(tensor)

    def replay(self) -> None:
        """Do the recorded operations again, into the same tensors."""
        with torch.no_grad():
            for func, args, kwargs, fresh in self.calls:
                outs = [leaf for leaf in tree_leaves(func(*args, **kwargs)) if isinstance(leaf, Tensor)]
                for old, new in zip(fresh, outs, strict=bool(fresh)):
                    old.copy_(new)


def spoil(tensor: Tensor) -> None:
    """Fill a tensor with NaN, or with zeros where it holds integers."""
    tensor.fill_(torch.nan if tensor.is_floating_point() or tensor.is_complex() else 0)


class TapeGraphs:
    """Records tapes; counts what it is asked to do."""

    def __init__(self) -> None:
        self.asides = self.records = self.replays = 0

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        self.asides += 1
        yield

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        tape = Tape()
        try:
            with tape:
                result = work()
        finally:
            with torch.no_grad():
                tape.forget()
        self.records += 1

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return replay, result

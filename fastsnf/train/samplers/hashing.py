"""Pseudo-random numbers as a function of a key and a counter: the same on every device, nothing to save."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def key_of(*parts: object) -> int:
    """Return 64 bits, as a signed number, that depend on all of `parts`."""
    text = ":".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True)


def hashes(counters: Tensor, key: int) -> Tensor:
    """Return the outputs of SplitMix64 number `counters` (int64, from 1) from the state `key`, int64.

    Steele et al. 2014, "Fast splittable pseudorandom number generators": a bijection of 64 bits, so that no
    two counters give the same. `counters` is overwritten.
    """
    z = counters.mul_(_GOLDEN).add_(key)
    z = (z ^ shifted(z, 30)).mul_(_FIRST)
    z = (z ^ shifted(z, 27)).mul_(_SECOND)
    return z ^ shifted(z, 31)


def shifted(z: Tensor, bits: int) -> Tensor:
    """Return z >> bits with zeros shifted in, as for an unsigned number."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def draws(count: int, below: int, key: int, device: torch.device | str = "cpu") -> Tensor:
    """Return `count` independent numbers in [0, below), int64, `below` at most 2^40.

    The remainder of 63 bits: each number is as likely as any other to below / 2^63.
    """
    z = hashes(torch.arange(1, count + 1, device=device), key)
    return shifted(z, 1).remainder_(below)


_GOLDEN, _FIRST, _SECOND = (
    constant - (1 << 64) for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
"""SplitMix64's constants as signed numbers; products wrap around."""

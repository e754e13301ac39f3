"""A pseudo-random order of very many points that nobody holds: where a point stands is computed.

A Feistel network permutes more numbers than there are points, by less than their square root; the few that
leave the range are sent through it again until they come back (cycle walking: Black & Rogaway 2002, "Ciphers
with arbitrary finite domains"). All of it is integer arithmetic: every device gives the same order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf.train.samplers.hashing import key_of

ROUNDS = 6
"""Rounds of the network. Four make a strong pseudo-random permutation of an ideal round function (Luby &
Rackoff 1988); ours is two multiplications. Two rounds more are some twenty operations on the numbers of a
batch."""

_MOST = 1 << 40


class Bijection:
    """A permutation of the numbers 0 .. size - 1, drawn by a key.

    A number is ``left * 2^k + right``, with `right` below 2^k, k being half the bits of `size`, and `left`
    below ``ceil(size / 2^k)``. A round adds a hash of one to the other, in turn; each round can be undone, so
    that no two numbers become one.

    Args:
        size: how many, 1 to 2^40.
        key: what draws it, any objects that print alike whenever they are the same.
    """

    def __init__(self, size: int, *key: object) -> None:
        assert 1 <= size <= _MOST, "halves are multiplied with 32 bits"
        self.size = size
        self._bits = (size - 1).bit_length() // 2
        self._lefts = -(-size >> self._bits)
        self._keys = [key_of(*key, "round", number) for number in range(ROUNDS)]
        self._walks: int | None = None

    def at(self, first: int, last: int, device: torch.device | str = "cpu") -> Tensor:
        """Return what the numbers first .. last - 1 become, int64 [last - first], without waiting."""
        numbers = self._once(torch.arange(first, last, device=device))
        if numbers.device.type == "cpu":
            while len(outside := (numbers >= self.size).nonzero().squeeze(1)):
                numbers[outside] = self._once(numbers[outside])
            return numbers
        for _ in range(self._most_walks()):  # where to look is to wait
            numbers = torch.where(numbers < self.size, numbers, self._once(numbers.clone()))
        return numbers

    def _most_walks(self) -> int:
        """Return how often a number that left the range goes through the network at most, to come back."""
        if self._walks is None:
            outside = torch.arange(self.size, self._lefts << self._bits)
            self._walks, before = 0, len(outside) + 1
            while 0 < len(outside) < before:  # what stays goes round in circles that nothing enters
                self._walks, before = self._walks + 1, len(outside)
                outside = self._once(outside)
                outside = outside[outside >= self.size]
        return self._walks

    def _once(self, numbers: Tensor) -> Tensor:
        """Return what the network makes of `numbers`, which it overwrites."""
        bits, lefts = self._bits, self._lefts
        right = numbers & ((1 << bits) - 1)
        left = numbers.bitwise_right_shift_(bits)
        for number, key in enumerate(self._keys):
            if number % 2:
                right.bitwise_xor_(_hash(left, key).bitwise_right_shift_(32 - bits))
            else:
                left.add_(_hash(right, key).mul_(lefts).bitwise_right_shift_(32))
                left.sub_((left >= lefts) * lefts)
        return left.bitwise_left_shift_(bits).bitwise_or_(right)


def _hash(numbers: Tensor, key: int) -> Tensor:
    """Return 32 bits for each of `numbers`, int64 in [0, 2^32)."""
    z = (numbers + key).mul_(_FIRST)
    z = (z ^ (z >> 32)).mul_(_SECOND)
    return (z >> 32).bitwise_and_(0xFFFFFFFF)


_FIRST, _SECOND = (constant - (1 << 64) for constant in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The multipliers of SplitMix64 as signed numbers; products wrap around."""

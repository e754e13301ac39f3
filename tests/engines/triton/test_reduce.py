"""Ordered sums: the very bits of one addition after the other, in any layout and in any number of calls."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")

from fastsnf.engines.triton import layers
from tests import cases
from tests.engines.triton.layer_problem import DEVICE, buffer


def in_order(partials, start=None):
    total = torch.zeros_like(partials[0]) if start is None else start.clone()
    for partial in partials:
        total += partial
    return total


@pytest.mark.parametrize("count", [1, 3, 4, 9])
@pytest.mark.parametrize("accumulate", [False, True])
def test_sums_are_taken_from_left_to_right(count, accumulate):
    partials = torch.randn(count, 33, 70, generator=cases.generator(count)).to(DEVICE)
    start = torch.randn(31, 65, generator=cases.generator(7)).to(DEVICE)
    out = start.clone() if accumulate else buffer(31, 65)
    layers.sum_partials(partials, out, accumulate=accumulate)
    assert torch.equal(out, in_order(partials[:, :31, :65], start if accumulate else None))


def test_sums_of_vectors_and_scalars():
    partials = torch.randn(5, 40, generator=cases.generator(0)).to(DEVICE)
    out, loss = buffer(33), buffer()
    layers.sum_partials(partials, out, accumulate=False)
    layers.sum_partials(partials[:, 2], loss, accumulate=False)
    assert torch.equal(out, in_order(partials[:, :33]))
    assert torch.equal(loss, in_order(partials[:, 2]))


def test_any_strides():
    block = torch.randn(6, 10, 4, generator=cases.generator(0)).to(DEVICE)
    memory = buffer(3, 20)
    out = memory.T[::2]
    layers.sum_partials(block[..., :3], out, accumulate=False)
    assert torch.equal(out, in_order(block[..., :3]))
    assert bool(memory[:, 1::2].isnan().all())
    column = buffer(10)
    layers.sum_partials(block[..., 3], column, accumulate=False)
    assert torch.equal(column, in_order(block[..., 3]))


@pytest.mark.parametrize("group", [2, 5, 8])
def test_groups_are_one_term_each(group):
    partials = torch.randn(23, 45, generator=cases.generator(group)).to(DEVICE)
    exact = partials.double().sum(0)
    results = []
    for chunk in (group, 2 * group, 24 * group):
        out = buffer(45)
        for begin in range(0, 23, chunk):
            part = partials[begin : begin + chunk].clone()
            layers.sum_partials(part, out, accumulate=begin > 0, group=group)
        results.append(out)
    assert all(torch.equal(results[0], other) for other in results[1:])
    assert float((results[0] - exact).abs().max()) <= 1e-5


def test_groups_of_matrices():
    partials = torch.randn(7, 4, 6, generator=cases.generator(0)).to(DEVICE)
    out, exact = buffer(4, 6), partials.double().sum(0)
    layers.sum_partials(partials, out, accumulate=False, group=3)
    assert float((out - exact).abs().max()) <= 1e-5


def test_not_a_number_stays_in_its_column():
    partials = torch.ones(9, 40, device=DEVICE)
    partials[4, 3] = float("nan")
    for group in (1, 3):
        out = buffer(40)
        layers.sum_partials(partials.clone(), out, accumulate=False, group=group)
        assert out.isnan().nonzero().flatten().tolist() == [3]

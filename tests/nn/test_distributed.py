"""A field inside DistributedDataParallel: two gloo processes make the step of one."""

from __future__ import annotations

import copy
import os
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from fastsnf.nn import SNF
from tests.cases import generator, random_points
from tests.tolerances import FLOAT32, assert_close
from tests.train.gang import free_port

PROCESSES = 2
STEPS = 3


def make_field() -> SNF:
    return SNF(2, 3, 8, 1, generator=generator(0))


def train(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (module(x) - y).square().mean().backward()
        optimizer.step()


def work(rank: int, port: int, folder: str, x: torch.Tensor, y: torch.Tensor) -> None:
    """Train on this rank's share and write the parameters."""
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group(
        "gloo", init_method=address, rank=rank, world_size=PROCESSES, timeout=timedelta(seconds=60)
    )
    field = make_field()
    if rank:  # DDP spreads rank 0's parameters
        with torch.no_grad():
            for parameter in field.parameters():
                parameter.zero_()
    wrapped = torch.nn.parallel.DistributedDataParallel(field)
    train(wrapped, x[rank::PROCESSES], y[rank::PROCESSES])
    torch.save(field.state_dict(), Path(folder) / f"{rank}.pt")
    distributed.barrier()
    # Without destructors: gloo's (torch 2.13) joins its threads under the interpreter's lock, which one of
    # them may wait for to let go of the last all-reduce, and the process never ends.
    os._exit(0)


@pytest.mark.skipif(not distributed.is_available(), reason="this torch has no distributed package")
def test_two_processes_make_the_steps_of_one(tmp_path: Path) -> None:
    x, y = random_points(16, 2), random_points(16, 3)
    alone = make_field()
    initial = copy.deepcopy(alone)
    train(alone, x, y)
    multiprocessing.spawn(work, (free_port(), str(tmp_path), x, y), nprocs=PROCESSES)
    states = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]
    for name, expected in alone.state_dict().items():
        assert torch.equal(states[0][name], states[1][name])
        assert_close(states[0][name], expected, FLOAT32, name)
        assert not torch.equal(states[0][name], initial.state_dict()[name])

"""Fits that several processes make together, and what each of them came to."""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fastsnf.train.parallel import World, joined, leave
from tests.train.processes import join, start


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def together(size: int, work: Callable[..., Any], folder: Path, *args: Any) -> list[Any]:
    """Return what `work(world, *args)` returns, or the error that it raises, in each of `size` processes.

    That is None of a process that ended on its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    processes = [start(_member, rank, size, port, folder, work, args) for rank in range(size)]
    for process in processes:
        assert join(process) == 0
    files = [folder / f"{rank}.pickle" for rank in range(size)]
    return [pickle.loads(file.read_bytes()) if file.exists() else None for file in files]


def announce(rank: int, size: int, port: int) -> None:
    """Set the variables that torchrun sets."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _member(rank: int, size: int, port: int, folder: Path, work: Callable[..., Any], args: Any) -> None:
    torch.set_num_threads(1)
    announce(rank, size, port)
    try:
        with joined() as world:
            assert (world.rank, world.size, World.current()) == (rank, size, world)
            outcome = work(world, *args)
        assert World.current() == World()
    except Exception as error:
        outcome = error
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(outcome))
    sys.stdout.flush()
    leave(0)

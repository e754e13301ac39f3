"""Options and fixtures of the whole suite: counts, GPU tests, seeds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

# Threads that spin while they wait slow down every other process of a 2-core machine; read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("KMP_BLOCKTIME", "0")

if "TRITON_INTERPRET" not in os.environ:  # read when triton loads: without a GPU its interpreter runs kernels
    import torch

    os.environ["TRITON_INTERPRET"] = "0" if torch.cuda.is_available() else "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="every count in full (a tenth of each otherwise)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--all"):
        os.environ["FASTSNF_TEST_ALL"] = "1"  # read by tests.cases.count, while collecting too
    if find_spec("hypothesis"):  # a GPU machine's own Python may lack it, and its tests do without
        from hypothesis import settings

        # No deadline: machines are shared. Derandomized: a red suite is red again on the next run.
        settings.register_profile("fastsnf", deadline=None, derandomize=True, database=None)
        settings.load_profile("fastsnf")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu` where there is no CUDA device; torch is asked only if something is."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture
def count() -> Callable[[int], int]:
    """`tests.cases.count`: a tenth of a full count, all of it with ``--all``."""
    from tests import cases

    return cases.count


@pytest.fixture(autouse=True)
def _isolated() -> Iterator[None]:
    """Seed torch before each test, and give back the thread count and the default dtype after it."""
    import torch

    torch.manual_seed(0)
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    yield
    torch.set_default_dtype(dtype)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)

"""What tests of training share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from fastsnf.train import chunks


@pytest.fixture
def new_process() -> Iterator[None]:
    """One thread, and no chunk size that another test has found."""
    torch.set_num_threads(1)
    chunks.forget()
    yield
    chunks.forget()

from __future__ import annotations

import pytest
import torch

from fastsnf.errors import RunError
from tests.train.samples import fit_small

MESSAGE = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.72 GiB of which "
    "1.12 GiB is free. Including non-PyTorch memory, this process has 138.5 GiB memory in use."
)


def test_a_full_gpu_is_an_error_that_says_what_to_do():
    def loss(out, target, weights):
        raise torch.OutOfMemoryError(MESSAGE)

    with pytest.raises(RunError) as caught:
        fit_small(loss=loss)
    text = str(caught.value)
    assert "\n" not in text
    assert "Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.72 GiB" in text
    assert "lower batch_size" in text
    assert "Including" not in text

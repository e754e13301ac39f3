"""What both GPU engines ask of a GPU, of some that are made up: 1 is too old, 2 is broken, 0 is current."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from fastsnf.engines import cuda, nvidia


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list of the GPUs on which kernels were launched."""
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (7, 5) if index == 1 else (9, 0))
    return []


@pytest.fixture
def ask(launches: list[int]) -> Callable[[int | None], str]:
    """Return a function that asks about a GPU."""

    def launch(device: torch.device) -> str:
        launches.append(device.index)
        return "a broken driver" if device.index == 2 else ""

    return lambda index: nvidia.failure(index, launch)


def test_every_gpu_is_tried_once(ask: Callable[[int | None], str], launches: list[int]) -> None:
    assert [ask(index) for index in (0, 2, None, 2)] == ["", "a broken driver"] * 2
    assert launches == [0, 2]


def test_an_old_one_is_not_tried(ask: Callable[[int | None], str], launches: list[int]) -> None:
    assert ask(1) == "the GPU has compute capability 7.5, it takes 8.0 or newer"
    assert launches == []


def test_none_is_tried_while_a_graph_is_captured(
    ask: Callable[[int | None], str], launches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert ask(2) == ""
    assert launches == []


def test_why_there_is_none(launches: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert nvidia.absent("the kernels are tuned") == ""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert nvidia.absent("the kernels are tuned") == "PyTorch sees no NVIDIA GPU"
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert nvidia.absent("the extension") == "this PyTorch is built for AMD GPUs, the extension for NVIDIA's"


def test_the_extension_is_tried_in_its_own_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernels read float32, whatever torch's default is; the test suite gives that back."""

    def gram(inputs: list[torch.Tensor], cotangents: list[torch.Tensor], bias: list[bool]) -> torch.Tensor:
        assert inputs[0].dtype == cotangents[0].dtype == torch.float32
        return inputs[0] + cotangents[0]

    monkeypatch.setattr(cuda, "gram", gram)
    torch.set_default_dtype(torch.float64)
    assert cuda._launch(torch.device("cpu")) == ""

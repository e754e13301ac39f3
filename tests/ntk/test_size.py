"""What an NTK matrix takes, asked before anything is allocated."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.ntk import size
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.size import check_fits, gram_bytes, in_words, size_estimate

MIB = 1 << 20


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 MiB of memory, and no matrix too small to ask."""
    monkeypatch.setattr(size, "available_bytes", lambda device: MIB)
    monkeypatch.setattr(size, "SMALL", 0)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("outputs", ["sum", "each", "full"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_matrix_is_counted_to_the_byte(dtype: torch.dtype, outputs: str, batch: int) -> None:
    field = SNF(2, 3, 8, 1, dtype=dtype)
    gram = empirical_ntk(field, torch.rand(batch, 7, 2, dtype=dtype), outputs=outputs)
    assert gram.numel() * gram.element_size() == gram_bytes(7, outputs, 3, dtype, batch)
    for module, channels in ((field, None), (nn.Sequential(field), 3)):
        estimate = size_estimate(module, 7, outputs=outputs, channels=channels, batch=batch)
        assert estimate.matrix == gram_bytes(7, outputs, 3, dtype, batch)
        assert estimate.work > 0


def test_traces_are_counted() -> None:
    real, complex_ = SNF(2, 3, 8, 1), SNF(2, 3, 8, 1, activation="gabor")
    widths = (2 + 8) + (8 + 8) + (8 + 3)
    assert size_estimate(complex_, 10).work > size_estimate(real, 10).work >= 10 * widths * 4
    assert size_estimate(real, 10, outputs="full").work >= 4 * 10 * widths * 4
    assert size_estimate(real, 10, batch=5).work >= 50 * widths * 4


def test_nothing_is_allocated_for_the_answer() -> None:
    estimate = size_estimate(SNF(2, 1), 10**9)
    assert estimate.matrix == 4 * 10**18
    assert not estimate.fits


@pytest.mark.parametrize("module", [SNF(2, 3, 8, 1), nn.Sequential(nn.Linear(2, 3))], ids=["field", "module"])
@pytest.mark.parametrize("outputs", ["sum", "each", "full"])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.usefixtures("little")
def test_the_largest_number_of_points_fits_and_one_more_does_not(
    module: nn.Module, outputs: str, batch: int
) -> None:
    largest = size_estimate(module, 1, outputs=outputs, channels=3, batch=batch).largest
    check_fits(module, largest, outputs=outputs, channels=3, batch=batch)
    assert empirical_ntk(module, torch.rand(batch, largest, 2), outputs=outputs).shape[0] == batch
    for points in (largest + 1, 100 * largest):
        with pytest.raises(InputError, match=f"enough for {largest:,} points"):
            check_fits(module, points, outputs=outputs, channels=3, batch=batch)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("wrap", [lambda f: f, nn.Sequential], ids=["field", "module"])
def test_too_many_points_are_refused_with_what_would_fit(wrap) -> None:
    module = wrap(SNF(2, 3, 8, 1))
    with pytest.raises(InputError) as caught:
        empirical_ntk(module, torch.rand(600, 2))
    text = str(caught.value)
    assert "the NTK of 600 points takes 1.4 MiB and" in text
    assert "1.0 MiB are free, enough for" in text
    assert "fastsnf.ntk.NtkOperator for products without the matrix" in text
    with pytest.raises(InputError, match="the NTK of 50 points in each of 200 sets"):
        empirical_ntk(module, torch.rand(200, 50, 2))
    assert empirical_ntk(module, torch.rand(50, 2)).shape == (50, 50)
    with pytest.raises(InputError, match=r"the NTK of 300 points takes 3\.1 MiB"):
        empirical_ntk(module, torch.rand(300, 2), outputs="full")


def test_small_matrices_ask_no_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "available_bytes", None)
    assert empirical_ntk(SNF(2, 3, 8, 1), torch.rand(50, 2)).shape == (50, 50)


@pytest.mark.parametrize(
    "arguments",
    [
        {"points": 0},
        {"points": -1},
        {"points": 2.0},
        {"points": True},
        {"points": 1, "batch": 0},
        {"points": 1, "outputs": "trace"},
    ],
)
def test_bad_input_is_refused(arguments: dict) -> None:
    with pytest.raises(InputError, match="expected"):
        size_estimate(SNF(2, 1, 4, 1), **arguments)


def test_a_module_without_an_ntk_is_refused() -> None:
    with pytest.raises(InputError, match="all frozen"):
        size_estimate(SNF(2, 1, 4, 1).requires_grad_(False), 5)


def test_what_is_available_is_what_linux_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, meminfo = torch.device("cpu"), tmp_path / "meminfo"
    monkeypatch.setattr(size, "_MEMINFO", meminfo)
    monkeypatch.setattr(size, "_CGROUP", tmp_path)
    assert size.available_bytes(cpu) > 0  # neither file is there
    meminfo.write_text("MemTotal:  9 kB\nMemAvailable:    2048 kB\n", encoding="ascii")
    assert size.available_bytes(cpu) == 2 * MIB
    (tmp_path / "memory.max").write_text(f"{3 * MIB}\n", encoding="ascii")
    (tmp_path / "memory.current").write_text(f"{2 * MIB + 1024}\n", encoding="ascii")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 1024\n", encoding="ascii")
    assert size.available_bytes(cpu) == MIB  # of a container's limit, cached files not counted
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert size.available_bytes(cpu) == 2 * MIB
    meminfo.write_text("MemAvailable: much\n", encoding="ascii")
    assert size.available_bytes(cpu) > 0


def test_bytes_in_words() -> None:
    assert [in_words(n) for n in (0, 1023, 1536, 3 * MIB, 5 << 30)] == [
        "0 bytes",
        "1023 bytes",
        "1.5 KiB",
        "3.0 MiB",
        "5.0 GiB",
    ]

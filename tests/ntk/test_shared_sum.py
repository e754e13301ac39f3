"""The kernel of IGA's released image code, against its indexing written down again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.ntk.groups import Groups
from fastsnf.ntk.sampling import largest_rows, offsets_of
from fastsnf.ntk.shared_sum import shared_sum_gram
from tests.tolerances import FLOAT64, assert_close

SIZE, SHAPE = 4, (8, 12)


def released(field: SNF, a: Tensor, residual: Tensor) -> Tensor:
    """Return K as image_fitting/fitting.py of github.com/LabShuHangGU/IGA-INR computes it.

    `a` are coordinates [patches, points in one, 2], `residual` [patches, points in one, channels]. What its
    authors mean is one point a patch, ``a[arange, max_indices]``; the colon in its place takes them all.
    """
    _, max_indices = torch.max(residual.abs().sum(dim=-1), dim=1)
    sampled = a[:, max_indices, :]
    assert sampled.shape == (len(a), len(a), 2)
    channels = field.out_features
    last = torch.ones(1, channels, dtype=a.dtype) / channels**0.5  # a fixed linear layer at the end
    rows = []
    for points in sampled:
        grads = torch.autograd.grad((field(points) @ last.T).sum(), list(field.parameters()))
        rows.append(torch.cat([g.reshape(-1) for g in grads]))
    j = torch.stack(rows)
    return j @ j.T


def arranged(groups: Groups, tensor: Tensor) -> Tensor:
    return tensor[groups.members().points]


@pytest.mark.parametrize("chunk", [1 << 14, 30])
@pytest.mark.parametrize("most", [1 << 28, 1])
def test_it_is_the_released_indexing(monkeypatch: pytest.MonkeyPatch, chunk: int, most: int) -> None:
    monkeypatch.setattr("fastsnf.ntk.shared_sum.CHUNK_POINTS", chunk)
    monkeypatch.setattr("fastsnf.ntk.shared_sum.MOST_NUMBERS", most)
    groups = Groups.patches(SHAPE, SIZE)
    field = SNF(2, 3, 10, 1, first_omega=5.0, hidden_omega=5.0, dtype=torch.float64)
    x = torch.rand(groups.size, 2, dtype=torch.float64)
    residual = torch.randn(groups.size, 3, dtype=torch.float64)
    residual[torch.arange(groups.size) % 12 < 8] *= 0.1  # some offsets more than once
    members = groups.members()
    rows = largest_rows(arranged(groups, residual), members.layout)

    def patches(tensor: Tensor) -> Tensor:
        """Return [patches, points in one, ...] in raster order of both, by the released code's unfold."""
        image = tensor.reshape(1, *SHAPE, -1).permute(0, 3, 1, 2)
        unfolded = torch.nn.functional.unfold(image, SIZE, stride=SIZE)[0]
        return unfolded.reshape(tensor.shape[1], SIZE * SIZE, -1).permute(2, 1, 0)

    wanted = released(field, patches(x), patches(residual))
    found = shared_sum_gram(field, arranged(groups, x), members, offsets_of(rows, members.layout))
    assert not found.requires_grad
    assert_close(found, wanted, FLOAT64)


def test_what_is_not_there_adds_nothing() -> None:
    groups = Groups.runs(7, 3)  # the last has its first point alone
    field = SNF(2, 2, 6, 0, activation="gabor", dtype=torch.float64)
    x = torch.rand(7, 2, dtype=torch.float64)
    members = groups.members()
    offsets = torch.tensor([1, 1, 0])
    w = torch.ones(7, dtype=torch.float64)
    w[members.points.tolist().index(4)] = 0.0
    grads = []
    for points in ([1, 1, 0], [3], [6]):  # offsets 1, 1, 0; point 4 has no weight
        out = field(x[points]).sum() / 2**0.5
        parts = torch.autograd.grad(out, list(field.parameters()))
        real = [torch.view_as_real(g) if g.is_complex() else g for g in parts]
        grads.append(torch.cat([g.reshape(-1) for g in real]))
    j = torch.stack(grads)
    found = shared_sum_gram(field, arranged(groups, x), members, offsets, w)
    assert_close(found, j @ j.T, FLOAT64)


def test_it_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsnf.ntk.size.available_bytes", lambda device: 300)
    monkeypatch.setattr("fastsnf.ntk.size.SMALL", 0)
    groups = Groups.runs(60, 2)
    offsets = torch.zeros(30, dtype=torch.int64)
    with pytest.raises(InputError, match="fits in memory; got: the NTK of 30 points"):
        shared_sum_gram(SNF(1, 1, 4, 0), torch.rand(60, 1), groups.members(), offsets)

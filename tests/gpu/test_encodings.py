"""Encodings on a GPU: recorded in graphs, without waiting, and in full precision whatever products have."""

from __future__ import annotations

import warnings

import pytest
import torch

import fastsnf
from fastsnf.encodings import FourierFeatures, Positional
from fastsnf.nn import Encoder
from fastsnf.train import plan as plans
from fastsnf.train.cuda_graphs import CudaGraphs
from tests.cases import generator
from tests.train.samples import BATCHES, same_state, small_field, small_image

pytestmark = pytest.mark.gpu

SPECS = [Positional(6), FourierFeatures(32, 5.0)]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_steps_behind_an_encoding_are_recorded_and_have_the_bits_of_single_steps(spec, monkeypatch):
    recorded = []

    class Refusing(CudaGraphs):
        refuse = False

        def record(self, work):
            if Refusing.refuse:
                raise RuntimeError("not recorded")
            recorded.append(True)
            return super().record(work)

    monkeypatch.setattr(plans, "CudaGraphs", Refusing)
    fields = []
    for Refusing.refuse in (False, True):
        field = small_field(activation="relu", encoding=spec)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            fastsnf.fit(field, small_image(), **{**BATCHES, "batch_size": 120})
        fields.append(field)
    assert recorded == [True]
    assert same_state(*fields)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_neither_tf32_nor_autocast_reaches_the_phases_and_nothing_waits(spec):
    encoder = Encoder(spec, 2, generator=generator(), device="cuda")
    x = (2.0 * torch.rand(500, 2, generator=generator(1)) - 1.0).cuda()
    exact = Encoder(spec, 2, generator=generator()).double()(x.cpu().double())
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            found = encoder(x)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        torch.set_float32_matmul_precision(before)
    assert found.dtype == torch.float32
    largest = float(encoder.frequencies.abs().sum(1).max())  # radians
    torch.testing.assert_close(found.cpu().double(), exact, rtol=0, atol=2.0**-22 * largest + 1e-6)

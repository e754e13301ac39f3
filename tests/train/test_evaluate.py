"""`predict`: the values of a field at every point, in chunks that bound the memory."""

from __future__ import annotations

import pytest
import torch

from fastsnf.nn import SNF, make_field
from fastsnf.signals import Samples
from fastsnf.train import evaluate
from tests.cases import generator


def signal(rows: int = 20, columns: int = 20) -> Samples:
    return Samples.from_array(torch.zeros(rows, columns, 1))


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        ("snf", {"hidden_features": 1024}, 1 << 18),  # fused: no features in memory
        ("relu-pe", {"frequencies": 10}, 1 << 18),  # 42 features a point
        ("ffn", {"frequencies": 256}, 1 << 14),  # 512
        ("ffn", {"frequencies": 1 << 16, "hidden_features": 1}, 1 << 6),
        ("mfn-fourier", {"hidden_features": 256}, 1 << 15),
        ("bn", {"hidden_features": 512}, 1 << 14),
    ],
)
def test_points_at_once_follow_what_lies_in_memory(name, options, most):
    field = make_field(name, 2, 1, **{"hidden_layers": 0, **options})
    assert evaluate.points_at_once(field) == most


def test_values_do_not_depend_on_the_chunks(monkeypatch):
    field = make_field("ffn", 2, 1, frequencies=64, hidden_features=8, generator=generator())
    assert isinstance(field, SNF)
    whole = evaluate.predict(field, signal())
    rows = []
    assert field.encoding is not None
    field.encoding.register_forward_hook(lambda module, args, out: rows.append(len(out)))
    monkeypatch.setattr(evaluate, "CHUNK_POINTS", 68)
    pieces = evaluate.predict(field, signal())
    assert whole is not None
    assert pieces is not None
    torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-6)
    assert sum(rows) == 400
    assert max(rows) == 68 // 4  # 128 features are 4 times those of a full chunk

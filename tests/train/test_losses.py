from __future__ import annotations

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.train.losses import bce, make_loss, mse, outputs_of, to_values

OUT = torch.tensor([[0.5, -1.0], [2.0, 0.25], [-3.0, 1.0]], requires_grad=True)
TARGET = torch.tensor([[0.0, 1.0], [1.0, 0.5], [0.0, 1.0]])


@pytest.mark.parametrize("loss", [mse, bce])
def test_weighted_means(loss):
    weights = torch.tensor([1.0, 0.0, 3.0])
    singles = [loss(OUT[n : n + 1], TARGET[n : n + 1], None) for n in range(3)]
    assert loss(OUT, TARGET, None).item() == pytest.approx(float(sum(s.detach() for s in singles)) / 3)
    expected = (singles[0] + 3 * singles[2]).detach() / 4
    assert loss(OUT, TARGET, weights).item() == pytest.approx(float(expected))


@pytest.mark.parametrize("loss", [mse, bce])
def test_holes_may_hold_nan(loss):
    target = TARGET.clone()
    target[1] = torch.nan
    out = OUT.detach().clone().requires_grad_()
    loss(out, target, torch.tensor([1.0, 0.0, 3.0])).backward()
    assert out.grad.isfinite().all()
    assert (out.grad[1] == 0).all()


def test_bce_is_of_logits():
    probability = OUT.detach().sigmoid()
    expected = -(TARGET * probability.log() + (1 - TARGET) * (1 - probability).log()).mean()
    assert bce(OUT, TARGET, None).item() == pytest.approx(float(expected), rel=1e-6)
    assert outputs_of("bce") == "logits"
    assert torch.equal(to_values(OUT, "logits"), OUT.sigmoid())
    assert to_values(OUT, outputs_of("mse")) is OUT


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (lambda out: out.square(), r"a tensor of shape \[3, 2\]"),
        (lambda out: out.sum().detach(), r"a tensor of shape \[\]"),
        (lambda out: 3.0, "got float"),
    ],
)
def test_a_callable_must_return_a_loss(returns, message):
    with pytest.raises(InputError, match=message):
        make_loss(lambda out, target, weights: returns(out))(OUT, TARGET, None)

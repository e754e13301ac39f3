"""The baselines' fields are the reference's: values and gradients agree in float64."""

from __future__ import annotations

import pytest
import torch

from benchmarks.baselines import EagerField
from fastsnf.spec import Activation, FieldSpec, Identity
from tests import cases
from tests.engines.problems import problem
from tests.judge import field_run
from tests.tolerances import FLOAT64, assert_close


@pytest.mark.parametrize("act", [*cases.ACTIVATIONS, Identity()], ids=cases.name)
def test_eager_is_the_reference(act: Activation) -> None:
    spec = FieldSpec.mlp(act, 2)
    case = problem(spec, [2, 20, 20, 20, 3], 50, bias=[True, False, True, True], dtype=torch.float64)
    exact = field_run(spec)(case.field_rows, case.weights, case.biases).named()
    field = EagerField(case.weights, case.biases, spec)
    x = case.x.clone().requires_grad_()
    out = field(x)
    out.backward(case.d_out)
    found = {"scalars[0]": out, "scalars[1]": x.grad}
    for layer, linear in enumerate(field.linears):
        found[f"d_weights[{layer}]"] = linear.weight.grad
        if linear.bias is not None:
            found[f"d_biases[{layer}]"] = linear.bias.grad
    assert set(found) == set(exact)
    for name, truth in exact.items():
        assert_close(found[name], truth, FLOAT64, name)

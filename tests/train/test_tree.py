from __future__ import annotations

import json

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.train.tree import flatten, unflatten


def test_an_optimizer_state_comes_back():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([{"params": [parameter], "betas": (0.8, 0.9)}], lr=0.1, amsgrad=True)
    parameter.grad = torch.ones(3)
    optimizer.step()
    plan, tensors = flatten(optimizer.state_dict(), "optimizer")
    found = unflatten(json.loads(json.dumps(plan)), tensors)
    expected = optimizer.state_dict()
    assert found["param_groups"] == expected["param_groups"]
    assert found["state"].keys() == expected["state"].keys()
    for key, value in expected["state"][0].items():
        assert torch.equal(found["state"][0][key], value)
    assert all(name.startswith("optimizer.") for name in tensors)


def test_nests_come_back():
    tree = {"a": [1, (2.5, None)], 3: {"tensor": "a word", "b": True}, "c": torch.arange(2)}
    found = unflatten(*flatten(tree, "t"))
    assert torch.equal(found.pop("c"), tree.pop("c"))
    assert found == tree


def test_other_objects_are_refused():
    with pytest.raises(InputError, match="got set"):
        flatten({"a": {1, 2}}, "t")

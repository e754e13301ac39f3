"""The settings of gradient adjustment: what is refused, and what a run's identity reads."""

from __future__ import annotations

import json

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.ntk.config import IGA, SAMPLES, GroupText, parse_group
from fastsnf.ntk.groups import Groups


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": -1}, "expected start to be a whole number of at least 0; got -1"),
        ({"end": 2.5}, "expected end to be a whole number"),
        ({"start": 5, "end": 4}, "expected start <= end; got start=5, end=4"),
        ({"target": -1}, "expected target to be a whole number of at least 0"),
        ({"refresh": 0}, "expected refresh to be a whole number of at least 1; got 0"),
        ({"refresh": True}, "expected refresh to be a whole number of at least 1; got True"),
        ({"seed": None}, "expected seed"),
        ({"seed": 2**63}, "expected seed"),
        ({"form": "adams"}, "be one of auto, adam, sgd; got 'adams', did you mean 'adam'"),
        ({"sample": "argmx"}, "did you mean 'argmax'"),
        ({"group": 0}, "expected the group's size to be a whole number of at least 1; got 0"),
        ({"group": 3.5}, "expected the group's size"),
        ({"group": "patch"}, "expected the group as patch:SIZE, cube:SIZE, run:SIZE, ray:SIZE or a number"),
        ({"group": "pach:32"}, "did you mean 'patch'"),
        ({"group": "patch:x"}, "of at least 1 after 'patch' and a colon; got 'patch:x'"),
        ({"group": "patch:0"}, "expected a whole number"),
        ({"group": "patch:-3"}, "expected a whole number"),
        ({"group": "run:٣"}, "expected a whole number"),
        ({"group": [0, 2]}, "without gaps"),
    ],
)  # fmt: skip
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(InputError) as raised:
        IGA(**settings)
    assert message in str(raised.value)


def test_a_kind_without_a_size_is_not_told_its_own_name() -> None:
    with pytest.raises(InputError, match=r"got 'patch'$"):
        IGA(group="patch")
    with pytest.raises(InputError, match="did you mean 'patch'"):
        IGA(group="pach:32")


def test_every_group_syntax_is_taken() -> None:
    for group in (None, 32, "32", "patch:32", "cube:8", "run:256", "ray:64", Groups.runs(9, 3), [0, 1, 1]):
        IGA(group=group)
    assert IGA(group="32").group == 32
    assert parse_group("cube:8") == GroupText("cube", 8)


def test_the_form_gives_the_target() -> None:
    assert [IGA().target_of(name) for name in ("adam", "sgd", "adamw")] == [20, 0, 20]
    assert [IGA(form=form, start=3).target_of("sgd") for form in ("auto", "sgd", "adam")] == [3, 3, 20]
    assert IGA(target=7).target_of("sgd") == 7
    assert [IGA().pairs(), IGA().pairs("sgd"), IGA(start=4, end=4).pairs(), IGA(target=30).pairs()] == [
        21, 20, 0, 31,
    ]  # fmt: skip


def test_the_settings_are_json_and_tell_groups_apart() -> None:
    assert IGA().to_dict() == {
        "start": 0, "end": 20, "form": "auto", "sample": "argmax_lagged", "refresh": 1, "seed": 0,
    }  # fmt: skip
    settings = [
        IGA(group=group).to_dict()
        for group in ("run:3", 3, [0, 0, 1], [0, 1, 1], torch.tensor([1, 0, 0]), Groups.runs(9, 3))
    ]
    texts = [json.dumps(each, sort_keys=True) for each in settings]
    assert len(set(texts)) == len(texts)
    same = IGA(group=[torch.tensor([0, 1]), torch.tensor([2])])
    assert same.to_dict() == settings[2]


def test_settings_are_frozen_and_every_sample_is_known() -> None:
    with pytest.raises(AttributeError):
        IGA().end = 3  # type: ignore[misc]
    assert [IGA(sample=sample).sample for sample in SAMPLES] == list(SAMPLES)

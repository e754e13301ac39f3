from __future__ import annotations

import math
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsnf.train.toml import dumps

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=4)


@settings(max_examples=40)
@given(st.dictionaries(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=4), max_size=3))
def test_what_is_written_is_read_back(tables):
    assert tomllib.loads(dumps(tables)) == tables


def test_none_is_left_out_and_nan_is_kept():
    text = dumps({"fit": {"lr": None, "loss": math.nan, "nested": {"a": None, "b": 1}}})
    found = tomllib.loads(text)["fit"]
    assert found.keys() == {"loss", "nested"}
    assert math.isnan(found["loss"])
    assert found["nested"] == {"b": 1}


def test_surrogates_are_replaced():
    assert tomllib.loads(dumps({"a": {"path": "x\udcff"}})) == {"a": {"path": "x?"}}


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="object"):
        dumps({"a": {"b": object()}})

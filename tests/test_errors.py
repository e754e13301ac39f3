"""The error types and the words in their messages."""

from __future__ import annotations

import pytest

from fastsnf.errors import EngineError, InputError, RunError, nearest, unknown


def test_a_wrong_request_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(EngineError, InputError)  # exit status 2, as for any wrong request


def test_a_failed_run_is_not_a_wrong_request() -> None:
    assert issubclass(RunError, RuntimeError)
    assert not issubclass(RunError, InputError)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("guassian", ", did you mean 'gaussian'?"),
        ("sin", ", did you mean 'sine'?"),
        ("gabor_real", ", did you mean 'gabor-real'?"),
        ("xyzzy", ""),
        ("", ""),
    ],
)
def test_nearest(name: str, expected: str) -> None:
    assert nearest(name, ["sine", "gaussian", "gabor", "gabor-real", "relu"]) == expected


def test_unknown_names_what_is_valid_and_what_was_given() -> None:
    error = unknown("the engine", "nativ", iter(["auto", "native", "reference"]))
    assert isinstance(error, InputError)
    expected = "expected the engine to be one of auto, native, reference; got 'nativ', did you mean 'native'?"
    assert str(error) == expected


@pytest.mark.parametrize("value", [None, 3, ["sine"]])
def test_unknown_takes_what_is_no_string(value: object) -> None:
    assert f"got {value!r}" in str(unknown("the loss", value, ["mse", "bce"]))


@pytest.mark.parametrize("cls", [InputError, EngineError])
def test_a_message_is_one_line_whatever_is_quoted_in_it(cls: type[InputError]) -> None:
    assert str(cls("expected a name; got tensor([1,\n        2]): name it")) == (
        "expected a name; got tensor([1, 2]): name it"
    )
    assert str(cls("expected 'two  spaces.png'")) == "expected 'two  spaces.png'"

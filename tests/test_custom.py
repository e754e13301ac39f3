"""The names of users' own activations: equal functions share one, files hold it, a process must know it."""

from __future__ import annotations

import copy
import functools
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import fastsnf
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.spec import ACTIVATIONS, Custom, FieldSpec, activation_from_dict, custom


def swish(u):
    return u * torch.sigmoid(u)


def steep(factor: float):
    """Return a function that encloses a number."""
    return lambda u: torch.tanh(factor * u)


def test_it_has_no_name_on_the_command_line() -> None:
    assert Custom.name not in ACTIVATIONS


def test_a_function_is_known_by_its_module_and_name() -> None:
    act = Custom(swish)
    assert act.registered == f"{__name__}.swish"
    assert act == Custom(swish)
    assert hash(act) == hash(Custom(swish))
    assert act.function is swish


def test_functions_of_one_code_and_enclosed_values_are_one_activation() -> None:
    assert Custom(steep(2.0)) == Custom(steep(2.0))
    assert Custom(steep(2.0)) != Custom(steep(3.0))
    assert Custom(steep(1.0)) != Custom(steep(1))  # 1 and 1.0 may be told apart by a function
    assert Custom(lambda u: u**2) == Custom(lambda u: u**2)
    assert Custom(lambda u: u**2) != Custom(lambda u: u**3)
    assert Custom(lambda u, k=2: u**k) != Custom(lambda u, k=3: u**k)


def test_the_key_of_a_spec_reads_back() -> None:
    spec = FieldSpec.mlp(Custom(steep(2.5)), 2)
    assert FieldSpec.from_key(spec.key) == spec
    assert FieldSpec.from_dict(spec.to_dict()) == spec
    assert pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec) == spec


def test_a_name_is_one_functions() -> None:
    first = Custom(steep(4.0), name="steep by four")
    assert Custom(steep(4.0), name="steep by four") == first
    with pytest.raises(InputError, match="got 'steep by four': take another"):
        Custom(steep(5.0), name="steep by four")
    assert first.function(torch.tensor(0.25)) == torch.tanh(torch.tensor(1.0))


@pytest.mark.parametrize("name", ['a "quote"', "back\\slash", "new\nline", "größe", 7])
def test_names_are_what_json_writes_as_it_is(name: object) -> None:
    with pytest.raises(InputError, match="printable ASCII"):
        Custom(swish, name=name)  # type: ignore[arg-type]


@pytest.mark.parametrize("function", ["sine", None, nn.SiLU, 3.0])
def test_what_is_no_function_is_refused(function: object) -> None:
    with pytest.raises(InputError, match="expected the activation as a function of a tensor; got"):
        Custom(function)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "function", [nn.SiLU(), functools.partial(functional.leaky_relu, negative_slope=0.2), nn.SiLU().forward]
)
def test_an_object_needs_a_name(function) -> None:
    with pytest.raises(InputError, match="pass name="):
        Custom(function)
    assert Custom(function, name=f"tests.object {id(function)}").function(torch.zeros(1)) == 0.0


def test_parameters_of_its_own_are_refused() -> None:
    with pytest.raises(InputError, match="without parameters of its own; got PReLU"):
        Custom(nn.PReLU(), name="prelu")


def test_a_name_that_nobody_registered_says_what_to_do() -> None:
    known = Custom(swish, name="my swish")
    with pytest.raises(
        InputError, match=r"got 'my swisch', did you mean 'my swish'\?: make fastsnf.Custom\("
    ):
        activation_from_dict({"name": "custom", "registered": "my swisch"})
    assert activation_from_dict(known.to_dict()) == known
    for wrong in ({}, {"registered": ["a"]}, {"registered": None}):
        with pytest.raises(InputError, match="this process knows"):
            activation_from_dict({"name": "custom", **wrong})
    with pytest.raises(InputError, match="with the parameters"):
        activation_from_dict({"name": "custom", "code": "u"})


def test_another_function_in_the_place_of_an_old_one_has_another_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a cell of a notebook that is edited and run again."""
    monkeypatch.setattr(custom, "_FUNCTIONS", {})
    made = []
    for body in ("u * 2", "u * 3", "u * 2"):
        space = {"__name__": "__main__"}
        exec(f"def act(u):\n    return {body}\n", space)
        made.append(Custom(space["act"]))
    assert made[0] == made[2] != made[1]
    assert [act.function(1) for act in made] == [2, 3, 2]


def test_a_file_in_another_process(tmp_path: Path) -> None:
    """It asks for the function by name, and takes it once the process has it."""
    field = SNF(2, 3, 4, 1, activation=Custom(swish, name="swish of a file"))
    path = tmp_path / "field.safetensors"
    fastsnf.save(field, path)
    code = (
        "import sys, torch, fastsnf\n"
        "from fastsnf.errors import InputError\n"
        "try:\n"
        "    fastsnf.load(sys.argv[1])\n"
        "except InputError as error:\n"
        "    print(error)\n"
        "fastsnf.Custom(lambda u: u * torch.sigmoid(u), name='swish of a file')\n"
        "print(fastsnf.load(sys.argv[1])(torch.full((1, 2), 0.5)).tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked, value = done.stdout.strip().splitlines()
    assert "make fastsnf.Custom(function, name='swish of a file') first" in asked
    assert torch.allclose(torch.tensor(eval(value)), field(torch.full((1, 2), 0.5)))


def test_a_bare_function_is_told_how_to_become_an_activation() -> None:
    with pytest.raises(InputError, match=r"wrap a function of your own as fastsnf.Custom\(function\)"):
        SNF(2, 1, 8, 1, activation=torch.tanh)  # type: ignore[arg-type]

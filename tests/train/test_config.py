from __future__ import annotations

import subprocess
import sys

import pytest

from fastsnf.errors import InputError
from fastsnf.train.config import FitConfig, make_config


def test_defaults_are_the_contracts():
    config = FitConfig()
    assert (config.optimizer, config.loss) == ("adam", "mse")
    assert (config.base_lr, config.schedule_text) == (1e-3, "cosine")
    assert config.points_per_step(262_144) == 32_768
    assert config.points_per_step(1_000) == 1_000


def test_full_batch_is_the_papers_way():
    config = FitConfig(batch_size="full")
    assert (config.base_lr, config.schedule_text) == (1e-4, "constant")
    assert config.points_per_step(262_144) == 262_144
    assert FitConfig(batch_size="full", lr=0.5, schedule="cosine").base_lr == 0.5


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"steps": 0}, "steps to be at least 1; got 0"),
        ({"steps": 1.5}, "whole number; got 1.5"),
        ({"steps": True}, "whole number; got True"),
        ({"epochs": 0}, "epochs to be above 0"),
        ({"epochs": float("inf")}, "finite"),
        ({"time_limit": -1}, "above 0"),
        ({"target_psnr": float("nan")}, "finite"),
        ({"lr": 0}, "lr to be above 0"),
        ({"lr": "1e-3"}, "finite number; got '1e-3'"),
        ({"batch_size": "ful"}, "did you mean 'full'"),
        ({"batch_size": 0}, "at least 1"),
        ({"holdout": 1}, "at least 2"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"loss": "mes"}, "did you mean 'mse'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"precision": "fp23"}, "did you mean 'fp32'"),
        ({"psnr": "publishd"}, "did you mean 'published'"),
        ({"seed": -1}, "at least 0"),
        ({"seed": 2**63}, "at most"),
        ({"seed": None}, "got None"),
        ({"checkpoint_every": -1.0}, "at least 0"),
        ({"log_every": 0}, "at least 1"),
        ({"preview_every": "often"}, "finite number"),
        ({"optimizer": lambda parameters: None, "lr": 0.1}, "inside the callable"),
        ({"stepps": 3}, "did you mean 'steps'"),
    ],
)
def test_bad_options_name_what_was_expected(option, message):
    with pytest.raises(InputError, match=message):
        make_config(None, option)


def test_options_go_over_a_config():
    config = make_config(FitConfig(steps=5, lr=0.1), {"steps": 7})
    assert (config.steps, config.lr) == (7, 0.1)
    with pytest.raises(InputError, match="FitConfig"):
        make_config({"steps": 3}, {})  # type: ignore[arg-type]


def test_to_dict_names_callables_and_drops_none():
    values = FitConfig(steps=3, loss=test_defaults_are_the_contracts).to_dict()
    assert values["steps"] == 3
    assert values["loss"].startswith("callable ")
    assert values["loss"].endswith(".test_defaults_are_the_contracts")
    assert "epochs" not in values


def test_configuration_imports_no_torch():
    code = "import sys; from fastsnf.train.config import FitConfig; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""From arguments to options: what is accepted, and one line that names the nearest for what is not."""

import dataclasses

import pytest

from fastsnf.cli.fit_field_options import BIAS_INITS
from fastsnf.cli.fit_options import ENGINES, FitOptions
from fastsnf.cli.parse import option_names, parse
from fastsnf.errors import InputError


def options(*args):
    return parse(FitOptions, args, prog="fastsnf fit")


def test_nothing_given_means_no_choice_was_made():
    assert all(value in (None, False) for value in dataclasses.asdict(options()).values())


@pytest.mark.parametrize(
    ("args", "name", "value"),
    [
        (["photo.png"], "input", "photo.png"),
        (["--out", "a b/é"], "out", "a b/é"),
        (["--from", "runs/a"], "from_", "runs/a"),
        (["--steps", "12"], "steps", 12),
        (["--steps=1e3"], "steps", 1000),
        (["--epochs", "0.5"], "epochs", 0.5),
        (["--target-psnr", "-3"], "target_psnr", -3.0),
        (["--target_psnr", "40"], "target_psnr", 40.0),
        (["--size", "640x480"], "size", (640, 480)),
        (["--size", "640X480"], "size", (640, 480)),
        (["--bias-init", "like-weights"], "bias_init", "like-weights"),
        (["--bias-init", "-0.25"], "bias_init", -0.25),
        (["--batch-size", "full"], "batch_size", "full"),
        (["--batch-size", "4096"], "batch_size", 4096),
        (["--activation", "gabor-real"], "activation", "gabor-real"),
        (["--steps", "1", "--steps", "2"], "steps", 2),
        (["--squeeze"], "squeeze", True),
    ],
)
def test_values_are_read(args, name, value):
    assert getattr(options(*args), name) == value


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--stesp", "3"], "expected a known option; got --stesp, did you mean '--steps'?"),
        (["--hidden-feature=3"], "got --hidden-feature, did you mean '--hidden-features'?"),
        (["a.png", "b.png"], "expected no further argument; got 'b.png'"),
        (["--steps"], "expected a value after --steps; got nothing"),
        (["--steps", "--json"], "expected a value after --steps"),
        (["--steps", "1.5"], "--steps: expected a whole number of at least 1; got '1.5'"),
        (["--steps", "0"], "at least 1; got '0'"),
        (["--steps", "inf"], "at least 1; got 'inf'"),
        (["--steps", "many"], "expected a number; got 'many'"),
        (["--lr", "0"], "--lr: expected a number above 0 and at most 1e+30; got '0'"),
        (["--lr", "nan"], "got 'nan'"),
        (["--seed", "-1"], "--seed: expected a whole number from 0"),
        (["--time-limit", "-1"], "--time-limit: expected a number above 0"),
        (["--holdout", "1"], "at least 2"),
        (["--size", "640"], "--size: expected a size of two positive whole numbers, as in 512x384"),
        (["--size", "0x9"], "two positive whole numbers"),
        (["--size", "3x-4"], "two positive whole numbers"),
        (["--size", "3x4x5"], "two positive whole numbers"),
        (["--activation", "sin"], "got 'sin', did you mean 'sine'?"),
        (["--init", "weight_scaling"], "did you mean 'weight-scaling'?"),
        (["--init", "vinr"], "did you mean 'vi3nr'?"),
        (["--optimizer", "adma"], "did you mean 'adam'?"),
        (["--engine", "nativ"], "did you mean 'native'?"),
        (["--schedule", "cosin"], "--schedule: expected the schedule as one of constant"),
        (["--schedule", "step:0:2"], "--schedule: "),
        (["--precision", "fp16"], "did you mean 'fp32'?"),
        (["--bias-init", "zeros"], "did you mean 'zero'?"),
        (["--bias-init", "inf"], "expected a number from -1e+30 to 1e+30"),
        (["--alpha", "1e300"], "at most 1e+30"),
        (["--alpha", "0"], "expected a number above 0 and at most 1e+30; got '0'"),
        (["--alpha", "nan"], "expected a number above 0"),
        (["--alpha", "atuo"], "did you mean 'auto'?"),
        (["--field", "wires"], "did you mean 'wire'?"),
        (["--hidden-layers", "1e9"], "--hidden-layers: expected a whole number from 0 to 10000; got '1e9'"),
        (
            ["--batch-size", "all"],
            "--batch-size: expected a whole number of at least 1, or 'full'; got 'all'",
        ),
        (["--batch-size", "0"], "at least 1, or 'full'"),
        (["--kind", "imag"], "did you mean 'image'?"),
        (["--mode", "grey"], "did you mean 'gray'?"),
        (["--out", ""], "--out: expected DIR; got an empty string"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_nearest(args, said):
    with pytest.raises(InputError) as caught:
        options(*args)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert message.endswith("; see fastsnf fit --help")


def test_option_names_are_those_of_the_contract():
    assert set(option_names(FitOptions)) >= {
        *("--out", "--steps", "--epochs", "--target-psnr", "--time-limit", "--activation", "--first-omega"),
        *("--hidden-omega", "--scale", "--init", "--alpha", "--bias-init", "--hidden-features"),
        *("--hidden-layers", "--optimizer", "--lr", "--schedule", "--loss", "--batch-size", "--seed"),
        *("--device", "--precision", "--engine", "--holdout", "--from", "--resume", "--json"),
        *("--no-progress", "--size", "--squeeze", "--mode", "--kind", "--psnr"),
    }


def test_every_name_offered_is_one_that_the_layers_below_know():
    from fastsnf import ops

    assert set(ENGINES) == set(ops.engine_names())
    assert "default" in BIAS_INITS

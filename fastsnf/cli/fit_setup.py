"""From options to the three things that a fit takes: a signal, a field, a configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.iga_options import make_iga
from fastsnf.cli.parse import option_name
from fastsnf.cli.run_folder import given
from fastsnf.errors import InputError
from fastsnf.spec import ACTIVATIONS, Sine
from fastsnf.train.config import FitConfig

if TYPE_CHECKING:
    from fastsnf.nn import Field
    from fastsnf.signals import Signal

WEIGHT_SCALING = "weight-scaling"
FRESH = ("first_omega", "hidden_omega", "scale", "init", "alpha", "bias_init")
"""Options of a field that is made, which one that is loaded has no use for."""
FIELD = ("activation", "hidden_features", "hidden_layers", *FRESH)
"""Options that the field's constructor takes under the same name."""


def open_signal(options: FitOptions) -> Signal:
    """Open the input as the options say.

    Raises:
        InputError: when there is none, it cannot be read, or the options contradict each other.
    """
    from fastsnf import signals

    if options.input is None:
        raise InputError("expected INPUT, the file to fit; got nothing; see fastsnf fit --help")
    if Path(options.input).is_dir():
        raise InputError(
            f"expected a file to fit; got the folder {options.input!r}: a run folder goes on with --resume"
        )
    if options.squeeze and options.size is None:
        raise InputError("expected --size WxH with --squeeze; got --squeeze alone")
    return signals.open(
        options.input, kind=options.kind, size=options.size, squeeze=options.squeeze, mode=options.mode
    )


def make_config(options: FitOptions) -> FitConfig:
    """Return the trainer's configuration: what was given, and its own defaults for the rest."""
    names = {field.name for field in dataclasses.fields(FitConfig)}
    values = {name: value for name, value in given(options).items() if name in names}
    return FitConfig(**{**values, "iga": make_iga(options)})


def make_field(options: FitOptions, signal: Signal) -> Field:
    """Return the field to fit: fresh, from the seed, or with the weights of another run.

    Raises:
        InputError: for an option that the activation or the initializer does not take, or a run whose field
            does not fit the signal.
    """
    if options.from_ is not None:
        return load_field(options, signal)
    import torch

    from fastsnf.nn import SNF

    check_activation(options)
    defaults = signal.defaults
    chosen: dict[str, Any] = {"alpha": defaults.alpha}
    if options.activation in (None, Sine.name):
        chosen |= {"first_omega": defaults.first_omega, "hidden_omega": defaults.hidden_omega}
    chosen |= {name: value for name, value in given(options).items() if name in FIELD}
    seed = FitConfig().seed if options.seed is None else options.seed
    field = SNF(
        signal.in_features, signal.out_features, **chosen, generator=torch.Generator().manual_seed(seed)
    )
    init = field.config()["init"]
    if options.alpha is not None and init != WEIGHT_SCALING:
        raise InputError(f"expected --alpha with --init {WEIGHT_SCALING}; got --alpha with {init}: drop one")
    return field


def load_field(options: FitOptions, signal: Signal) -> Field:
    """Return the field of the run that ``--from`` names.

    Raises:
        InputError: when there is none, or it does not fit the other options or the signal.
    """
    from fastsnf.train import checkpoint
    from fastsnf.train.losses import outputs_of

    source = checkpoint.read(str(options.from_))
    field = source.field
    check_source(options, field)
    sizes, wanted = (field.in_features, field.out_features), (signal.in_features, signal.out_features)
    if sizes != wanted:
        raise InputError(
            f"expected a field with {wanted[0]} inputs and {wanted[1]} outputs, as the input has; got "
            f"{sizes[0]} and {sizes[1]} from {options.from_}: --mode rgb|gray changes the outputs"
        )
    loss = make_config(options).loss
    if outputs_of(loss) != source.outputs:
        raise InputError(
            f"expected a loss for {source.outputs}, as in {options.from_}; got --loss {loss}, "
            f"which needs {outputs_of(loss)}: choose the other"
        )
    return field


def check_source(options: FitOptions, field: Field) -> None:
    """Raise `InputError` for an option of the field that contradicts the one that ``--from`` brings."""
    from fastsnf.nn import LayeredField

    has: dict[str, Any] = {"hidden_features": field.hidden_features}
    if isinstance(field, LayeredField):
        has |= {"hidden_layers": field.spec.layers - 2, "activation": field.hidden_activation.name}
    for name, value in given(options).items():
        if name in FRESH:
            raise InputError(
                f"expected no {option_name(name)} with --from, which brings field and weights: drop one"
            )
        if name in has and value != has[name]:
            raise InputError(
                f"expected {option_name(name)} {has[name]}, as {options.from_} has it; got {value}: drop it"
            )


def check_activation(options: FitOptions) -> None:
    """Raise `InputError` for ``--first-omega``, ``--hidden-omega`` or ``--scale`` that nothing would read."""
    activation = options.activation or Sine.name
    parameters = {field.name for field in dataclasses.fields(ACTIVATIONS[activation])}
    for name in ("first_omega", "hidden_omega", "scale"):
        parameter = name.rpartition("_")[2]
        if getattr(options, name) is not None and parameter not in parameters:
            has = f"only {' and '.join(sorted(parameters))}" if parameters else "no parameters"
            raise InputError(
                f"expected no {option_name(name)} with {activation}, which has {has}; drop the option"
            )

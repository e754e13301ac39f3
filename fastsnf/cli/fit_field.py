"""From options to the field that a fit takes: a preset and what overrides it, or that of another run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastsnf.cli.fit_options import AUTO, FitOptions
from fastsnf.cli.fit_setup import make_config
from fastsnf.cli.parse import option_name
from fastsnf.cli.run_folder import given
from fastsnf.encodings import FourierFeatures
from fastsnf.errors import InputError
from fastsnf.presets import NONE, PRESETS, Preset
from fastsnf.spec import ACTIVATIONS
from fastsnf.train.config import FitConfig

if TYPE_CHECKING:
    from fastsnf.nn import Field
    from fastsnf.signals import Signal

FRESH = (
    *("first_omega", "hidden_omega", "scale", "init", "alpha", "sigma_p", "bias_init", "first_bias"),
    *("frequencies", "sigma", "factor", "input_scale"),
)
"""Options of a field that is made, which one that is loaded has no use for."""
FIELD = ("activation", "encoding", "norm", "hidden_features", "hidden_layers", *FRESH)
"""Options that `fastsnf.nn.make_field` takes under the same name."""
OF_ENCODING = ("frequencies", "sigma")
OF_INITIALIZER = {"alpha": "weight-scaling", "sigma_p": "vi3nr"}
"""Options that one initializer reads."""


def make_field(options: FitOptions, signal: Signal) -> Field:
    """Return the field to fit: fresh, from the seed, or with the weights of another run.

    Raises:
        InputError: for an option that the field, its activation, encoding or initializer does not take, or a
            run whose field does not fit the signal.
    """
    if options.from_ is not None:
        return load_field(options, signal)
    import torch

    from fastsnf import nn

    preset = preset_of(options)
    check_options(options, preset)
    chosen = {name: value for name, value in given(options).items() if name in FIELD and value != AUTO}
    seed = FitConfig().seed if options.seed is None else options.seed
    field = nn.make_field(
        preset,
        signal.in_features,
        signal.out_features,
        shape=signal.shape,
        kind=signal.kind,
        generator=torch.Generator().manual_seed(seed),
        **chosen,
    )
    check_initializer(options, field)
    return field


def preset_of(options: FitOptions) -> Preset:
    """Return the preset that ``--field`` names."""
    return PRESETS[options.field or "snf"]


def search_alpha(
    options: FitOptions, signal: Signal, say: Callable[[str], None]
) -> tuple[FitOptions, list[str]]:
    """Return the options with the number that ``--alpha auto`` stands for, and the lines that say how.

    `say` is told of each candidate.

    Raises:
        InputError: for a field that does not take weight scaling.
    """
    from fastsnf.studies.tune import auto_alpha

    make_field(options, signal)  # what is wrong with it shall be said now, in terms of the options

    def make(overrides: Mapping[str, Any], seed: int) -> Field:
        return make_field(dataclasses.replace(options, **overrides, seed=seed), signal)

    found = auto_alpha(
        signal,
        make,
        make_config(options),
        watch=lambda trial: say(
            f"alpha {trial.value:.3g}: PSNR {trial.psnr:.2f} dB, held-out {trial.psnr_test:.2f} dB "
            f"after {trial.made:,.0f} steps"
        ),
    )
    return dataclasses.replace(options, alpha=found.alpha), found.lines()


def takes_default_alpha(options: FitOptions, signal: Signal) -> bool:
    """Return whether a fit takes the default alpha of occupancy grids, with which some do not learn."""
    sine = options.activation in (None, "sine") and options.init in (None, OF_INITIALIZER["alpha"])
    asked = options.alpha is not None or options.from_ is not None or options.recipe is not None
    return signal.kind == "occupancy" and preset_of(options).name == "snf" and sine and not asked


def learning_alpha(options: FitOptions, signal: Signal) -> tuple[FitOptions, list[str] | None]:
    """Return the options with an alpha that learns where the default does not, and the line that tells."""
    from fastsnf.signals import Occupancy
    from fastsnf.studies.tune.plateau import INSTEAD
    from fastsnf.studies.tune.plateau import learning_alpha as found

    assert isinstance(signal, Occupancy), "takes_default_alpha holds"

    def make(overrides: Mapping[str, Any], seed: int) -> Field:
        return make_field(dataclasses.replace(options, **overrides, seed=seed), signal)

    default = signal.defaults.alpha
    alpha, lines = found(signal, make, make_config(options), (default, *INSTEAD))
    return (options, None) if alpha == default else (dataclasses.replace(options, alpha=alpha), lines)


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
    has = described(field)
    for name, value in given(options).items():
        if name in FRESH:
            raise InputError(
                f"expected no {option_name(name)} with --from, which brings field and weights: drop one"
            )
        if name == "field":
            check_same_field(options, has)
        elif name == "hidden_features" and preset_of(options).features(value) == has[name]:
            continue
        elif name in FIELD and value != has.get(name):
            known = f"{option_name(name)} {has[name]}" if has.get(name) else f"no {option_name(name)}"
            raise InputError(f"expected {known}, as {options.from_} has it; got {value}: drop it")


def check_same_field(options: FitOptions, has: Mapping[str, Any]) -> None:
    """Raise `InputError` unless ``--field`` names a preset of which the field described by `has` may be."""
    preset = preset_of(options)
    wanted = {"class": preset.cls, "encoding": NONE}
    wanted |= {
        name: preset.arguments[name]
        for name in ("activation", "encoding", "filters", "norm")
        if name in preset.arguments
    }
    for name, value in wanted.items():
        if getattr(options, name, None) is None and has.get(name, value) != value:
            raise InputError(
                f"expected the field of {options.from_}, whose {name} is {has[name]}; got --field "
                f"{preset.name}, whose {name} is {value}: drop it"
            )


def described(field: Field) -> dict[str, Any]:
    """Return what options can say of a field that exists: names and sizes."""
    from fastsnf.nn import LayeredField

    config = field.config()
    has = {"class": field.name, "hidden_features": field.hidden_features}
    if isinstance(field, LayeredField):
        spec = None if field.encoding is None else field.encoding.spec
        has |= {
            "hidden_layers": field.spec.layers - 2,
            "activation": field.hidden_activation.name,
            "encoding": NONE if spec is None else spec.name,
        }
    for name in ("hidden_layers", "activation", "encoding", "filters", "norm"):
        if name in config and name not in has:
            value = config[name]
            has[name] = value["name"] if isinstance(value, dict) else NONE if value is None else value
    return has


def check_options(options: FitOptions, preset: Preset) -> None:
    """Raise `InputError` for an option that nothing in the field would read."""
    from fastsnf.nn.make import parameters

    takes = set(parameters(preset))
    if "encoding" in takes:
        takes |= set(OF_ENCODING)
    if "init" not in takes:
        takes -= set(OF_INITIALIZER)  # another parameter of that name is no option
    for name, value in given(options).items():
        if name in FIELD and name not in takes:
            known = ", ".join(option_name(other) for other in FIELD if other in takes)
            raise InputError(
                f"expected no {option_name(name)} with --field {preset.name}, which takes {known}; "
                f"got {value}: drop it"
            )
    if "activation" in takes:
        check_activation(options, preset)
    if "encoding" in takes:
        check_encoding(options, preset)


def check_activation(options: FitOptions, preset: Preset) -> None:
    """Raise `InputError` for ``--first-omega``, ``--hidden-omega`` or ``--scale`` that nothing would read."""
    activation = options.activation or preset.arguments["activation"]
    parameters = {field.name for field in dataclasses.fields(ACTIVATIONS[activation])} & {"omega", "scale"}
    for name in ("first_omega", "hidden_omega", "scale"):
        parameter = name.rpartition("_")[2]
        if getattr(options, name) is not None and parameter not in parameters:
            has = f"only {' and '.join(sorted(parameters))}" if parameters else "no parameters"
            raise InputError(
                f"expected no {option_name(name)} with {activation}, which has {has}; drop the option"
            )


def check_encoding(options: FitOptions, preset: Preset) -> None:
    """Raise `InputError` for ``--frequencies`` or ``--sigma`` that the encoding does not have."""
    encoding = options.encoding or preset.arguments.get("encoding", NONE)
    if options.frequencies is not None and encoding == NONE:
        raise InputError(
            f"expected --encoding positional|fourier with --frequencies; got {options.frequencies} and no "
            "encoding"
        )
    if options.sigma is not None and encoding != FourierFeatures.name:
        raise InputError(
            f"expected --sigma with --encoding {FourierFeatures.name}; got {options.sigma} with {encoding}"
        )


def check_initializer(options: FitOptions, field: Field) -> None:
    """Raise `InputError` for ``--alpha`` or ``--sigma-p`` that the initializer does not read."""
    from inspect import signature

    from fastsnf.nn import init

    name = field.config().get("init")
    if name is None:
        return
    reads = signature(init.INITIALIZERS[name]).parameters
    for parameter, reader in OF_INITIALIZER.items():
        if getattr(options, parameter) is not None and parameter not in reads:
            option = option_name(parameter)
            raise InputError(f"expected {option} with --init {reader}; got {option} with {name}: drop one")

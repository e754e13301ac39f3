"""The schemes by which biases start."""

from __future__ import annotations

import math

from fastsnf.errors import unknown

BIAS_SCHEMES = ("default", "zero", "like-weights")
"""The named schemes: PyTorch's uniform in +-1/sqrt(fan_in), never scaled by alpha; 0; the distribution of the
layer's own weights. A number is the fourth: every bias is that number."""

BiasInit = str | float


def bias_scheme(bias_init: BiasInit) -> BiasInit:
    """Return the scheme's name, or the number for every bias, that `bias_init` means.

    Numbers may come as text, as from the command line; underscores serve as well as dashes.

    Raises:
        InputError: for anything else, infinities and NaN included.
    """
    if isinstance(bias_init, str) and bias_init.replace("_", "-") in BIAS_SCHEMES:
        return bias_init.replace("_", "-")
    try:
        number = float(bias_init)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(bias_init, bool) or not math.isfinite(number):
        raise unknown("bias_init", bias_init, (*BIAS_SCHEMES, "a finite number"))
    return number

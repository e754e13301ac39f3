"""The run-time floats of an activation, as every kernel takes them."""

from __future__ import annotations

import math
import struct

from fastsnf.spec import Activation, Sinc

PRECISIONS = ("fp32", "tf32", "fast")

TIERS = {"fp32": "exact", "tf32": "accurate", "fast": "accurate"}
"""The tier of sine and exponential in each precision."""


SAVED_WHOLE = ("sinc", "gabor-real", "finer")
"""Activations that oscillate in u and need u too: fp16 does not hold their phase, and on a photograph 0.9,
2.7 and 8 dB are lost (``python -m benchmarks.emulated_quality --halve-all``)."""


def parameters(act: Activation, suffix: str = "") -> dict[str, float]:
    """Return omega, turn, turn_low and scale, named with `suffix`; 0 where the activation has none.

    The scale of a sinc is its amplitude.

    turn + turn_low = omega / (2 pi) in two floats: reduced phases are then as exact as their argument.
    """
    omega = getattr(act, "omega", 0.0)
    scale = act.amplitude if isinstance(act, Sinc) else getattr(act, "scale", 0.0)
    turns = omega / (2.0 * math.pi)
    high = struct.unpack("f", struct.pack("f", turns))[0]
    values = {"omega": omega, "turn": high, "turn_low": turns - high, "scale": scale}
    return {name + suffix: value for name, value in values.items()}


def saved_format(act: Activation, precision: str, *, phases: bool = False) -> str:
    """Return the format in which a layer's pre-activations are saved; `phases`: 16-bit phases in tf32."""
    if precision == "fast" and act.name not in SAVED_WHOLE:
        return "phase16" if act.name == "sine" else "float16"
    return "phase16" if phases and precision == "tf32" and act.name == "sine" else "float32"

"""The run-time floats of an activation, as every kernel takes them."""

from __future__ import annotations

import math
import struct

from fastsnf.spec import Activation

PRECISIONS = ("fp32", "tf32", "fast")

TIERS = {"fp32": "exact", "tf32": "accurate", "fast": "accurate"}
"""The tier of sine and exponential in each precision."""


def parameters(act: Activation, suffix: str = "") -> dict[str, float]:
    """Return omega, turn, turn_low and scale, named with `suffix`; 0 where the activation has none.

    turn + turn_low = omega / (2 pi) in two floats: reduced phases are then as exact as their argument.
    """
    omega, scale = getattr(act, "omega", 0.0), getattr(act, "scale", 0.0)
    turns = omega / (2.0 * math.pi)
    high = struct.unpack("f", struct.pack("f", turns))[0]
    values = {"omega": omega, "turn": high, "turn_low": turns - high, "scale": scale}
    return {name + suffix: value for name, value in values.items()}


def saved_format(act: Activation, precision: str, *, phases: bool = False) -> str:
    """Return the format in which a layer's pre-activations are saved; `phases`: 16-bit phases in tf32.

    FINER's phase grows with the square of u, and fp16 does not hold it: 8 dB are lost on a photograph
    (``python -m benchmarks.emulated_quality --activations finer --halve-finer``). So u is saved whole.
    """
    if precision == "fast" and act.name != "finer":
        return "phase16" if act.name == "sine" else "float16"
    return "phase16" if phases and precision == "tf32" and act.name == "sine" else "float32"

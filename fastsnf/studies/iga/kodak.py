"""The paper's figures for the Kodak pictures (IGA, Tables 6 to 8)."""

from __future__ import annotations

import re

PAPER: dict[str, dict[tuple[str, str], tuple[float, ...]]] = {
    "psnr": {
        ("relu", "plain"): (19.78, 26.62, 25.88, 24.70, 17.70, 21.98, 21.52, 16.07),
        ("relu", "iga"): (20.42, 27.71, 28.20, 26.17, 18.81, 22.69, 22.96, 16.99),
        ("pe", "plain"): (26.07, 32.51, 32.80, 31.37, 24.60, 27.28, 31.74, 22.79),
        ("pe", "iga"): (29.17, 35.18, 37.91, 35.07, 28.06, 31.27, 36.60, 26.41),
        ("siren", "plain"): (29.61, 35.19, 36.31, 35.10, 29.74, 31.01, 36.73, 27.50),
        ("siren", "iga"): (30.10, 35.85, 38.60, 35.80, 30.13, 31.94, 37.68, 27.73),
    },
    "ssim": {
        ("relu", "plain"): (0.2978, 0.6455, 0.7235, 0.6199, 0.2797, 0.4531, 0.5681, 0.2785),
        ("relu", "iga"): (0.3298, 0.6628, 0.7564, 0.6387, 0.3195, 0.4753, 0.5946, 0.3232),
        ("pe", "plain"): (0.7193, 0.8126, 0.8634, 0.8077, 0.7371, 0.7553, 0.8911, 0.6790),
        ("pe", "iga"): (0.8458, 0.8806, 0.9402, 0.8994, 0.8542, 0.8778, 0.9462, 0.8132),
        ("siren", "plain"): (0.8715, 0.8948, 0.9168, 0.9060, 0.9040, 0.8689, 0.9534, 0.8643),
        ("siren", "iga"): (0.8830, 0.9070, 0.9492, 0.9173, 0.9110, 0.8996, 0.9606, 0.8688),
    },
    "lpips": {
        ("relu", "plain"): (0.7571, 0.5392, 0.4000, 0.5547, 0.7788, 0.5854, 0.6172, 0.8089),
        ("relu", "iga"): (0.6857, 0.4770, 0.2927, 0.4730, 0.6695, 0.5609, 0.5278, 0.7527),
        ("pe", "plain"): (0.2803, 0.2092, 0.1062, 0.2128, 0.2643, 0.2517, 0.1218, 0.3322),
        ("pe", "iga"): (0.1363, 0.0938, 0.0256, 0.0956, 0.1056, 0.1068, 0.0310, 0.1559),
        ("siren", "plain"): (0.1052, 0.0878, 0.0661, 0.0994, 0.0654, 0.0967, 0.0271, 0.0980),
        ("siren", "iga"): (0.0895, 0.0746, 0.0246, 0.0858, 0.0628, 0.0853, 0.0199, 0.0921),
    },
}
"""By metric, then by model and training: the figures of `NAMES`. Table 7 calls SIREN+IGA "SIREN+TDS"."""


def paper_figure(metric: str, model: str, training: str, name: str) -> float | None:
    """Return the paper's figure for the picture called `name`, None where it has none."""
    known = re.fullmatch(r"(?:kodim|kodak)?0?([1-8])", name.lower())
    figures = PAPER[metric].get((model, training))
    return None if known is None or figures is None else figures[int(known[1]) - 1]

"""The figures that the paper prints, as text: their digits say how exactly."""

from __future__ import annotations

VARIANCES: dict[tuple[str, str], str] = {
    ("tanh", "xavier"): "1",
    ("relu", "kaiming"): "2",
    ("tanh", "kumar"): "1",
    ("sigmoid", "kumar"): "12.96",
    ("relu", "kumar"): "2",
    ("tanh", "pytorch"): "2.78",
    ("sigmoid", "pytorch"): "1",
    ("relu", "pytorch"): "2",
    ("tanh", "vi3nr"): "2.54",
    ("sigmoid", "vi3nr"): "3.41",
    ("relu", "vi3nr"): "2",
    ("tanh", "vi3nr-root"): "1.02",
    ("sigmoid", "vi3nr-root"): "104.28",
    ("relu", "vi3nr-root"): "2",
    ("sine", "vi3nr"): "2",
    ("sine", "vi3nr-root"): "0.001",
    ("gaussian", "vi3nr"): "28.07",
    ("gaussian", "vi3nr-root"): "0.015",
    ("sinc", "vi3nr"): "1.31",
    ("sinc", "vi3nr-root"): "10.700",
    ("wavelet", "vi3nr"): "2.68",
    ("wavelet", "vi3nr-root"): "1.805",
}
"""Fan-in times sigma^2(W) by activation and method (Tables 1 and 3); ``-root`` is sigma_p from Eq. 13."""

SIGMA_P: dict[str, str] = {
    "tanh": "0.1",
    "sigmoid": "6.8",
    "relu": "1",
    "sine": "0.004",
    "gaussian": "0.078",
    "sinc": "2.225",
    "wavelet": "0.871",
}
"""Sigma_p from Eq. 13 (Tables 1 and 3); every one satisfies it with ReLU."""

ERRORS: dict[tuple[str, str], tuple[str, str]] = {
    ("tanh", "xavier"): ("99.0", "98.5"),
    ("relu", "kaiming"): ("9.7", "25.9"),
    ("tanh", "kumar"): ("99.0", "98.5"),
    ("sigmoid", "kumar"): ("62.3", "100.0"),
    ("relu", "kumar"): ("9.7", "25.9"),
    ("tanh", "pytorch"): ("7.8", "100.0"),
    ("sigmoid", "pytorch"): ("59.9", "100.0"),
    ("relu", "pytorch"): ("9.7", "25.9"),
    ("tanh", "vi3nr"): ("2.1", "100.0"),
    ("sigmoid", "vi3nr"): ("3.0", "100.0"),
    ("relu", "vi3nr"): ("9.7", "25.9"),
    ("tanh", "vi3nr-root"): ("8.8", "21.1"),
    ("sigmoid", "vi3nr-root"): ("3.6", "39.5"),
    ("relu", "vi3nr-root"): ("9.7", "25.9"),
    ("sine", "vi3nr"): ("2.0", "100.0"),
    ("sine", "vi3nr-root"): ("10.1", "20.4"),
    ("gaussian", "vi3nr"): ("6.7", "100.0"),
    ("gaussian", "vi3nr-root"): ("0.9", "35.6"),
    ("sinc", "vi3nr"): ("3.2", "100.0"),
    ("sinc", "vi3nr-root"): ("0.3", "21.4"),
    ("wavelet", "vi3nr"): ("1.7", "100.0"),
    ("wavelet", "vi3nr-root"): ("0.8", "22.5"),
}
"""E_f and E_b in % by activation and method (Tables 2 and 3)."""

SAMPLES: dict[int | None, tuple[str | None, str | None, str, str]] = {
    None: (None, None, "2.1", "18.0"),
    1_000_000: ("7.7e-4", "12.0", "3.4", "18.3"),
    100_000: ("2.3e-3", "1.5", "3.0", "20.1"),
    10_000: ("8.1e-3", "0.4", "2.8", "19.7"),
    1_000: ("2.2e-2", "0.2", "3.4", "35.1"),
}
"""E_W, milliseconds, E_f and E_b by Monte Carlo samples, None being the closed form (Table 4)."""

TABLE_5: dict[str, tuple[float, float]] = {
    "SIREN + random normal": (10.71, 3.11),
    "SIREN + SIREN init": (55.77, 2.21),
    "Sinc + random normal": (32.11, 2.73),
    "Sinc + VI3NR, Monte Carlo": (71.44, 5.25),
    "Gaussian + random normal": (30.42, 4.41),
    "Gaussian + VI3NR, Monte Carlo": (75.85, 6.26),
    "Gaussian + VI3NR": (79.73, 11.85),
}
"""Mean and deviation of the PSNR over Kodak's pictures."""

TABLE_8: dict[str, tuple[float, float]] = {
    "ReLU, Xavier": (18.85, 2.93),
    "ReLU, Kaiming": (18.36, 2.87),
    "ReLU, VI3NR sigma_p 1": (18.36, 2.88),
    "Gaussian 0.05, Xavier": (14.52, 2.70),
    "Gaussian 0.05, Kaiming": (9.97, 1.34),
    "Gaussian 0.05, VI3NR sigma_p 0.08": (25.08, 2.96),
    "Gaussian 0.05, VI3NR sigma_p 0.15": (79.73, 11.85),
    "Gaussian 0.09, Xavier": (62.60, 5.32),
    "Gaussian 0.2, Kaiming": (79.70, 7.68),
}
"""Likewise; the table's last row is the seventh again."""


def half_digit(text: str) -> float:
    """Return half a unit of the last digit of a printed figure.

    >>> half_digit("6.8"), half_digit("2"), half_digit("7.7e-4")
    (0.05, 0.5, 5e-06)
    """
    digits, _, exponent = text.partition("e")
    places = len(digits.partition(".")[2])
    return float(f"0.5e{int(exponent or 0) - places}")

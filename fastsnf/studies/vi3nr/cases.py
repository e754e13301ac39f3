"""The nets of Tables 1 to 4: by activation and by how sigma^2(W) and sigma_p are chosen."""

from __future__ import annotations

from fastsnf.nn.init import kumar_gain, moments, pytorch_gain, solve_sigma_p
from fastsnf.studies.vi3nr.activations import SPECS
from fastsnf.studies.vi3nr.deep import Net
from fastsnf.studies.vi3nr.published import SIGMA_P, VARIANCES

METHODS = {
    "xavier": "Xavier",
    "kaiming": "Kaiming",
    "kumar": "Kumar",
    "pytorch": "PyTorch",
    "vi3nr": "VI3NR",
    "vi3nr-root": "VI3NR, Eq. 13",
}
SAMPLED, PRINTED = "sampled-", "printed-"
"""What a method's name starts with where sigma^2(W) comes from so many samples, or from the paper."""
NO_ROOT = ("tanh", "sine")
"""Their Eq. 13 has no positive root: nets take the paper's sigma_p."""
PRINTED_CASES = tuple(
    [("sigmoid", f"{PRINTED}kumar")] + [(name, f"{PRINTED}vi3nr-root") for name in SIGMA_P if name != "relu"]
)
"""The figures of the paper that are not the exact ones, in nets of their own."""


def root_of(activation: str) -> float | None:
    """Return sigma_p by Eq. 13, None where it has no positive root; 1 for ReLU, which every one fits."""
    return solve_sigma_p(SPECS[activation])


def sigma_p_of(activation: str, method: str) -> float:
    """Return the sigma_p of a net: 1, the root of Eq. 13, or the paper's where there is none."""
    if not method.endswith("-root") and not method.startswith(SAMPLED):
        return 1.0
    root = None if method.startswith(PRINTED) else root_of(activation)
    return float(SIGMA_P[activation]) if root is None else root


def variance_of(activation: str, method: str) -> float:
    """Return fan-in times sigma^2(W) by a method of `METHODS` (Eq. 4 for VI3NR's)."""
    if method == "xavier":
        return 1.0
    if method == "kaiming" or (activation, method) == ("relu", "kumar"):  # whose formula needs f'(0)
        return 2.0
    spec = SPECS[activation]
    if method == "kumar":
        return kumar_gain(spec) ** 2
    if method == "pytorch":
        return pytorch_gain(spec) ** 2
    return exact_variance(activation, sigma_p_of(activation, method))


def exact_variance(activation: str, sigma_p: float) -> float:
    """Return sigma_p^2 / E[f^2], Eq. 4 times the fan-in, by closed form or quadrature."""
    return sigma_p**2 / moments(SPECS[activation], sigma_p).square


def sampled_variance(activation: str, sigma_p: float, samples: int, seed: int) -> float:
    """Return the same with E[f^2] from so many samples, as the paper has it."""
    found = moments(SPECS[activation], sigma_p, method="monte-carlo", samples=samples, seed=seed)
    return sigma_p**2 / found.square


def net_of(activation: str, method: str, seed: int) -> Net:
    """Return the net of a case; only those of sampled variances depend on the seed."""
    sigma_p = sigma_p_of(activation, method)
    if method.startswith(SAMPLED):
        samples = int(method.removeprefix(SAMPLED))
        return Net(activation, sigma_p, sampled_variance(activation, sigma_p, samples, seed))
    if method == f"{PRINTED}kumar":
        return Net(activation, 1.0, float(VARIANCES[activation, "kumar"]))
    if method.startswith(PRINTED) and activation in ("tanh", "sigmoid"):  # so does the released code
        return Net(activation, sigma_p, float(VARIANCES[activation, "vi3nr-root"]))
    if method.startswith(PRINTED):
        return Net(activation, sigma_p, exact_variance(activation, sigma_p))
    return Net(activation, sigma_p, variance_of(activation, method))

"""What the weight-scaling paper prints in Tables 1 and 4, and its poster beside Table 1. No torch here.

The image column is that of the Kodak set, occupancy Lucy, sphere ERA5, audio Bach. PSNR in dB, of occupancy
IoU.
"""

from __future__ import annotations

from collections.abc import Mapping

IMAGE, OCCUPANCY, SPHERE, AUDIO = "image", "occupancy", "sphere", "audio"
SIGNALS = (IMAGE, OCCUPANCY, SPHERE, AUDIO)

TABLE_1: Mapping[str, Mapping[str, float]] = {
    "xavier": {IMAGE: 0.46, OCCUPANCY: 0.0, SPHERE: 4.11, AUDIO: 7.77},
    "relu-pe": {IMAGE: 18.60, OCCUPANCY: 0.9896, SPHERE: 33.30, AUDIO: 24.98},
    "ffn": {IMAGE: 20.52, OCCUPANCY: 0.9843, SPHERE: 38.69, AUDIO: 16.66},
    "siren": {IMAGE: 24.58, OCCUPANCY: 0.9925, SPHERE: 38.72, AUDIO: 37.37},
    "gauss": {IMAGE: 21.94, OCCUPANCY: 0.9914, SPHERE: 38.56, AUDIO: 27.47},
    "wire": {IMAGE: 28.94, OCCUPANCY: 0.9912, SPHERE: 31.27, AUDIO: 16.83},
    "nfsl": {IMAGE: 24.93, OCCUPANCY: 0.9925, SPHERE: 38.92, AUDIO: 37.17},
    "mfn": {IMAGE: 28.54, OCCUPANCY: 0.9847, SPHERE: 36.89, AUDIO: 16.16},
    "sinc": {IMAGE: 27.73, OCCUPANCY: 0.9936, SPHERE: 36.15, AUDIO: 23.03},
    "weight-scaling": {IMAGE: 42.83, OCCUPANCY: 0.9941, SPHERE: 45.28, AUDIO: 45.04},
}
"""Table 1; the rows mfn and sinc stand on the poster alone, without their settings."""

TABLE_4: Mapping[str, Mapping[str, float]] = {
    "xavier": {IMAGE: 2.31, OCCUPANCY: 0.0706, SPHERE: 7.10, AUDIO: 16.16},
    "relu-pe": {IMAGE: 21.77, OCCUPANCY: 0.9920, SPHERE: 41.32, AUDIO: 32.40},
    "ffn": {IMAGE: 26.51, OCCUPANCY: 0.9874, SPHERE: 45.27, AUDIO: 17.54},
    "siren": {IMAGE: 26.01, OCCUPANCY: 0.9926, SPHERE: 44.42, AUDIO: 46.78},
    "gauss": {IMAGE: 21.90, OCCUPANCY: 0.9935, SPHERE: 44.15, AUDIO: 34.65},
    "wire": {IMAGE: 31.47, OCCUPANCY: 0.9939, SPHERE: 45.13, AUDIO: 20.17},
    "nfsl": {IMAGE: 26.91, OCCUPANCY: 0.9933, SPHERE: 45.10, AUDIO: 45.70},
    "weight-scaling": {IMAGE: 52.73, OCCUPANCY: 0.9950, SPHERE: 49.63, AUDIO: 54.04},
}
"""Table 4, training for longer."""

METHODS = tuple(TABLE_1)
"""The fields that are compared, the paper's own last."""

STEPS: Mapping[str, tuple[int, int]] = {
    IMAGE: (150, 300),
    OCCUPANCY: (50, 100),
    SPHERE: (5_000, 15_000),
    AUDIO: (1_000, 5_000),
}
"""Steps of Table 1 and of Table 4; of occupancy passes over the grid, which the paper calls iterations as
well: its IoU of 0.99 for every method is out of reach of 50 batches of 100,000 points."""

WIDTHS: Mapping[str, int] = {IMAGE: 512, OCCUPANCY: 256, SPHERE: 256, AUDIO: 256}

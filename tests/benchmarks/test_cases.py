from __future__ import annotations

import pytest

from benchmarks import cases
from benchmarks.cases import Case, flops_per_point


def test_useful_flops_are_six_times_the_products_of_a_training_step() -> None:
    products = 2 * 256 + 3 * 256 * 256 + 256 * 3
    assert flops_per_point(256, is_complex=False, training=True) == 6 * products
    assert flops_per_point(256, is_complex=False, training=False) == 2 * products


def test_a_complex_layer_counts_as_the_real_matrix_it_expands_to() -> None:
    assert flops_per_point(181, is_complex=True, training=False) == 2 * (2 * 181 + 3 * 362 * 362 + 362 * 3)


def test_case_names_are_unique() -> None:
    names = [case.name for suite in cases.SUITES.values() for case in suite]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("name", "ratio", "share"),
    [
        ("train-256", 3.2, 0.78),
        ("train-128", 4.5, 0.75),
        ("train-512", 2.4, 0.75),
        ("train-100", 3.0, 0.60),
        ("train-181", 3.0, 0.70),
        ("infer-256", 2.9, 0.80),
        ("by-hand-256", 2.4, None),
        ("train-gabor-181", 4.5, None),
        ("train-gaussian-256", 3.0, None),
        ("train-sinc-256", 3.0, None),
        ("train-finer-256", 3.0, None),
        ("train-gabor-real-256", None, None),
    ],
)
def test_floors_are_the_published_ones(name: str, ratio: float, share: float | None) -> None:
    case = cases.find(name)
    assert (case.floor_ratio, case.floor_share) == (ratio, share)


def test_the_avx2_variant_has_the_same_shares_and_no_ratio() -> None:
    forced = cases.find("train-256-avx2")
    assert forced.floor_share == cases.find("train-256").floor_share
    assert forced.floor_ratio is None
    assert not forced.against_compile


def test_a_case_on_fewer_points_has_no_floor() -> None:
    small = cases.find("train-256").scaled(64)
    assert small.points == 64
    assert (small.floor_ratio, small.floor_share) == (None, None)
    assert Case("train", 8, 32).scaled(64).points == 32

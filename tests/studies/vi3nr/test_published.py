"""The paper's figures as data, against a second transcription: its tables line by line."""

import pytest

from fastsnf.studies.vi3nr.comparison import compared
from fastsnf.studies.vi3nr.published import ERRORS, SAMPLES, SIGMA_P, TABLE_5, TABLE_8, VARIANCES, half_digit

TABLE_1 = """
xavier      1     -       -
kaiming     -     -       2
kumar       1     12.96   2
pytorch     2.78  1       2
vi3nr       2.54  3.41    2
sigma_p     0.1   6.8     1
vi3nr-root  1.02  104.28  2
"""
TABLE_2 = """
xavier      99.0 98.5   -    -      -   -
kaiming     -    -      -    -      9.7 25.9
kumar       99.0 98.5   62.3 100.0  9.7 25.9
pytorch     7.8  100.0  59.9 100.0  9.7 25.9
vi3nr       2.1  100.0  3.0  100.0  9.7 25.9
vi3nr-root  8.8  21.1   3.6  39.5   9.7 25.9
"""
TABLE_3 = """
sine      2      2.0  100.0  0.004  0.001   10.1  20.4
gaussian  28.07  6.7  100.0  0.078  0.015   0.9   35.6
sinc      1.31   3.2  100.0  2.225  10.700  0.3   21.4
wavelet   2.68   1.7  100.0  0.871  1.805   0.8   22.5
"""
TABLE_4 = """
E_W    -     7.7e-4  2.3e-3  8.1e-3  2.2e-2
Time   -     12.0    1.5     0.4     0.2
E_f    2.1   3.4     3.0     2.8     3.4
E_b    18.0  18.3    20.1    19.7    35.1
"""
COMMON = ("tanh", "sigmoid", "relu")


def lines(table):
    return [line.split() for line in table.strip().splitlines()]


def test_variances_sigma_p_and_errors_are_the_papers():
    variances, sigmas, errors = {}, {}, {}
    for method, *cells in lines(TABLE_1):
        for activation, cell in zip(COMMON, cells, strict=True):
            if method == "sigma_p":
                sigmas[activation] = cell
            elif cell != "-":
                variances[activation, method] = cell
    for method, *cells in lines(TABLE_2):
        for activation, forward, backward in zip(COMMON, cells[::2], cells[1::2], strict=True):
            if forward != "-":
                errors[activation, method] = (forward, backward)
    for activation, variance, forward, backward, sigma_p, *root in lines(TABLE_3):
        variances[activation, "vi3nr"], variances[activation, "vi3nr-root"] = variance, root[0]
        errors[activation, "vi3nr"], errors[activation, "vi3nr-root"] = (forward, backward), tuple(root[1:])
        sigmas[activation] = sigma_p
    assert (variances, sigmas, errors) == (VARIANCES, SIGMA_P, ERRORS)


def test_table_4_is_the_papers():
    sizes = (None, 1_000_000, 100_000, 10_000, 1_000)
    columns = zip(*(cells for _, *cells in lines(TABLE_4)), strict=True)
    found = {
        size: tuple(None if cell == "-" else cell for cell in column)
        for size, column in zip(sizes, columns, strict=True)
    }
    assert found == SAMPLES


def test_tables_5_and_8_are_the_papers():
    assert [mean for mean, _ in TABLE_5.values()] == [10.71, 55.77, 32.11, 71.44, 30.42, 75.85, 79.73]
    assert [deviation for _, deviation in TABLE_5.values()] == [3.11, 2.21, 2.73, 5.25, 4.41, 6.26, 11.85]
    assert [mean for mean, _ in TABLE_8.values()] == [
        18.85, 18.36, 18.36, 14.52, 9.97, 25.08, 79.73, 62.60, 79.70
    ]  # fmt: skip
    assert [deviation for _, deviation in TABLE_8.values()] == [
        2.93, 2.87, 2.88, 2.70, 1.34, 2.96, 11.85, 5.32, 7.68
    ]  # fmt: skip
    assert TABLE_8["Gaussian 0.05, VI3NR sigma_p 0.15"] == TABLE_5["Gaussian + VI3NR"]


@pytest.mark.parametrize(("text", "half"), [("99.0", 0.05), ("12.96", 0.005), ("1", 0.5), ("2.3e-3", 5e-5)])
def test_half_of_the_last_digit(text, half):
    assert half_digit(text) == pytest.approx(half)


def test_errors_are_compared_within_two_deviations_or_the_last_digit():
    # mean 2.0, deviation 1.0 by hand
    assert compared([1.0, 2.0, 3.0], "3.9") == (["2.0 +- 1.0", "3.9", "+-2.00", "yes"], True)
    assert compared([1.0, 2.0, 3.0], "4.1") == (["2.0 +- 1.0", "4.1", "+-2.00", "no"], False)
    assert compared([99.97, 99.97], "100.0")[1] is True  # no deviation: half of 0.1
    assert compared([99.9, 99.9], "100.0")[1] is False
    assert compared([], "9.7") == (["-", "9.7", "-", "-"], None)
    assert compared([1.0], "9.7") == (["1.0", "9.7", "-", "-"], None)
    assert compared([1.0, 2.0], "9.7", comparable=False)[1] is None

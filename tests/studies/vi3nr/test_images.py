"""`vi3nr-images`: starts, rows and tables at tiny sizes."""

import math
import statistics

import pytest

from fastsnf.errors import InputError
from fastsnf.spec import Gaussian, Identity
from fastsnf.studies import reproduce
from fastsnf.studies.pictures import NO_DATA
from fastsnf.studies.vi3nr import fits
from fastsnf.studies.vi3nr.config import ImagesSettings
from fastsnf.studies.vi3nr.fits import Start
from fastsnf.studies.vi3nr.images import Images, order_note
from fastsnf.studies.vi3nr.published import TABLE_5, TABLE_8
from tests.studies.pieces import noise_pictures

SMALL = {
    "size": "6x6", "steps": 2, "layers": 2, "hidden_features": 6, "grid_features": 6, "stds": (0.1, 0.3),
    "sigma_a": (0.05, 0.1), "ratios": (0.33, 0.64), "depths": (1, 3), "device": "cpu",
}  # fmt: skip
SEEDED = {"seed": 0, "bias_init": "zero"}


@pytest.fixture
def folder(tmp_path):
    return str(noise_pictures(tmp_path / "data", (8, 8), (8, 8)))


def test_every_line_of_the_tables_is_the_papers():
    settings = ImagesSettings()
    assert list(fits.table_5(settings)) == list(TABLE_5)
    assert list(fits.table_8(settings)) == list(TABLE_8)


@pytest.mark.parametrize("method", ["auto", "monte-carlo"])
def test_a_gaussian_start_has_the_variances_of_the_supplement(method):
    """Eq. 25 in the first layer, Eq. 53 in the others; the estimate from samples within its own scatter."""
    options = {"sigma_p": 0.15, "method": method}
    start = Start(Gaussian.from_sigma(0.05), "vi3nr", 3, 256, options)
    field = fits.field_of({**start.facts(), **SEEDED}, 3)
    assert [a.name for a in field.spec.activations] == ["gaussian"] * 3 + [Identity().name]
    r = 0.05 / 0.15
    hidden = 0.15**2 * math.sqrt(r * r + 2.0) / r
    tolerances = {"auto": 0.0, "monte-carlo": 0.01}
    for layer, linear in enumerate(field.linears()):
        fan_in = linear.in_features
        variance = 3.0 * 0.15**2 / fan_in if layer == 0 else hidden / fan_in
        bound = math.sqrt(3.0 * variance)
        largest = float(linear.weight.detach().abs().max())
        slack = 1.0 + tolerances[method] + 1e-6
        assert (
            0.97 * bound < largest <= bound * slack
        )  # uniform: the largest of 512 and more is near the bound
        assert not linear.bias.any()


def test_monte_carlo_is_another_estimate_of_the_same():
    exact, sampled = (
        fits.field_of({**fits.table_5(ImagesSettings())[name][0].facts(), **SEEDED}, 1).linears()[1].weight
        for name in ("Gaussian + VI3NR", "Gaussian + VI3NR, Monte Carlo")
    )
    ratio = float((sampled / exact).detach().mean())
    assert ratio != 1.0
    assert ratio == pytest.approx(1.0, abs=0.004)  # five deviations of a million samples


def test_random_normal_and_siren_starts():
    random = fits.field_of(
        {**fits.table_5(ImagesSettings())["SIREN + random normal"][1].facts(), **SEEDED}, 1
    )
    assert len(random.linears()) == 9  # eight layers and a linear one
    assert float(random.linears()[3].weight.detach().std()) == pytest.approx(0.1, rel=0.03)
    siren = fits.field_of({**fits.table_5(ImagesSettings())["SIREN + SIREN init"][0].facts(), **SEEDED}, 1)
    assert float(siren.linears()[1].weight.detach().abs().max()) == pytest.approx(
        math.sqrt(6.0 / 128) / 30.0, rel=0.01
    )


def test_tables_end_to_end_and_again(folder, tmp_path, undrawn):
    out, seen = tmp_path / "out", []
    options = {**SMALL, "data": folder, "images": 2}
    report = reproduce("vi3nr-images", out=out, part=("table5",), **options)
    (table,) = report.tables
    assert len(report.outcomes) == 2 * (4 + 3 * 2)
    psnrs = {}
    for outcome in report.outcomes:
        facts = outcome.row.facts
        if facts["activation"]["name"] == "sine" and facts["init"] == "random-normal":
            psnrs.setdefault(facts["options"]["std"], []).append(outcome.result["psnr"])
    chosen = max(psnrs, key=lambda std: statistics.mean(psnrs[std]))
    row = next(r for r in table.rows if r[0] == "SIREN + random normal")
    mean, deviation = statistics.mean(psnrs[chosen]), statistics.stdev(psnrs[chosen])
    assert row[1:] == (f"{mean:.2f}", f"{deviation:.2f}", "10.71", "3.11", "2", f"std {chosen:g}")
    reproduce(
        "vi3nr-images",
        out=out,
        part=("table5", "table8"),
        watch=lambda *told: seen.append(told[3]),
        **options,
    )
    assert seen.count(True) == 20
    assert seen.count(False) == 2 * 8  # Table 8 shares one line with Table 5


def test_pairs_of_trainings_in_the_papers_order():
    exact = {name: mean for name, (mean, _) in TABLE_8.items()}
    close = [
        ("ReLU, Xavier", "ReLU, Kaiming"),
        ("Gaussian 0.2, Kaiming", "Gaussian 0.05, VI3NR sigma_p 0.15"),
    ]
    assert all(abs(exact[a] - exact[b]) < max(TABLE_8[a][1], TABLE_8[b][1]) for a, b in close)
    told = order_note(exact, TABLE_8)
    pairs = int(told.split(" of ")[1].split()[0])
    assert told.startswith(f"In the paper's order: {pairs} of {pairs} pairs")
    assert 28 <= pairs <= 36 - len(close)  # of 9 trainings
    assert f" 0 of {pairs} pairs" in order_note({name: -mean for name, mean in exact.items()}, TABLE_8)
    assert " 0 of 0 pairs" in order_note(dict.fromkeys(exact), TABLE_8)


def test_grids_and_figure_5_take_the_first_picture(folder, tmp_path):
    report = reproduce(
        "vi3nr-images", out=tmp_path / "out", data=folder, part=("fig2b", "fig3", "fig5"), seeds=1, **SMALL
    )
    assert {outcome.row.facts["picture"] for outcome in report.outcomes} == {"kodim01"}
    # three depths of 2 x 2, random normal of 2 x 2; VI3NR of Fig. 5 is the grid's ratio 0.33, as wide here
    assert len(report.outcomes) == 3 * 4 + 4
    assert {outcome.row.facts["layers"] for outcome in report.outcomes} == {1, 2, 3}
    *grids, fig5 = report.tables
    assert [table.title.split(":")[0] for table in grids] == [
        "Fig. 2b, 2 layers", "Fig. 3, 1 layers", "Fig. 3, 3 layers"
    ]  # fmt: skip
    found = {
        (o.row.facts["layers"], round(o.row.facts["options"].get("sigma_p", 0.0), 6)): o.result["psnr"]
        for o in report.outcomes
    }
    assert grids[1].rows[0][1] == f"{found[1, round(0.05 / 0.33, 6)]:.2f}"
    assert fig5.rows[1][2] == f"{found[2, round(0.1 / 0.33, 6)]:.2f}"
    assert report.pictures[0].read_bytes().startswith(b"\x89PNG")


def test_without_data_every_row_says_so(tmp_path):
    report = reproduce("vi3nr-images", out=tmp_path, images=1, **SMALL)
    assert all(outcome.why == NO_DATA for outcome in report.outcomes)
    for table in report.tables:
        assert {row[1] for row in table.rows} == {"no data"}
        assert any(NO_DATA in note for note in table.notes)
    assert report.pictures == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"part": ("table6",)}, "part to be one of"),
        ({"size": "8"}, "size of two positive whole numbers"),
        ({"bias_init": "ones"}, "bias_init to be one of"),
        ({"schedule": "cosin"}, "cosine"),
        ({"sigma_a": (0.1,)}, "at least two values on each axis"),
        ({"ratios": (0.0, 1.0)}, "above 0"),
    ],
)
def test_a_wrong_setting_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        ImagesSettings(**options)


def test_rows_are_the_paper_sized_ones_by_default():
    rows = Images(ImagesSettings(data=None, device="cpu"), None).rows()
    assert {row.facts["layers"] for row in rows} == {8}
    assert {row.facts["features"] for row in rows} == {128}
    assert len(rows) == 8 * (4 + 3 * 3 + 8)

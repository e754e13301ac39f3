"""IGA's experiments on pictures: rows, the paper's figures beside ours, and what is missing."""

import statistics

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.studies import perceptual, reproduce
from fastsnf.studies.iga import fits
from fastsnf.studies.iga.ablations import GROUPS_PSNR, PLAIN_PSNR, SAMPLES, SAMPLES_PSNR
from fastsnf.studies.iga.config import GroupsSettings
from fastsnf.studies.iga.kodak import PAPER, paper_figure
from fastsnf.studies.pictures import NO_DATA, pictures
from fastsnf.studies.registry import study_of
from tests.studies.pieces import cells, noise_pictures

SMALL = {"steps": 3, "hidden_features": 8, "hidden_layers": 1, "device": "cpu"}


@pytest.fixture
def folder(tmp_path):
    """A folder with three small pictures, named as Kodak's."""
    data = noise_pictures(tmp_path / "data", (40, 56), (56, 40), (40, 56))
    (data / "notes.txt").write_text("no picture")
    return data


def test_image_end_to_end_and_again(folder, tmp_path):
    out = tmp_path / "out"
    options = {**SMALL, "data": str(folder), "group": 8, "seeds": 2}
    report = reproduce("iga-image", out=out, images=1, models=("siren", "pe"), **options)
    assert len(report.outcomes) == 8
    done = [outcome for outcome in report.outcomes if outcome.row.facts["model"] == "siren"]
    assert all(outcome.result["psnr_best"] >= outcome.result["psnr"] for outcome in done)
    assert all(outcome.result["seconds_step"] > 0 for outcome in done)
    assert all(0 <= outcome.result["ssim"] <= 1 for outcome in done)
    means, gains, single = report.tables
    assert cells(single, "kodim01 SIREN")["paper plain"] == "29.61"
    assert float(cells(single, "kodim01 PE")["plain"]) > 0
    assert float(cells(means, "PE+IGA")["PSNR"]) > 0
    assert cells(means, "PE+IGA")["paper"] == "0.1363"  # of the last of three columns
    found = [
        [o.result["psnr"] for o in done if (o.row.facts["group"] is None) == plain] for plain in (True, False)
    ]
    differences = [iga - plain for plain, iga in zip(*found, strict=True)]
    row = cells(gains, "SIREN+IGA")
    assert row["pairs"] == "2"
    assert row["gain"] == f"{statistics.mean(differences):+.2f}"
    assert row["spread"] == f"{statistics.stdev(differences):.2f}"
    assert report.pictures[0].read_bytes().startswith(b"\x89PNG")
    assert all((run / "reconstruction.png").is_file() for run in (out / "runs").iterdir())


def test_more_models_keep_the_rows_that_are_there(folder, tmp_path, undrawn):
    seen = []
    for models in (("siren",), ("relu", "siren")):
        seen.clear()
        reproduce(
            "iga-image", out=tmp_path / "out", data=str(folder), images=1, group=8, models=models,
            watch=lambda *told: seen.append(told[3]), **SMALL,
        )  # fmt: skip
    assert seen == [False] * 2 + [True] * 2


def test_groups_and_sampling_end_to_end(folder, tmp_path):
    options = {**SMALL, "data": str(folder), "images": 1, "models": ("siren",)}
    report = reproduce("iga-groups", out=tmp_path / "g", groups=(4, 16), **options)
    (table,) = report.tables
    assert [row[0] for row in table.rows] == ["plain", "4 x 4", "16 x 16"]
    assert cells(table, "plain")["gain"] == "-"
    assert float(cells(table, "4 x 4")["time ratio"]) > 0
    assert report.pictures[0].read_bytes().startswith(b"\x89PNG")
    # 40 x 56 pixels are 12 groups of 16 x 16: lambda_20 is not there
    ends = {o.row.facts["group"]: o.row.facts["end"] for o in report.outcomes}
    assert ends == {None: None, 4: 20, 16: 11}
    assert any("end is the last: 11" in note for note in table.notes)

    report = reproduce("iga-sampling", out=tmp_path / "s", group=8, **options)
    (table,) = report.tables
    assert [row[0].split(":")[0].split(" ")[0] for row in table.rows[1:]] == list(report.settings.samples)
    assert len({o.result["psnr"] for o in report.outcomes}) > 2  # the sample points do differ
    assert "SLR may be that" in table.notes[0]


def test_table_4_and_5_hold_the_papers_figures():
    average = {row: sum(values.values()) / 3 for row, values in SAMPLES_PSNR.items()}
    assert average == pytest.approx({"SLR": 31.46, "RSI": 31.02, "RI": 30.98}, abs=0.01)
    plain = sum(PLAIN_PSNR.values()) / 3
    gains = {size: sum(values.values()) / 3 - plain for size, values in GROUPS_PSNR.items()}
    assert gains == pytest.approx({16: 2.12, 32: 2.04, 64: 1.19, 128: 0.88}, abs=0.01)
    assert {paper for _, paper in SAMPLES.values()} == {"SLR", "RSI", "RI", None}


@pytest.mark.parametrize(
    ("metric", "model", "plain", "fr", "bn", "iga"),
    [
        ("psnr", "relu", 21.78, 22.14, 22.55, 23.00),
        ("psnr", "pe", 28.64, 29.74, 31.65, 32.46),
        ("psnr", "siren", 32.65, 32.61, 32.35, 33.48),
        ("ssim", "relu", 0.4833, 0.4919, 0.5047, 0.5126),
        ("ssim", "pe", 0.7832, 0.8167, 0.8699, 0.8822),
        ("ssim", "siren", 0.8975, 0.8991, 0.8937, 0.9121),
        ("lpips", "relu", 0.6302, 0.6315, 0.5945, 0.5549),
        ("lpips", "pe", 0.2223, 0.1869, 0.1138, 0.0938),
        ("lpips", "siren", 0.0807, 0.0813, 0.1016, 0.0668),
    ],
)
def test_tables_6_to_8_have_the_papers_averages(metric, model, plain, fr, bn, iga):
    places = 0.0101 if metric == "psnr" else 0.0001  # Table 1 rounds 22.994 to 23.00
    for training, expected in (("plain", plain), ("fr", fr), ("bn", bn), ("iga", iga)):
        figures = PAPER[metric][model, training]
        assert len(figures) == 8
        assert sum(figures) / 8 == pytest.approx(expected, abs=places)


def test_names_of_the_papers_pictures():
    assert paper_figure("psnr", "siren", "plain", "kodim05") == 29.74
    assert paper_figure("psnr", "siren", "plain", "Kodak5") == 29.74
    assert paper_figure("psnr", "siren", "plain", "5") == 29.74
    assert paper_figure("psnr", "siren", "plain", "kodim15") is None
    assert paper_figure("psnr", "siren", "plain", "photo1x") is None


@pytest.mark.parametrize("name", ["iga-image", "iga-groups", "iga-sampling"])
def test_without_data_every_row_says_so_and_nothing_is_borrowed(name, tmp_path):
    report = reproduce(name, out=tmp_path, models=("siren",), device="cpu")
    assert all(outcome.result is None for outcome in report.outcomes)
    assert all(outcome.why == NO_DATA for outcome in report.outcomes)
    assert "--data PATH" in NO_DATA
    assert any(NO_DATA in note for note in report.tables[0].notes)
    assert report.pictures == []
    assert "psnr" not in report.summary()["rows"][0]
    for table in report.tables:
        for row in table.rows:
            for head, cell in list(zip(table.columns, row, strict=True))[1:]:
                assert head.startswith("paper") or cell in ("-", "no data", "0")


def test_data_that_cannot_be_read(tmp_path, folder):
    with pytest.raises(InputError, match="a picture or a folder of them; got 'nowhere'"):
        reproduce("iga-image", out=tmp_path / "out", data="nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="expected pictures"):
        reproduce("iga-image", out=tmp_path / "out", data=str(empty))
    (folder / "kodim01.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"kodim01\.png"):
        reproduce("iga-image", out=tmp_path / "out", data=str(folder))
    with pytest.raises(InputError, match=r"groups within kodim02, 40x56 pixels; got 64x64"):
        reproduce("iga-image", out=tmp_path / "out", data=str(folder / "kodim02.png"), group=64)
    assert not (tmp_path / "out").exists()


def test_one_picture_upright_or_not(folder):
    (picture,) = pictures(str(folder / "kodim02.png"), most=8)
    assert (picture.name, picture.shape, picture.groups(16)) == ("kodim02", (56, 40), 12)
    assert [entry.name for entry in pictures(str(folder), most=2)] == ["kodim01", "kodim02"]
    assert [entry.shape for entry in pictures(str(folder), most=9, size="20x10")] == [(10, 20)] * 3


def test_learning_rates_and_the_one_drop():
    study = study_of("iga-groups")(GroupsSettings(data=None, device="cpu"), None)
    rates = {(r.facts["model"], r.facts["group"]): r.facts["lr"] for r in study.rows()}
    assert rates["siren", None] == rates["siren", 32] == 1e-3
    assert (rates["relu", None], rates["relu", 32]) == (1e-3, 5e-3)
    same = study_of("iga-groups")(GroupsSettings(data=None, device="cpu", same_lr=True), None)
    assert {row.facts["lr"] for row in same.rows()} == {1e-3}
    assert fits.schedule_of(10_000, 3000) == "once:3000:0.1"
    assert fits.schedule_of(1000, 3000) == "constant"
    ends = {row.facts["model"]: row.facts["end"] for row in study.rows() if row.facts["group"] == 128}
    assert ends == {"siren": 20, "relu": 23, "pe": 20}  # 24 groups have no 25th eigenvalue


def test_a_stopped_fit_goes_on_and_a_strange_folder_starts_anew(folder, tmp_path, monkeypatch):
    facts = study_of("iga-image")(fits_settings(folder), tmp_path).rows()[1].facts
    path = folder / "kodim01.png"
    whole = fits.fit_picture(facts, path, tmp_path / "whole")
    config = fits.config_of

    def shorter(facts):
        from dataclasses import replace

        return replace(config(facts), steps=2)

    monkeypatch.setattr(fits, "config_of", shorter)
    fits.fit_picture(facts, path, tmp_path / "part")
    monkeypatch.setattr(fits, "config_of", config)
    assert fits.fit_picture(facts, path, tmp_path / "part")["psnr"] == whole["psnr"]

    strange = fits.run_of(tmp_path / "strange", facts)
    strange.mkdir(parents=True)
    (strange / "checkpoints").mkdir()
    assert fits.fit_picture(facts, path, tmp_path / "strange")["psnr"] == whole["psnr"]


def fits_settings(folder):
    from fastsnf.studies.iga.config import ImageSettings

    return ImageSettings(data=str(folder), group=8, **{**SMALL, "steps": 5})


def test_lpips_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    assert "pip install lpips" in perceptual.why_no_lpips()
    monkeypatch.setattr(perceptual, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert "weights of AlexNet are not in" in perceptual.why_no_lpips()
    assert perceptual.lpips_alex(None, None) is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").touch()
    assert perceptual.why_no_lpips() == ""


def test_lpips_feeds_the_network_as_the_released_code(monkeypatch):
    import types

    import numpy as np

    class LPIPS:
        def __init__(self, net, verbose):
            assert net == "alex"

        def eval(self):
            return self

        def __call__(self, first, second):
            assert first.shape == second.shape == (1, 3, 4, 5)
            assert float(first.min()) >= 0 and float(first.max()) <= 1  # noqa: PT018
            return (first - second).abs().mean()

    monkeypatch.setattr(perceptual, "why_no_lpips", lambda: "")
    monkeypatch.setattr(perceptual, "import_module", lambda name: types.SimpleNamespace(LPIPS=LPIPS))
    black, white = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 255, np.uint8)
    assert perceptual.lpips_alex(black, white) == 1.0

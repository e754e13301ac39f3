"""`write_report`: everything that the run is, in one file that stands alone."""

import dataclasses
import os
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import fastsnf
from fastsnf.analysis import write_report
from fastsnf.analysis.run_report.machine import memory, processor
from fastsnf.analysis.run_report.numbers import qualities, said
from fastsnf.analysis.run_report.reproduce import commands
from fastsnf.errors import InputError, RunError
from fastsnf.signals import Image, Samples
from tests.analysis.run_report.conftest import Page


@pytest.fixture
def signal():
    return Image.from_array(np.random.default_rng(0).random((9, 12, 3)))


def test_a_report_of_a_run_says_everything(signal, fitted, tmp_path):
    run = tmp_path / "a b'c"
    result = fitted(signal, run=run, record={"arguments": ["/photos/my pic.png", "--steps=3"]}, steps=3)
    path = write_report(result, signal, title="my <pic>.png", more={"ssim": 0.51234})
    assert path == run / "report.html"
    page = Page(path)
    cells = page.cells()
    assert cells["PSNR"] == f"{result.psnr:.2f} dB"
    assert cells["SSIM"] == "0.5123"
    assert cells["steps"] == "3"
    assert cells["parameters"] == f"{result.parameters:,}"
    assert "hidden_features = 8" in page.text
    assert cells["shape"] == "9, 12"
    assert cells["processor"].startswith(processor())
    assert cells["memory"] == f"{memory() / 1e9:.1f} GB"
    assert cells["engine"] in (result.engine, "auto", f"{result.engine} on cpu, {result.precision}")
    assert page.pieces[0] == page.pieces[1] == "my <pic>.png"
    assert "fastsnf fit '/photos/my pic.png' --steps=3" in page.text
    assert f"fastsnf render {shlex.quote(str(run))} --scale 2" in page.text
    assert f"fastsnf.load({str(run)!r})" in page.text
    titles = [attributes["alt"] for attributes, _ in page.images]
    assert titles[:3] == [
        "before: the target",
        "after: the reconstruction",
        "absolute error, mean of the channels",
    ]
    assert titles[3].startswith("PSNR and loss")
    assert titles[4].startswith("amplitudes")
    assert [entry.name for entry in run.glob("*report*")] == ["report.html"]


@pytest.mark.usefixtures("undrawn")
def test_a_report_without_a_run_folder(signal, fitted, tmp_path):
    result = fitted(signal)
    with pytest.raises(InputError, match="expected a folder"):
        write_report(result, signal)
    page = Page(write_report(result, signal, tmp_path))
    assert page.pieces[0] == "a fit of image"
    assert "Configuration" not in page.pieces
    assert "How to reproduce" not in page.pieces


def test_a_kind_without_pictures_has_the_rest(fitted, tmp_path):
    import torch

    signal = Samples.from_array(torch.rand(2, 2, 2, 2, 1))
    page = Page(write_report(fitted(signal), signal, tmp_path))
    assert "PSNR" in page.cells()
    assert len(page.images) == 1  # the curve


def test_without_matplotlib_the_page_says_so_and_has_the_rest(signal, fitted, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = Page(write_report(fitted(signal, run=tmp_path / "run"), signal))
    assert "pip install 'fastsnf[report]'" in page.text
    assert len(page.images) == 3
    assert {"Numbers", "Pictures", "Configuration", "Machine", "How to reproduce"} <= set(page.pieces)


@pytest.mark.parametrize("content", ["", "[fit", "[fit]\nsteps = 3\n[signal]\n", "\x00", "fit = 3\n"])
@pytest.mark.usefixtures("undrawn")
def test_a_damaged_configuration_does_not_matter(signal, fitted, tmp_path, content):
    result = fitted(signal, run=tmp_path / "run")
    (tmp_path / "run" / "config.toml").write_text(content)
    assert "PSNR" in Page(write_report(result, signal)).cells()


@pytest.mark.usefixtures("undrawn")
def test_a_name_that_is_no_text_is_shown_all_the_same(signal, fitted, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    page = Page(write_report(fitted(signal), signal, tmp_path, title=name))
    assert page.pieces[0] == "caf?.png"


@pytest.mark.usefixtures("undrawn")
def test_a_full_disk_keeps_the_earlier_report(signal, fitted, tmp_path, monkeypatch):
    from fastsnf.analysis.run_report import report

    result = fitted(signal)
    path = write_report(result, signal, tmp_path, title="first")
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(RunError, match="No space"):
        report.write_report(result, signal, tmp_path, title="second")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.usefixtures("undrawn")
def test_a_folder_that_is_not_there(signal, fitted, tmp_path):
    with pytest.raises(InputError):
        write_report(fitted(signal), signal, tmp_path / "absent" / "deeper")


def test_measures_of_quality_are_named_with_units(signal, fitted):
    result = dataclasses.replace(
        fitted(signal),
        metrics={"psnr": 30.0, "snr": 12.345, "iou": 0.5, "own": 1.23456, "ssim": float("nan")},
    )
    found = qualities(result, {"psnr_published": 29.0})
    assert list(found) == ["iou", "psnr", "psnr_published", "snr", "ssim", "own"]
    shown = [said(name, value) for name, value in found.items()]
    assert shown[:4] == ["IoU 0.5000", "PSNR 30.00 dB", "published PSNR 29.00 dB", "SNR 12.35 dB"]
    assert shown[4:] == ["SSIM nan", "own 1.235"]
    assert said("psnr", float("inf")) == "PSNR inf dB"


def test_commands_are_safe_for_a_shell(signal):
    config = {"command": {"arguments": ["/a b/$(rm).png", "--schedule=step:2:0.5", 3]}}
    lines = commands(signal, "runs/it's", config)
    assert shlex.split(lines[0]) == ["fastsnf", "fit", "/a b/$(rm).png", "--schedule=step:2:0.5", "3"]
    for line in lines[1:]:
        assert shlex.split(line)[2] == str(Path("runs/it's").absolute())
    assert commands(signal, None, {}) == commands(signal, None, {"command": 3}) == []


def test_write_report_is_a_name_of_the_analysis():
    assert "write_report" in dir(fastsnf.analysis)

"""``fastsnf fit`` from a file to a run folder: what it writes and prints, and every input that it refuses."""

import json
import struct
import sys
import tomllib
import zlib
from pathlib import Path

import pytest
from PIL import Image

from fastsnf.cli.fit_field_options import BIAS_INITS, INITS
from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.run_folder import arguments
from tests.cli.conftest import finish, picture, spawn

SUMMARY = {
    *("kind", "steps", "seconds", "seconds_steps", "points_per_second", "psnr", "loss", "engine", "device"),
    *("precision", "parameters", "seed", "run"),
}
RUN_FILES = {"field.safetensors", "config.toml", "metrics.jsonl", "curve.png", "reconstruction.png"}
SMALL = ("--steps", 3, "--hidden-features", 8, "--hidden-layers", 1)

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def photo(tmp_path) -> Path:
    """A picture of 12 x 9 pixels."""
    return picture(tmp_path / "photo.png", 9, 12)


def test_a_fit_writes_a_run_folder_and_says_where(command, photo):
    done = command("fit", photo, *SMALL)
    assert (done.status, done.err) == (0, "")
    folder = Path("runs/photo")
    assert {entry.name for entry in folder.iterdir()} >= RUN_FILES
    for label in ("signal", "field", "engine", "run", "result", "picture", "curve", "checkpoint"):
        assert sum(line.startswith(f"{label} ") for line in done.out.splitlines()) == 1, label
    assert "photo.png: image, 9 x 12, 3 channels; 108 points" in done.out
    assert "PSNR" in done.out
    for name in ("reconstruction.png", "curve.png", "field.safetensors"):
        assert str(folder / name) in done.out
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"step", "seconds", "loss", "psnr", "lr"} <= set(rows[-1])
    with Image.open(folder / "reconstruction.png") as picture:
        assert picture.size == (12, 9)


def test_json_is_the_last_line_of_stdout_and_all_of_it(command, photo):
    done = command("fit", photo, *SMALL, "--json", "--seed", 5, "--batch-size", 50)
    assert done.status == 0
    summary = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert set(summary) >= SUMMARY
    assert (summary["kind"], summary["steps"], summary["seed"]) == ("image", 3, 5)
    assert summary["parameters"] == 2 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3
    assert summary["run"] == "runs/photo"
    assert "engine " in done.err


def test_the_next_run_of_a_name_is_numbered(command, photo):
    Path("runs/photo-2").mkdir(parents=True)
    for expected in ("runs/photo", "runs/photo-3"):
        assert json.loads(command("fit", photo, *SMALL, "--json").out)["run"] == expected


def test_options_reach_the_trainer_and_the_field(command, photo):
    done = command(
        *(
            "fit",
            photo,
            "--json",
            "--out",
            "run",
            "--epochs",
            2,
            "--batch-size",
            "full",
            "--optimizer",
            "adamw",
        ),
        *(
            "--activation",
            "gabor-real",
            "--first-omega",
            7,
            "--hidden-omega",
            5,
            "--scale",
            3,
            "--init",
            "default",
        ),
        *("--bias-init", "zero", "--hidden-features", 6, "--hidden-layers", 2, "--lr", 0.002, "--schedule"),
        *(
            "step:1:0.5",
            "--engine",
            "reference",
            "--holdout",
            2,
            "--size",
            "8x8",
            "--mode",
            "gray",
            "--squeeze",
        ),
        *("--psnr", "published", "--seed", 3, "--device", "cpu", "--precision", "fp32", "--loss", "mse"),
    )
    assert done.status == 0, done.err
    summary = json.loads(done.out)
    assert (summary["steps"], summary["engine"]) == (2, "reference")
    assert {"psnr_holdout", "psnr_published"} <= set(summary)
    config = tomllib.loads(Path("run/config.toml").read_text())
    wanted = {"optimizer": "adamw", "lr": 0.002, "schedule": "step:1:0.5", "batch_size": "full", "holdout": 2}
    assert config["fit"].items() >= wanted.items()
    assert config["signal"]["shape"] == [8, 8]
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["lr"] == pytest.approx(0.001)

    import fastsnf

    field = fastsnf.load("run")
    assert field.spec.activations[0] == fastsnf.RealGabor(7.0, 3.0)
    assert field.spec.activations[1] == fastsnf.RealGabor(5.0, 3.0)
    assert (field.out_features, len(field.layer_tensors()[0])) == (1, 4)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(command, photo):
    import torch

    import fastsnf

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert command("fit", photo, *SMALL, "--out", name, "--seed", seed).status == 0
    first, same, other = (fastsnf.load(name).layer_tensors()[0][0] for name in "abc")
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_from_another_run_starts_where_that_one_ended(command, photo):
    assert command("fit", photo, *SMALL, "--out", "a", "--steps", 30).status == 0
    before = json.loads(Path("a/metrics.jsonl").read_text().splitlines()[-1])["loss"]
    for source in ("a", "a/field.safetensors"):
        assert (
            command("fit", photo, "--from", source, "--steps", 1, "--out", f"warm-{len(source)}").status == 0
        )
        first = json.loads(Path(f"warm-{len(source)}/metrics.jsonl").read_text().splitlines()[0])["loss"]
        assert first == pytest.approx(before, rel=0.2)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--hidden-features", 16], "expected --hidden-features 8, as a has it; got 16"),
        (["--activation", "relu"], "expected --activation sine, as a has it; got relu"),
        (["--alpha", 2], "expected no --alpha with --from"),
        (["--mode", "gray"], "--mode rgb|gray"),
        (["--loss", "bce"], "expected a loss for values"),
    ],
)
def test_from_refuses_what_contradicts_the_other_run(command, photo, args, said):
    assert command("fit", photo, *SMALL, "--out", "a").status == 0
    done = command("fit", photo, "--from", "a", "--steps", 1, "--out", "b", *args)
    assert done.status == 2
    assert said in done.line()
    assert not Path("b").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--activation", "gaussian", "--first-omega", 3], "expected no --first-omega with gaussian"),
        (["--activation", "relu", "--scale", 3], "expected no --scale with relu, which has no parameters"),
        (["--scale", 3], "expected no --scale with sine, which has only omega"),
        (["--init", "siren", "--alpha", 2], "expected --alpha with --init weight-scaling"),
        (["--activation", "gaussian", "--alpha", 2], "expected --alpha with --init weight-scaling"),
        (["--squeeze"], "expected --size WxH with --squeeze"),
        (["--device", "abacus"], "abacus"),
        (["--precision", "tf32"], "tf32"),
        (["--engine", "cuda"], "NTK blocks only"),
        (["--size", "99999999x99999999"], "smaller"),
        (["--holdout", 2, "--size", "1x1"], "hold"),
    ],
)
def test_options_that_do_not_fit_together_leave_no_run_behind(command, photo, args, said):
    done = command("fit", photo, *SMALL, "--out", "run", *args)
    assert done.status == 2
    assert said in done.line()
    assert done.out == ""
    assert not Path("run").exists()


def chunk(tag: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))


def bomb(side: int) -> bytes:
    """A valid PNG of side x side gray pixels in a few kilobytes."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def empty_png() -> bytes:
    header = struct.pack(">IIBBBBB", 0, 5, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("absent.png", None),
        ("empty.png", lambda photo: b""),
        ("text.png", lambda photo: b"this is no picture, whatever its name says\n" * 9),
        ("truncated.png", lambda photo: photo[: len(photo) // 2]),
        ("no-tail.png", lambda photo: photo[:60]),
        ("bomb.png", lambda photo: bomb(10_000)),
        ("zero-size.png", lambda photo: empty_png()),
        ("song.wav", lambda photo: b"RIFF"),
        ("notes.txt", lambda photo: b"hello"),
        ("nosuffix", lambda photo: photo),
        ("vector.eps", lambda photo: b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    ],
)
def test_a_bad_input_is_status_2_and_one_line(command, photo, name, content):
    if content is not None:
        Path(name).write_bytes(content(photo.read_bytes()))
    done = command("fit", name, *SMALL)
    assert done.status == 2
    assert "expected" in done.line()
    assert name in done.line()
    assert not Path("runs").exists()


def test_no_input_and_a_folder_are_no_input(command, tmp_path):
    assert "expected INPUT" in command("fit").line()
    (tmp_path / "folder.png").mkdir()
    done = command("fit", "folder.png")
    assert done.status == 2
    assert "got the folder" in done.line()


def test_a_folder_that_holds_something_is_not_overwritten(command, photo):
    keep = Path("run/keep.txt")
    keep.parent.mkdir()
    keep.write_text("mine")
    done = command("fit", photo, *SMALL, "--out", "run")
    assert done.status == 2
    assert "keep.txt" in done.line()
    assert [entry.name for entry in keep.parent.iterdir() if not entry.name.startswith(".")] == ["keep.txt"]


def test_an_empty_folder_will_do_and_a_file_will_not(command, photo):
    Path("run").mkdir()
    assert command("fit", photo, *SMALL, "--out", "run").status == 0
    done = command("fit", photo, *SMALL, "--out", photo)
    assert done.status == 2
    assert "got the file" in done.line()


def test_a_loss_that_turns_nan_is_status_1_and_names_step_and_cause(command, photo):
    done = command(
        "fit", photo, "--optimizer", "sgd", "--lr", 1e30, "--steps", 50, "--activation", "relu", "--out", "r"
    )
    assert done.status == 1
    assert "step" in done.line()
    assert "learning rate" in done.line()
    assert "checkpoint" in done.line()
    assert list(Path("r/checkpoints").glob("step-*.safetensors"))


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (28, 1, "No space left on device"),
        (5, 1, "Input/output error"),
        (30, 2, "Read-only file system"),
        (13, 2, "Permission denied"),
    ],
    ids=["full", "failing", "read-only", "forbidden"],
)
def test_a_disk_that_cannot_be_written_is_one_line(command, photo, monkeypatch, number, status, said):
    import os

    def refuse(path, *args, **options):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    done = command("fit", photo, *SMALL)
    assert done.status == status
    assert said in done.line()


def test_a_field_beyond_all_memory_is_status_1(command, photo):
    done = command("fit", photo, "--hidden-features", 1_000_000, "--out", "run")
    assert done.status == 1
    assert "out of memory" in done.line()


def test_a_missing_matplotlib_is_named_and_the_fit_is_done(command, photo, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(photo.parent)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = command("fit", photo, *SMALL, "--out", "run", "--json")
    assert done.status == 0
    assert "fastsnf[report]" in done.err
    assert set(json.loads(done.out)) >= SUMMARY
    assert not Path("run/curve.png").exists()
    assert Path("run/field.safetensors").exists()


def test_ssim_is_reported_where_it_is_defined(command, photo):
    summary = json.loads(command("fit", photo, *SMALL, "--json").out)
    assert -1 <= summary["ssim"] <= 1
    tiny = json.loads(command("fit", photo, *SMALL, "--json", "--size", "4x4").out)
    assert "ssim" not in tiny


def test_no_progress_prints_none(command, photo):
    assert "step 1/3" in command("fit", photo, *SMALL).out
    assert "step 1/3" not in command("fit", photo, *SMALL, "--no-progress").out


def test_names_offered_are_those_of_the_layers_below():
    from fastsnf.nn import init

    assert set(INITS) == set(init.INITIALIZERS)
    assert set(BIAS_INITS) == set(init.BIAS_SCHEMES)


def test_the_help_states_the_defaults_of_the_layers_below(command):
    import inspect

    from fastsnf import SNF, FitConfig
    from fastsnf.signals.kinds import DEFAULTS

    shown = " ".join(command("fit", "--help").out.replace("│", " ").split())
    snf = {name: parameter.default for name, parameter in inspect.signature(SNF).parameters.items()}
    assert f"Width of the hidden layers. (default: {snf['hidden_features']})" in shown
    assert f"L + 2 linear layers. (default: {snf['hidden_layers']})" in shown
    alphas = {kind: f"{DEFAULTS[kind].alpha:g}" for kind in DEFAULTS}
    assert alphas["sphere"] == alphas["volume"]
    assert (
        f"(default: {alphas['image']} for images, {alphas['occupancy']} occupancy, "
        f"{alphas['sphere']} sphere and volume, {alphas['audio']} audio)"
    ) in shown
    firsts = {kind: f"{DEFAULTS[kind].first_omega:g}" for kind in DEFAULTS}
    assert (
        f"(default: {firsts['image']}; {firsts['occupancy']} for occupancy, {firsts['audio']} audio;" in shown
    )
    assert (
        f"(default: {DEFAULTS['image'].hidden_omega:g}; {DEFAULTS['occupancy'].hidden_omega:g} for" in shown
    )
    assert f"(default: {FitConfig.default_batch})" in shown
    assert f"(default: {FitConfig.default_steps} when no other rule is given)" in shown
    assert FitConfig().base_lr == 1e-3
    assert FitConfig(batch_size="full").base_lr == 1e-4
    assert "(default: 1e-3; 1e-4 with --batch-size full)" in shown


def test_a_strange_place(tmp_path, photo):
    """Spaces, quotes and letters beyond ASCII in paths; no HOME, no locale, no terminal, relative input."""
    folder = tmp_path / "a b" / "été 'ß\" 日本"
    folder.mkdir(parents=True)
    photo.rename(folder / "mein Föto.PNG")
    process = spawn(
        *("fit", "mein Föto.PNG", *SMALL, "--json"),
        cwd=folder,
        HOME=None,
        LANG="C",
        LC_ALL="C",
        TERM="dumb",
        COLUMNS="20",
        XDG_CACHE_HOME=None,
    )
    done = finish(process)
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    assert json.loads(done.out.splitlines()[-1])["run"] == "runs/mein Föto"
    assert {entry.name for entry in (folder / "runs" / "mein Föto").iterdir()} >= RUN_FILES


@pytest.mark.parametrize(
    "options",
    [
        FitOptions(),
        FitOptions(input="/a b/é.png", steps=5, size=(3, 4), squeeze=True, batch_size="full", bias_init=-0.5),
        FitOptions(target_psnr=-3.5, lr=1e-7, from_="/runs/a=b", schedule="step:2:0.5", bias_init="zero"),
    ],
)
def test_a_recorded_command_line_gives_the_options_again(options):
    from fastsnf.cli.parse import parse

    assert parse(FitOptions, arguments(options), prog="fastsnf fit") == options

"""``fastsnf bench --tune``: what it runs, and what it does not take."""

import pytest

from fastsnf.cli.bench import BenchOptions, module
from fastsnf.errors import InputError


def test_tune_runs_the_search(command, monkeypatch, tmp_path):
    import fastsnf

    runner = tmp_path / "checkout" / "benchmarks"
    runner.mkdir(parents=True)
    for name in ("__init__.py", "__main__.py"):
        (runner / name).touch()
    (runner / "tune.py").write_text(
        "import sys; open('seen', 'w').write(' '.join(sys.argv[1:])); sys.exit(2)"
    )
    monkeypatch.setattr(fastsnf, "__file__", str(tmp_path / "checkout" / "fastsnf" / "__init__.py"))
    assert command("bench", "--tune", "--time-limit", "90").status == 2
    assert (runner.parent / "seen").read_text() == "--time-limit 90.0"


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (BenchOptions(), ["benchmarks", "all"]),
        (BenchOptions("train", json=True), ["benchmarks", "train", "--json"]),
        (BenchOptions("ntk"), ["benchmarks", "ntk"]),
        (BenchOptions("iga"), ["benchmarks", "iga"]),
        (BenchOptions(tune=True), ["benchmarks.tune"]),
    ],
)
def test_the_module_that_answers(options, arguments):
    assert module(options) == arguments


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (BenchOptions("train", tune=True), "got train"),
        (BenchOptions(json=True, tune=True), "got --json"),
        (BenchOptions(time_limit=5.0), "add --tune"),
    ],
)
def test_options_that_do_not_go_together(options, said):
    with pytest.raises(InputError, match=said):
        module(options)

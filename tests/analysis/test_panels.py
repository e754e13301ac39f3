"""Pictures of panels: drawn whatever they hold, in one move."""

import warnings

import pytest

from fastsnf.analysis.panels import Bars, Heat, Line, Lines, draw_panels

CURVES = Lines("a", [Line("x", [1, 2, 3], [1.0, 0.1, 0.01]), Line("y", [1], [2.0])], "step", "MSE", log=True)
HEAT = Heat("b", [[1.0, 0.5], [0.2, 2.0]], ["k1", "k2"], (1, 2))
BARS = Bars("c", ["plain", "IGA"], [30.0, 31.0], "dB")


@pytest.mark.parametrize(("curves", "alpha"), [(6, 0.8), (7, 0.3)])
def test_a_legend_of_many_curves_is_seen_through(curves, alpha):
    axes = pytest.importorskip("matplotlib.figure").Figure(layout="constrained").subplots()
    Lines("many", [Line(f"curve {k}", [0, 1], [0.0, 1.0]) for k in range(curves)], "x", "y").draw(axes)
    assert axes.get_legend().get_frame().get_alpha() == alpha


@pytest.mark.parametrize(
    "grid",
    [
        [[CURVES, HEAT, BARS], [HEAT]],
        [],
        [[]],
        [[Lines("none", [], "x", "y", log=True)], [Bars("none", [], [], "dB")]],
        [[Lines("zero", [Line("z", [1, 2], [0.0, 0.0])], "x", "y", log=True, x_log=True)]],
        [[Heat("one", [[0.5]], ["k"], (3, 3)), Bars("below", ["a"], [-1.0], "dB")]],
        [[Bars("same", ["a", "b"], [2.0, 2.0], "dB")]],
    ],
    ids=["three", "no-rows", "empty-row", "no-lines", "zeros", "single", "equal"],
)
def test_panels_are_drawn_without_a_warning(tmp_path, grid):
    path = tmp_path / "panels.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_panels(grid, path, title="title")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [entry.name for entry in tmp_path.iterdir()] == ["panels.png"]

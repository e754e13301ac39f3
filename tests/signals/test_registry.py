from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fastsnf import signals
from fastsnf.errors import InputError
from fastsnf.signals.kinds import DEFAULTS, KINDS, kind_of
from fastsnf.signals.registry import class_of
from tests.signals.files import noise, png


@pytest.mark.parametrize("name", ["x.png", "x.JPG", "a.b.jpeg", "x.tif", "x.TIFF", "with space é.png"])
def test_pictures_are_told_by_their_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(png(noise((4, 5, 3))))
    image = signals.open(tmp_path / name, mode="gray", size=(2, 2))
    assert isinstance(image, signals.Image)
    assert (image.shape, image.out_features) == ((2, 2), 1)


def test_the_kind_overrides_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "scan.dat"
    path.write_bytes(png(noise((4, 5))[..., None]))
    with pytest.raises(InputError, match="kind='image'"):
        signals.open(path)
    assert signals.open(str(path), kind="image").shape == (4, 5)


def test_unknown_kinds_are_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'image'"):
        kind_of("x.png", "imag")


def test_a_missing_file_is_said_to_be_missing_whatever_its_suffix(tmp_path: Path) -> None:
    for name in ("x.png", "x.wav", "x"):
        with pytest.raises(InputError, match="does not exist"):
            signals.open(tmp_path / name)


def test_every_kind_of_signal_has_its_defaults() -> None:
    assert set(DEFAULTS) == set(KINDS)
    for kind in KINDS:
        cls = class_of(kind)
        assert cls.kind == kind
        assert cls.default_name
    image = signals.Image.from_array(noise((2, 2)))
    assert (image.defaults.alpha, image.defaults.first_omega, image.defaults.hidden_omega) == (2.37, 30, 30)


@pytest.mark.parametrize("module", ["fastsnf.signals", "fastsnf.signals.kinds", "fastsnf.signals.size"])
def test_what_the_command_line_imports_needs_neither_torch_nor_numpy(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_images_need_pillow_only_when_they_are_read() -> None:
    code = "import sys, fastsnf; fastsnf.signals.Image; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_lists_its_names() -> None:
    assert set(signals.__all__) <= set(dir(signals))
    assert all(getattr(signals, name) is not None for name in signals.__all__)
    with pytest.raises(AttributeError, match="Imag"):
        signals.Imag  # noqa: B018

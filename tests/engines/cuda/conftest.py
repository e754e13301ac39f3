"""The emulated extension, compiled once for these sources."""

from __future__ import annotations

import shutil
from types import ModuleType

import pytest

from tests.engines.cuda import emulated


@pytest.fixture(scope="session")
def extension(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return the emulated `fastsnf._cuda`."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    cache = getattr(pytestconfig, "cache", None)  # none with -p no:cacheprovider
    folder = cache.mkdir("emulated-cuda") if cache else tmp_path_factory.mktemp("emulated-cuda")
    return emulated.load(emulated.build(folder / "module"))

"""A report as a browser shows it: Debian's Chromium, without a window and without network."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from fastsnf.analysis import write_report
from fastsnf.signals import Image

CHROMIUM = shutil.which("chromium")
WIDTH, HEIGHT = 1200, 2600

# Any page may look into a frame of a local file where this option is given; the report itself runs nothing.
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files")

PROBE = """<!DOCTYPE html><title>probe</title><iframe id="frame" src="report.html" width="1000"></iframe>
<pre id="found"></pre><script>
document.getElementById("frame").onload = () => {
  const page = document.getElementById("frame").contentDocument;
  const found = {
    text: page.body.innerText,
    sizes: [...page.images].map(image => [image.naturalWidth, image.naturalHeight, image.complete]),
    loaded: document.getElementById("frame").contentWindow.performance.getEntriesByType("resource")
      .map(entry => entry.name).filter(name => !name.startsWith("data:")),
    fits: page.documentElement.scrollWidth <= page.documentElement.clientWidth,
  };
  document.getElementById("found").textContent = JSON.stringify(found);
};
</script>"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine: Debian's package of that name has it"
)


def browse(page: Path, *arguments: str) -> str:
    """Open a page in Chromium and return what it prints."""
    assert CHROMIUM is not None
    profile = page.parent / "profile"
    done = subprocess.run(
        [
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={profile}",
            "--virtual-time-budget=5000",
            *arguments,
            page.as_uri(),
        ],
        capture_output=True,
        env={**os.environ, "HOME": str(page.parent)},
        timeout=110,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout.decode("utf-8", "replace")


def test_a_browser_shows_every_picture_and_every_number(fitted, tmp_path):
    rows, columns = np.mgrid[0:1:90j, 0:1:120j]
    signal = Image.from_array(np.stack([rows, columns, rows * columns], axis=2))
    result = fitted(signal, steps=5, run=tmp_path / "run", record={"arguments": ["/a/'b'.png", "--steps=5"]})
    title = '<b>my</b> "photo" & été.png'
    path = write_report(result, signal, tmp_path, title=title, more={"ssim": 0.4321})

    probe = tmp_path / "probe.html"
    probe.write_text(PROBE, encoding="utf-8")
    shown = browse(probe, "--dump-dom")
    match = re.search(r'<pre id="found">(.+?)</pre>', shown, re.DOTALL)
    assert match, shown[:2000]
    found = json.loads(html.unescape(match[1]))
    assert found["sizes"][:3] == [[120, 90, True]] * 3
    assert len(found["sizes"]) == 5
    assert all(width > 0 and height > 0 for width, height, _ in found["sizes"])
    assert found["loaded"] == []
    assert found["fits"]
    for text in (title, f"{result.psnr:.2f} dB", "0.4321", f"{result.parameters:,}", "--steps=5", "torch"):
        assert text in found["text"]

    picture = tmp_path / "shot.png"
    browse(path, f"--screenshot={picture}", f"--window-size={WIDTH},{HEIGHT}")
    with Pillow.open(picture) as shot:
        pixels = np.asarray(shot.convert("RGB"), dtype=int)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert (pixels.std(axis=(0, 1)) > 5).all()
    coloured = np.abs(pixels - pixels.mean(axis=2, keepdims=True)).max(axis=2) > 20
    bands = coloured.reshape(HEIGHT // 100, 100, WIDTH).any(axis=(1, 2))
    assert bands.sum() >= 6  # pictures, curve and spectrum, each some hundred pixels high
    dark = pixels.max(axis=2) < 100
    assert dark[: HEIGHT // 4].mean() > 0.002  # the title and the table of numbers

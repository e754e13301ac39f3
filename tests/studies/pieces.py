"""What several studies' tests need: noise named as Kodak's pictures, and a table's row by its heads."""

from __future__ import annotations

from pathlib import Path

import torch

from fastsnf.signals import Image
from fastsnf.studies.table import Table


def noise_pictures(folder: Path, *shapes: tuple[int, int]) -> Path:
    """Write kodim01.png, ... of random colours, one for each (rows, columns), and return the folder."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    for number, shape in enumerate(shapes, start=1):
        image = Image.from_array(torch.rand(*shape, 3, generator=generator))
        image.write(image.values, shape, folder / f"kodim{number:02}.png")
    return folder


def cells(table: Table, row: str) -> dict[str, str]:
    """Return the cells of the row of a name, by the heads of their columns; of equal heads the last."""
    return dict(zip(table.columns, next(r for r in table.rows if r[0] == row), strict=True))

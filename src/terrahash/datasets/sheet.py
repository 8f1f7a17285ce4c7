"""A contact sheet: some images of each class side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from terrahash.datasets.dataset import Dataset
from terrahash.errors import DatasetError, ImageError

TILE = 96  # pixels of a tile on the sheet
GAP = 4
NAME_WIDTH = 150
MAX_CLASSES = 100  # a taller sheet can be neither shown nor encoded sensibly


def contact_sheet(data: Dataset, path: str | Path, *, columns: int = 10, seed: int = 0) -> None:
    """Write a picture with a row of randomly drawn images for each class, named at its left.

    Images that cannot be read stay blank.

    Raises:
        DatasetError: if there are no labels, too many classes, or the picture cannot be written.
    """
    from PIL import Image, ImageDraw

    from terrahash.imagery.reading import read_image

    targets = data.targets
    if not 1 <= columns <= MAX_CLASSES or len(data.class_names) > MAX_CLASSES:
        raise DatasetError(
            f"a sheet of {len(data.class_names)} classes and {columns} columns is too large",
            f"up to {MAX_CLASSES} of each can be shown",
        )
    step = TILE + GAP
    size = (NAME_WIDTH + columns * step + GAP, len(data.class_names) * step + GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    rng = np.random.default_rng(seed)
    for row, class_name in enumerate(data.class_names):
        top = GAP + row * step
        draw.text((8, top + TILE / 2), class_name, fill="black", anchor="lm", font_size=14)
        members = np.flatnonzero(targets[:, row])
        chosen = rng.permutation(members)[:columns]
        for column, index in enumerate(np.sort(chosen)):
            try:
                tile = Image.fromarray(read_image(data.root / data.files[index]))
            except ImageError:
                continue
            tile = tile.resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(tile, (NAME_WIDTH + column * step, top))
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"cannot write '{path}': {error}", "name a .png or .jpg in a folder that exists"
        ) from error

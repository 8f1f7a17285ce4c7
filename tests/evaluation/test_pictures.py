from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from terrahash.errors import InputError
from terrahash.evaluation.pictures import (
    RIGHT,
    WRONG,
    QueryRow,
    Tile,
    png,
    query_grid,
    thumbnail,
)

GREY = np.full((30, 50, 3), 128, np.uint8)


def colours(image: Image.Image) -> dict[str, int]:
    """Pixels in exactly the colours of right and wrong frames."""
    pixels = np.asarray(image)
    return {
        name: int((pixels == ImageColor.getrgb(colour)).all(axis=-1).sum())
        for name, colour in (("right", RIGHT), ("wrong", WRONG))
    }


def row(*rights: bool | None) -> QueryRow:
    return QueryRow(
        Tile(GREY, "query"), tuple(Tile(GREY, "a label", "distance 1", right) for right in rights)
    )


def test_frames_tell_right_from_wrong_by_colour_and_by_line() -> None:
    right, wrong = colours(query_grid([row(True)])), colours(query_grid([row(False)]))
    assert right["right"] > 400
    assert right["wrong"] == 0
    assert wrong["right"] == 0
    # Dashed: clearly less ink than the solid frame.
    assert 0 < wrong["wrong"] < 0.85 * right["right"]
    assert colours(query_grid([row(None, None)])) == {"right": 0, "wrong": 0}


def test_answers_beyond_the_columns_go_into_further_lines() -> None:
    one, two = query_grid([row(*[None] * 4)], columns=4), query_grid([row(*[None] * 5)], columns=4)
    assert two.width == one.width
    assert two.height > one.height + 100
    assert query_grid([row()]).width < one.width
    assert query_grid([row(True)], title="a title").height > query_grid([row(True)]).height


def test_files_bytes_and_arrays_and_what_cannot_be_read(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), GREY):
        picture = thumbnail(source, 20)
        assert picture is not None
        assert picture.size == (20, 20)
    assert thumbnail(tmp_path / "none.png") is None
    assert thumbnail(b"no image") is None
    broken = QueryRow(Tile(b"no image"), (Tile(tmp_path / "none.png", "x" * 400, "y" * 400),))
    image = query_grid([broken])
    assert Image.open(BytesIO(png(image))).size == image.size


def test_nothing_to_draw() -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        query_grid([])
    with pytest.raises(InputError, match="nothing to draw"):
        query_grid([row(True)], columns=0)

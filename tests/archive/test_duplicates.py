"""Tiles that show the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from terrahash.archive import Archive, open_archive
from terrahash.archive.duplicates import find_duplicates
from terrahash.archive.indexing import index_images
from terrahash.cli.archive import app
from terrahash.errors import InputError
from tests.tiny import tiny_encoder


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    rng = np.random.default_rng(0)
    folder = tmp_path / "in"
    folder.mkdir()
    smooth = [
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((96, 96))
        for _ in range(4)
    ]
    for number, image in enumerate(smooth):
        image.save(folder / f"{number}.png")
    smooth[1].save(folder / "1-again.png", compress_level=1)
    smooth[2].save(folder / "2-packed.jpg", quality=80)
    # The same mean colour, and so the same code of this encoder, but another picture.
    smooth[3].transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "3-mirrored.png")
    with open_archive(tmp_path / "a.terrahash", tiny_encoder()) as opened:
        index_images(opened, [folder])
        yield opened


def test_equal_and_nearly_equal_pictures(archive: Archive) -> None:
    packed, flat = (
        archive.ids(where=f"source = '{record.source}'")
        for name in ("2.png", "2-packed.jpg")
        for record in archive.records(archive.ids())
        if Path(record.source or "").name == name
    )
    archive.update(flat, codes=archive.codes(packed))
    report = find_duplicates(archive)
    names = [sorted(Path(source).name for source in group.sources) for group in report.groups]
    assert sorted(names) == [["1-again.png", "1.png"], ["2-packed.jpg", "2.png"]]
    by_name = dict(zip(map(tuple, names), report.groups, strict=True))
    assert by_name["1-again.png", "1.png"].identical
    assert by_name["1-again.png", "1.png"].difference == 0
    assert not by_name["2-packed.jpg", "2.png"].identical
    assert 0 < by_name["2-packed.jpg", "2.png"].difference < 3
    assert report.same_code >= 6
    assert len(find_duplicates(archive, tolerance=0).groups) == 1


def test_what_cannot_be_read_is_told(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "in" / "1-again.png").unlink()
    report = find_duplicates(archive)
    assert len(report.unreadable) == 1
    assert all(not group.identical for group in report.groups)
    with pytest.raises(InputError):
        find_duplicates(archive, tolerance=-1)


def test_command(archive: Archive) -> None:
    result = CliRunner().invoke(app, ["duplicates", str(archive.path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["duplicates"] >= 1
    plain = CliRunner().invoke(app, ["duplicates", str(archive.path)])
    assert "identical: " in plain.stdout

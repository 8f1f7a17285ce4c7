"""An archive and its encoder: kept, checked, and used for image queries."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrahash.archive import Archive, open_archive
from terrahash.codes import CodeLayout
from terrahash.errors import ArchiveError

from .conftest import random_codes

LAYOUT = CodeLayout(8)


class Brightness:
    """An encoder that counts in bits how bright an image is."""

    layout = LAYOUT
    classes = ("dark", "bright")
    preprocessing = SimpleNamespace(bands=None)

    def __init__(self, fingerprint: str = "f1") -> None:
        self.fingerprint = fingerprint

    def save(self, folder: Path, *, weights: bool = True) -> Path:
        folder.mkdir()
        (folder / "encoder.json").write_text(self.fingerprint)
        return folder

    def encode_image(self, image: Any) -> Any:
        level = int(np.asarray(image).mean() / 32)
        code = np.packbits(np.arange(8) < level)[None]
        return SimpleNamespace(codes=code, magnitudes=np.ones((1, 8), np.float32))

    def encode_files(self, paths: list[Path]) -> Any:
        return self.encode_image(Image.open(paths[0]))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for number, level in enumerate((0, 100, 250)):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (20, 10), (level, level, level)).save(paths[-1])
    return paths


def test_images_and_stored_tiles_as_queries(folder: Path, pictures: list[Path]) -> None:
    encoder: Any = Brightness()
    with open_archive(folder, encoder) as archive:
        assert (folder / "encoder" / "encoder.json").read_text() == "f1"
        codes = np.concatenate([encoder.encode_files([path]).codes for path in pictures])
        archive.add_codes(codes, sources=[str(path) for path in pictures], labels=["a", "b", "c"])
        hits = archive.search(pictures[1], k=2)
        assert (hits.query, hits.ids[0]) == (str(pictures[1]), 2)
        assert hits.scores is not None
        assert archive.search(pictures[1], k=2, asymmetric=False).scores is None
        array = np.asarray(Image.open(pictures[2]))
        assert archive.search(array, k=1, where="label != 'c'").ids.tolist() == [2]
        stored = archive.search(3, k=1)
        assert (stored.query, stored.ids.tolist(), stored.scores) == ("id 3", [3], None)


def test_another_encoder_is_refused(folder: Path) -> None:
    first: Any = Brightness("f1")
    second: Any = Brightness("f2")
    open_archive(folder, first).close()
    with pytest.raises(ArchiveError, match="holds codes of encoder f1, not of f2"):
        open_archive(folder, second)
    open_archive(folder, first).close()


def test_an_archive_without_an_encoder_says_so(archive: Archive, pictures: list[Path]) -> None:
    archive.add_codes(random_codes(1))
    with pytest.raises(ArchiveError, match="keeps no encoder"):
        archive.search(pictures[0])


def test_hits_show_themselves_in_a_notebook(folder: Path, pictures: list[Path]) -> None:
    encoder: Any = Brightness()
    with open_archive(folder, encoder) as archive:
        archive.add_codes(
            random_codes(3, nbytes=1),
            sources=[str(pictures[0]), "https://example.org/<script>.tif", None],
            windows=[(0, 0, 5, 5), None, None],
        )
        shown = archive.search(1, k=3)._repr_html_()
    assert shown.count("data:image/jpeg;base64,") == 1
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


def test_a_folder_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Archive.create(folder, LAYOUT).close()

    def refuse(*_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("terrahash.archive.files.os.open", refuse)
    with pytest.raises(ArchiveError, match="no permission"):
        open_archive(folder)
    monkeypatch.undo()
    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(ArchiveError, match="no permission"):
        Archive.create(folder.with_name("new"), LAYOUT)

"""The map of an archive."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from terrahash.archive import Archive
from terrahash.archive import map as map_module
from terrahash.archive.map import write_map
from terrahash.cli.archive import app
from terrahash.errors import InputError

from .conftest import LAYOUT, random_codes

BOXES = [(10, 50, 10.1, 50.1), (179.9, -17, -179.9, -16.8), (-180, 88, 180, 90)]


@pytest.fixture
def filled(folder: Path) -> Archive:
    archive = Archive.create(folder, LAYOUT)
    archive.add_codes(
        random_codes(4),
        sources=["a.tif", "b.tif", "</script><script>alert(1)</script>.tif", "nowhere.tif"],
        labels=["harbor", None, "ice", None],
        bboxes=[*BOXES, None],
        windows=[(0, 0, 5, 5), None, None, None],
    )
    return archive


def test_page(filled: Archive, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    assert write_map(filled, page) == 3
    text = page.read_text()
    assert "alert(1)</script>" not in text
    assert not re.search(r"(src|href)\s*=(?! \"data:)|https?://|@import|url\(", text)
    data = json.loads(re.search(r"const data = (.*);\n", text)[1])  # type: ignore[index]
    boxes = np.frombuffer(base64.b64decode(data["boxes"])).reshape(-1, 4)
    np.testing.assert_array_equal(boxes, np.array(BOXES, float))
    assert data["rows"][0] == [1, 0, 1, 2, 0, 0, 5, 5]
    assert data["texts"][:2] == ["harbor", "a.tif"]
    lengths = data["land"]["lengths"]
    assert len(base64.b64decode(data["land"]["points"])) == 4 * sum(lengths)
    assert 100 < data["land"]["rings"] < len(lengths)


def test_filters_and_limits(
    filled: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert write_map(filled, tmp_path / "m.html", where="label = 'ice'") == 1
    with pytest.raises(InputError, match="no tile"):
        write_map(filled, tmp_path / "m.html", where="source = 'nowhere.tif'")
    monkeypatch.setattr(map_module, "MAX_TILES", 3)
    with pytest.raises(InputError, match="4 tiles"):
        write_map(filled, tmp_path / "m.html")


def test_command(filled: Archive, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    result = CliRunner().invoke(app, ["map", str(filled.path), "--out", str(page), "--json"])
    assert json.loads(result.stdout) == {"footprints": 3, "page": str(page)}

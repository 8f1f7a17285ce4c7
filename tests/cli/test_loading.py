"""Data sets that have to be made first."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrahash.cli.loading import load


def test_making_the_tiles_is_said_once(
    tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from terrahash.datasets import registry
    from terrahash.datasets.folder import load_folder

    place = tmp_path / "scenes"
    monkeypatch.setattr(registry, "built_in_folder", lambda name: place)
    monkeypatch.setattr("terrahash.datasets.load_dataset", lambda name: load_folder(tiles))
    load("scenes")
    assert "making the tiles of 'scenes'" in capsys.readouterr().err
    place.mkdir()
    load("scenes")
    load(str(tiles))
    assert capsys.readouterr().err == ""

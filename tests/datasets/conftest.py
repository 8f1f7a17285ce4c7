"""Tiny fake data sets, made anew for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_data_of_this_machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TERRAHASH_DATA", raising=False)
    monkeypatch.setenv("TERRAHASH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Make class folders of files whose content is their name, which no test here decodes."""

    def make(classes: dict[str, int], *, below: str = "data", suffix: str = ".png") -> Path:
        root = tmp_path / below
        for class_name, count in classes.items():
            (root / class_name).mkdir(parents=True)
            for number in range(count):
                path = root / class_name / f"{class_name}{number:02d}{suffix}"
                path.write_bytes(str(path.relative_to(root)).encode())
        root.mkdir(parents=True, exist_ok=True)
        return root

    return make

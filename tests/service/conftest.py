"""A small archive with places and dates, and a service of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service: pip install 'terrahash[serve]'")

from fastapi.testclient import TestClient

from terrahash.archive import open_archive
from terrahash.service import Settings, create_app
from terrahash.service.demo import place
from tests.tiny import tiny_encoder

READ_TOKEN = "read-token-0123456789"  # noqa: S105 - of these tests
WRITE_TOKEN = "write-token-0123456789"  # noqa: S105 - of these tests
WRITING = {"Authorization": f"Bearer {WRITE_TOKEN}"}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, tiles: Path) -> Path:
    """An archive of eighty tiles, not to be changed."""
    path = tmp_path_factory.mktemp("served") / "tiles.terrahash"
    with open_archive(path, tiny_encoder()) as archive:
        archive.add(tiles, folder_labels=True)
        place(archive)
    return path


@pytest.fixture
def archive_path(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    path = tmp_path / "tiles.terrahash"
    shutil.copytree(made, path)
    return path


@pytest.fixture
def client(archive_path: Path) -> Iterator[TestClient]:
    """A client of a service that lets everybody read and some write."""
    settings = Settings(archive=archive_path, write_token=WRITE_TOKEN, max_upload_mb=2)
    with TestClient(create_app(settings)) as opened:
        yield opened


def wait_until_ready(client: TestClient) -> None:
    """A service warms up in the background after its start."""
    until = time.monotonic() + 60
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.05)

"""The command and its settings by environment."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import terrahash.service
from terrahash.archive import open_archive
from terrahash.cli.main import main
from terrahash.client import connect
from terrahash.errors import MissingExtraError
from terrahash.service import Settings, create_app, demo
from tests.service.conftest import READ_TOKEN, WRITE_TOKEN


def serve(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Settings | int:
    """What the command would serve with, or its exit code."""
    kept: list[Settings] = []

    def keep(settings: Settings, **_: Any) -> None:
        kept.append(settings)

    monkeypatch.setattr(terrahash.service, "serve", keep)
    monkeypatch.setattr(sys, "argv", ["terrahash", "serve", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        if end.code:
            return int(end.code)
    return kept[0]


def test_options(monkeypatch: pytest.MonkeyPatch, made: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(READ_TOKEN + "\n")
    settings = serve(
        monkeypatch, "--archive", made, "--host", "::", "--port", 9000, "--token-file", token
    )
    assert isinstance(settings, Settings)
    assert (settings.host, settings.port, settings.token) == ("::", 9000, READ_TOKEN)
    assert settings.write_token is None


def test_environment(monkeypatch: pytest.MonkeyPatch, made: Path) -> None:
    for name, value in {
        "ARCHIVE": made,
        "PORT": 9001,
        "WRITE_TOKEN": WRITE_TOKEN,
        "MAX_UPLOAD_MB": 5,
        "ALLOWED_HOSTS": "tiles.example",
    }.items():
        monkeypatch.setenv("TERRAHASH_" + name, str(value))
    settings = serve(monkeypatch)
    assert isinstance(settings, Settings)
    assert (settings.archive, settings.port, settings.max_upload_mb) == (made, 9001, 5)
    assert settings.write_token == WRITE_TOKEN
    assert settings.allowed_hosts == ("tiles.example",)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--archive", "nowhere"],
        ["--archive", "ARCHIVE", "--demo"],
        ["--archive", "ARCHIVE", "--host", "10.0.0.1"],
        ["--archive", "ARCHIVE", "--token-file", "nowhere"],
    ],
)
def test_mistakes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    made: Path,
    arguments: list[str],
) -> None:
    given = [str(made) if one == "ARCHIVE" else one for one in arguments]
    assert serve(monkeypatch, *given) == 2
    assert "→" in capsys.readouterr().err


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, made: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="fastapi"):
        create_app(Settings(archive=made))


def test_the_demo_is_made_once(monkeypatch: pytest.MonkeyPatch, made: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("TERRAHASH_CACHE", str(tmp_path))
    folder = tmp_path / "serve-demo"
    calls: list[list[str]] = []

    def make(command: list[str], **_: Any) -> SimpleNamespace:
        calls.append(command)
        assert not folder.exists(), "what an interrupted run left is in the way"
        shutil.copytree(made, folder / "tiles.terrahash")
        return SimpleNamespace(returncode=0)

    folder.mkdir()
    (folder / "left").touch()
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "run", make)
        for _ in range(2):
            settings = serve(monkeypatch, "--demo")
            assert isinstance(settings, Settings)
            assert settings.demo
    assert [command[2:] for command in calls] == [["terrahash", "demo", "--out", str(folder)]]
    with open_archive(settings.archive, mode="r") as archive:
        assert all(record.bbox for record in archive.records(archive.ids()))


def test_a_demo_that_cannot_be_made_is_no_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TERRAHASH_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=2))
    assert serve(monkeypatch, "--demo") == 2
    assert not (tmp_path / "serve-demo" / "placed").exists()


@pytest.mark.stress
def test_the_demo_from_nothing_without_network(tmp_path: Path) -> None:
    """A fresh home, no weights, no network: trains, indexes and serves the built-in scenes."""
    pytest.importorskip("torch", reason="pip install 'terrahash[train]'")
    environment = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "TERRAHASH_PORT": "0",
        **{f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "all")},
    }
    running = subprocess.Popen(
        [sys.executable, "-m", "terrahash", "serve", "--demo"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert running.stderr is not None
    try:
        address = ""
        for line in running.stderr:
            if "terrahash is at" in line:
                address = line.split()[3]
                break
        assert address, "it ended before it served"
        reading = threading.Thread(target=running.stderr.read)
        reading.start()
        remote = connect(address, timeout=120)
        about = remote.info()
        assert about["demo"]
        assert about["can_search_images"]
        assert about["tiles"] > 500
        assert all(record.bbox and record.datetime for record in remote.search(1).records)
        page = http.client.HTTPConnection(address.split("/")[2], timeout=60)
        for path in ("/", "/api/v1/items/1/thumbnail"):
            page.request("GET", path)
            answer = page.getresponse()
            assert answer.status == 200
            assert answer.read()
        page.close()
    finally:
        running.terminate()
        running.wait(60)
        running.stderr.close()


def test_the_demo_s_places_are_kept(archive_path: Path) -> None:
    with open_archive(archive_path) as archive:
        before = archive.records([1, 80])
        assert demo.place(archive) == 0
        number = archive.add_codes(archive.codes([1]))
        assert demo.place(archive) == 1
        assert archive.records([1, 80]) == before
        assert archive.records(number)[0].bbox is not None

"""The command and its settings by environment."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
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


class Making:
    """Stands where the process that makes the demo would be started."""

    commands: list[list[str]] = []  # noqa: RUF012 - of one test
    made: Path
    code = 0
    interrupted = False

    def __init__(self, command: list[str], **_: Any) -> None:
        self.commands.append(command)

    def __enter__(self) -> Making:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self) -> int:
        folder = demo.folder()
        assert not folder.exists(), "what an interrupted run left is in the way"
        if type(self).interrupted:
            type(self).interrupted = False
            raise KeyboardInterrupt
        shutil.copytree(self.made, folder / "tiles.terrahash")
        return self.code


@pytest.fixture
def making(monkeypatch: pytest.MonkeyPatch, made: Path, tmp_path: Path) -> type[Making]:
    """A demo that is made at once, in a folder of this test, with a port of its own."""
    monkeypatch.setenv("TERRAHASH_CACHE", str(tmp_path))
    fresh = type("Fresh", (Making,), {"commands": [], "made": made})
    monkeypatch.setattr(subprocess, "Popen", fresh)
    monkeypatch.setattr("terrahash.service.server.supervise", lambda *_: None)
    return fresh


def started(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit code of the command, up to where it would answer."""
    monkeypatch.setattr(sys, "argv", ["terrahash", "serve", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_demo_is_made_once(
    monkeypatch: pytest.MonkeyPatch, making: type[Making], capsys: pytest.CaptureFixture[str]
) -> None:
    demo.folder().mkdir(parents=True)
    (demo.folder() / "left").touch()
    for told in ("Making the demo", "terrahash is at http://127.0.0.1:"):
        assert started(monkeypatch, "--demo", "--port", 0) == 0
        assert capsys.readouterr().err.startswith(told)
    assert [command[2:] for command in making.commands] == [
        ["terrahash", "demo", "--out", str(demo.folder())]
    ]
    with open_archive(demo.archive(), mode="r") as archive:
        assert all(record.bbox for record in archive.records(archive.ids()))


def test_a_demo_that_cannot_be_made_is_no_service(
    monkeypatch: pytest.MonkeyPatch, making: type[Making]
) -> None:
    making.code = 2
    assert started(monkeypatch, "--demo", "--port", 0) == 2
    assert not demo.is_made()


def test_a_demo_that_is_interrupted_is_made_again(
    monkeypatch: pytest.MonkeyPatch, making: type[Making], capsys: pytest.CaptureFixture[str]
) -> None:
    making.interrupted = True
    # The process ends upon the same Ctrl-C, and what it left stays until the next start.
    assert started(monkeypatch, "--demo", "--port", 0) == 130
    assert "terrahash is at" not in capsys.readouterr().err
    assert not demo.is_made()
    shutil.rmtree(demo.folder(), ignore_errors=True)
    assert started(monkeypatch, "--demo", "--port", 0) == 0
    assert demo.is_made()


def test_the_end_of_the_service_is_the_end_of_making_its_demo(
    monkeypatch: pytest.MonkeyPatch, making: type[Making]
) -> None:
    ended: list[bool] = []

    def told(self: Making) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError

    monkeypatch.setattr(making, "wait", told)
    monkeypatch.setattr(making, "terminate", lambda self: ended.append(True), raising=False)
    before = signal.getsignal(signal.SIGTERM)
    assert started(monkeypatch, "--demo", "--port", 0) == 143
    assert ended
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_address_that_is_taken_is_told_before_a_demo_is_made(
    monkeypatch: pytest.MonkeyPatch, making: type[Making], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert started(monkeypatch, "--demo", "--port", port) == 2
    told = capsys.readouterr().err
    assert f"127.0.0.1:{port}" in told
    assert "--port" in told
    assert making.commands == []


@pytest.mark.stress
@pytest.mark.timeout(1200)  # training takes two minutes of one core, however many share it
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
        start_new_session=True,  # with the process that makes the demo, so that both are ended
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
        os.killpg(running.pid, signal.SIGTERM)
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

"""The command and its settings by environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import terrahash.service
from terrahash.archive import open_archive
from terrahash.cli.main import main
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


def test_the_demo_s_places_are_kept(archive_path: Path) -> None:
    with open_archive(archive_path) as archive:
        before = archive.records([1, 80])
        assert demo.place(archive) == 0
        number = archive.add_codes(archive.codes([1]))
        assert demo.place(archive) == 1
        assert archive.records([1, 80]) == before
        assert archive.records(number)[0].bbox is not None

"""How what ends a command reaches the user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest

from terrahash.cli.choices import METHODS, MODES, VARIANTS
from terrahash.cli.main import FAULT, INTERRUPTED, PIPE_CLOSED

from .conftest import Run

OPENING = "terrahash.archive.open_archive"


def raising(error: BaseException) -> object:
    """A function that raises an error, whatever it is called with."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "a.th"), 2, "error: a.th: Permission denied"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device"),
        (ValueError("a slip"), FAULT, "please report it"),
        (OSError(9, "Bad file descriptor"), FAULT, "please report it"),
    ],
)
def test_what_ends_a_command_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    monkeypatch.setattr(OPENING, raising(error))
    outcome = run("archive", "info", "a.th")
    assert outcome.code == code
    assert message in outcome.err
    assert ("Traceback" in outcome.err) == (code == FAULT)
    assert outcome.out == ""


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    code = (
        "import sys\nfrom terrahash.cli import main, data\n"
        "data._scenes_rows = lambda: print('x' * 100_000) or []\n"
        "sys.argv = ['terrahash', 'data', 'list']\nmain()\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == PIPE_CLOSED
    assert done.stderr == b""


def test_ctrl_c_in_the_shell(tiles: Path, model: Path, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        # Whatever started the tests may have told its children to ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from terrahash.archive import indexing\nfrom terrahash.cli import main\n"
        "def slow(*_, **__):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "indexing.index_images = slow\n"
        f"sys.argv = ['terrahash', 'index', {str(tiles)!r}, '--model', {str(model)!r}, "
        f"'--archive', {str(tmp_path / 'a.th')!r}]\nmain()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == INTERRUPTED
    assert said.startswith("interrupted; ")
    assert len(said.splitlines()) == 1


def test_the_choices_are_those_of_learning() -> None:
    pytest.importorskip("torch")
    from terrahash.learning import methods, planning

    assert set(METHODS) == set(methods.METHODS)
    assert MODES == planning.MODES
    assert get_args(methods.Variant) == VARIANTS


def test_places_are_checked_before_the_work(run: Run, tiles: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    for out, message in (("file", "is a file"), ("file/m", "is a file"), ("full", "not an enc")):
        outcome = run("train", tiles, "--out", tmp_path / out)
        assert outcome.code == 2
        assert message in outcome.err
        assert "features" not in outcome.err

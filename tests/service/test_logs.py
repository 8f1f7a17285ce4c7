"""The log: nobody waits for whoever reads it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from terrahash.service import logs
from terrahash.service.logs import BoundedLog
from tests.service.test_faults import ask, process

PIPE = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A small pipe: where to read and where to write."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE)
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.Logger("of-this-test")
    yield made
    for handler in made.handlers:
        handler.close()


def read_away(end: int, into: bytearray) -> threading.Thread:
    """A reader that takes everything until ``end`` is written."""

    def work() -> None:
        while b'"end"' not in into[-200:]:
            into.extend(os.read(end, 65536))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def lines_of(text: bytes | bytearray) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_reader_that_stops_holds_up_nobody(pipe: tuple[int, int], logger: logging.Logger) -> None:
    log = BoundedLog(pipe[1], max_bytes=20_000)
    logger.addHandler(log)
    spent = time.process_time()
    started = time.monotonic()
    for number in range(2000):
        logger.warning("request", extra={"number": number})
    # Whoever waits for the pipe waits for ever.
    assert time.monotonic() - started < 30
    assert time.process_time() - spent < 5
    dropped = log.dropped
    assert 0 < dropped < 2000
    text = bytearray()
    reader = read_away(pipe[0], text)
    deadline = time.monotonic() + 30
    while b"dropped" not in text and time.monotonic() < deadline:
        logger.warning("after")
        time.sleep(0.05)
    logger.warning("end")
    reader.join(30)
    told = lines_of(text)
    kept = [line["number"] for line in told if line["event"] == "request"]
    assert kept == sorted(kept)
    assert len(kept) == 2000 - dropped
    notices = [line["lines"] for line in told if line["event"] == "log lines were dropped"]
    assert notices[0] >= dropped
    assert sum(notices) == log.dropped


def test_lines_are_written_whole_and_with_what_was_given(
    pipe: tuple[int, int], logger: logging.Logger
) -> None:
    log = BoundedLog(pipe[1])
    logger.addHandler(log)
    text = bytearray()
    reader = read_away(pipe[0], text)
    logger.error("long %s", "ü" * 3 * PIPE, extra={"status": 500})
    try:
        raise RuntimeError("a fault")
    except RuntimeError:
        logger.exception("fault")
    logger.error("end")
    reader.join(30)
    first, second, _ = lines_of(text)
    assert first["event"] == "long " + "ü" * 3 * PIPE
    assert (first["level"], first["status"]) == ("error", 500)
    assert "RuntimeError: a fault" in second["trace"]
    assert log.dropped == 0


def test_a_reader_that_is_gone_ends_nothing(logger: logging.Logger) -> None:
    here, there = os.pipe()
    os.close(here)
    log = BoundedLog(there)
    logger.addHandler(log)
    deadline = time.monotonic() + 30
    while log.dropped < 3 and time.monotonic() < deadline:
        logger.warning("nobody hears this")
        time.sleep(0.02)
    assert log.dropped >= 3
    log.close()
    os.close(there)


def test_the_last_words_are_written_or_given_up(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LAST_WORDS", 0.2)
    logger = logging.Logger("of-this-test")
    log = BoundedLog(pipe[1])
    logger.addHandler(log)
    logger.warning("last")
    log.close()
    assert b'"last"' in os.read(pipe[0], 65536)
    blocked = BoundedLog(pipe[1])
    logger.handlers = [blocked]
    logger.warning("x" * 4 * PIPE)
    blocked.close()
    # The pipe's other end is closed by the fixture: the thread must not write to its number then.
    while blocked._thread.is_alive():
        os.read(pipe[0], 65536)


def test_one_line_without_a_thread(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    class Stands:
        def fileno(self) -> int:
            return pipe[1]

    monkeypatch.setattr("sys.stderr", Stands())
    for _ in range(1000):
        logs.say(logging.ERROR, "crashed", signal="SIGBUS")
    told = lines_of(os.read(pipe[0], 65536))
    assert told[0]["signal"] == "SIGBUS"
    assert 0 < len(told) < 1000
    monkeypatch.setattr("sys.stderr", None)
    logs.say(logging.ERROR, "crashed")


def test_dropped_lines_are_counted_in_the_metrics(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "terrahash_log_lines_dropped_total 0.0" in client.get("/metrics").text
    monkeypatch.setattr(logs, "dropped", lambda: 7)
    assert "terrahash_log_lines_dropped_total 7.0" in client.get("/metrics").text


def test_a_service_whose_log_nobody_reads_answers_and_stops(archive_path: Path) -> None:
    with process(archive_path) as (running, address):
        assert running.stderr is not None
        fcntl.fcntl(running.stderr.fileno(), fcntl.F_SETPIPE_SZ, PIPE)
        for _ in range(60):  # more lines than the pipe holds
            assert ask(address, "GET", "/api/v1/items/1")[0] == 200
        running.terminate()
        assert running.wait(60) == 0

"""Archives that are damaged, replaced, missing or full, and a service that is killed."""

from __future__ import annotations

import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from terrahash.archive import open_archive
from terrahash.codes import CodeLayout
from terrahash.errors import ArchiveError
from terrahash.service import Settings, create_app, mapped
from tests.service.conftest import WRITE_TOKEN, WRITING, wait_until_ready
from tests.service.live import live

SERVE = "from terrahash.cli import main; main()"
# Generous: other tests may use the machine as well.
STARTS_WITHIN = 120.0


@contextmanager
def process(archive: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``terrahash serve`` in a process of its own, and its ``host:port``; nobody reads its log."""
    environment = {**os.environ, "TERRAHASH_WRITE_TOKEN": WRITE_TOKEN}
    running = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", "--archive", str(archive), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert running.stderr is not None
        line = running.stderr.readline()
        address = line.split("http://")[1].split("/")[0]
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            try:
                if ask(address, "GET", "/readyz")[0] == 200:
                    break
            except ConnectionError:
                pass
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.05)
        yield running, address
    finally:
        running.kill()
        running.wait()
        if running.stderr is not None:
            running.stderr.close()


def ask(address: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        headers = {"Content-Type": "application/json", **WRITING}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None
    finally:
        connection.close()


def test_a_damaged_archive_is_unavailable_until_it_is_mended(
    client: TestClient, archive_path: Path
) -> None:
    wait_until_ready(client)
    aside = archive_path.with_name("aside")
    archive_path.rename(aside)
    for path in ("/readyz", "/api/v1/items/1/similar", "/api/v1/archive", "/api/v1/facets"):
        response = client.get(path)
        assert response.status_code == 503, path
        assert "archive" in response.json()["detail"]
        assert response.headers["retry-after"]
    assert client.get("/healthz").status_code == 200
    assert client.get("/metrics").status_code == 200
    aside.rename(archive_path)
    assert client.get("/api/v1/items/1/similar").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_a_garbled_manifest_is_named(client: TestClient, archive_path: Path) -> None:
    manifest = archive_path / "archive.sqlite"
    sound = manifest.read_bytes()
    manifest.unlink()
    manifest.write_bytes(b"garbled" * 1000)
    response = client.get("/api/v1/archive")
    assert response.status_code == 503
    assert response.json()["remedy"]
    manifest.unlink()
    manifest.write_bytes(sound)
    assert client.get("/api/v1/archive").status_code == 200


def test_another_archive_in_its_place_is_served(client: TestClient, archive_path: Path) -> None:
    assert client.get("/api/v1/archive").json()["tiles"] == 80
    new = archive_path.with_name("new")
    with open_archive(new, layout=CodeLayout(64)) as archive:
        archive.add_codes(np.arange(24, dtype=np.uint8).reshape(3, 8), labels=["a", "b", "c"])
    shutil.rmtree(archive_path)
    new.rename(archive_path)
    about = client.get("/api/v1/archive").json()
    assert (about["tiles"], about["bits"]) == (3, 64)
    assert len(client.get("/api/v1/items/1/similar").json()["hits"]) == 3
    assert client.get("/api/v1/facets").json()["total"] == 3


def test_archives_are_swapped_under_load(archive_path: Path) -> None:
    """Every answer is of one archive or the other, or says that there is none just now."""
    layout = CodeLayout(64)
    other, aside = archive_path.with_name("other"), archive_path.with_name("aside")
    with open_archive(other, layout=layout) as archive:
        archive.add_codes(np.arange(24, dtype=np.uint8).reshape(3, 8), labels=["a", "b", "c"])
    over = threading.Event()
    seen: set[tuple[int, int]] = set()

    def keep_asking(address: str) -> None:
        while not over.is_set():
            status, answer = ask(address, "GET", "/api/v1/items/1/similar?k=80")
            found = len(answer["hits"]) if status == 200 else 0
            digits = len(answer["query"]["code"]) if status == 200 else 0
            assert (status, found, digits) in {(200, 80, 4), (200, 3, 16), (503, 0, 0)}
            seen.add((status, found))

    with (
        live(Settings(archive=archive_path)) as address,
        ThreadPoolExecutor(4) as pool,
    ):
        load = [pool.submit(keep_asking, address) for _ in range(4)]
        try:
            for _ in range(8):
                time.sleep(0.1)
                archive_path.rename(aside)
                other.rename(archive_path)
                time.sleep(0.1)
                archive_path.rename(other)
                aside.rename(archive_path)
        finally:
            over.set()
        for one in load:
            one.result()
        assert {(200, 80), (200, 3)} <= seen
        assert ask(address, "GET", "/api/v1/archive")[1]["tiles"] == 80


def test_an_archive_that_comes_later_is_served(archive_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "later"
    with TestClient(create_app(Settings(archive=path))) as client:
        assert client.get("/readyz").status_code == 503
        archive_path.rename(path)
        wait_until_ready(client)


def test_a_full_disk_is_told_and_loses_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        error = OSError(28, "No space left on device")
        raise ArchiveError("no space left on the device", "free some space") from error

    code = client.get("/api/v1/items/1").json()["code"]
    body = {"items": [{"code": code, "user_id": "a"}]}
    with monkeypatch.context() as patched:
        patched.setattr("terrahash.archive.Archive.add_codes", full)
        response = client.post("/api/v1/items/codes", json=body, headers=WRITING)
    assert response.status_code == 507
    assert "free" in response.json()["remedy"]
    assert client.get("/api/v1/archive").json()["tiles"] == 80
    assert client.post("/api/v1/items/codes", json=body, headers=WRITING).status_code == 201


def test_a_fault_of_our_own_is_a_problem_without_its_insides(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret insides")

    monkeypatch.setattr("terrahash.service.searching.answer", broken)
    response = client.get("/api/v1/items/1/similar")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"]
    assert "secret" not in response.text
    assert client.get("/api/v1/items/1").status_code == 200


def largest_segment(archive: Path) -> Path:
    return max((archive / "segments").glob("*.seg"), key=lambda path: path.stat().st_size)


def worker_of(running: subprocess.Popen[str]) -> int:
    """The process that answers, a child of the one that was started."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def until_answered(address: str, path: str, status: int) -> Any:
    """The answer, once it has this status; connections that a crash ends are tried again."""
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        with suppress(ConnectionError, http.client.HTTPException):
            found, answer = ask(address, "GET", path)
            if found == status:
                return answer
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_file_that_is_cut_short_is_told_and_ends_nothing(archive_path: Path) -> None:
    segment = largest_segment(archive_path)
    sound = segment.read_bytes()
    with process(archive_path) as (running, address):
        assert ask(address, "GET", "/api/v1/items/1/similar")[0] == 200
        worker = worker_of(running)
        time.sleep(2 * mapped.TRUSTED)
        os.truncate(segment, 0)
        for path in ("/api/v1/items/1/similar", "/api/v1/facets", "/readyz"):
            status, answer = ask(address, "GET", path)
            assert status == 503, path
            assert "torn" in answer["detail"]
        assert "repair" in answer["remedy"]
        assert ask(address, "GET", "/healthz")[0] == 200
        segment.write_bytes(sound)
        assert ask(address, "GET", "/api/v1/items/1/similar")[0] == 200
        assert worker_of(running) == worker


def test_a_crash_in_the_middle_of_a_search_is_survived(archive_path: Path) -> None:
    """The worst case: a mapped file shrinks between the look at its size and the read."""
    segment = largest_segment(archive_path)
    sound = segment.read_bytes()
    with process(archive_path) as (running, address):
        worker = worker_of(running)
        os.truncate(segment, 0)
        os.kill(worker, signal.SIGBUS)
        assert "torn" in until_answered(address, "/api/v1/items/1/similar", 503)["detail"]
        assert worker_of(running) != worker
        segment.write_bytes(sound)
        assert until_answered(address, "/api/v1/items/1/similar", 200)["hits"]


def test_no_worker_outlives_its_parent(archive_path: Path) -> None:
    with process(archive_path) as (running, address):
        host, port = address.split(":")
        running.kill()
        running.wait()
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
            except ConnectionRefusedError:
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux limits a running process")
def test_a_file_that_cannot_grow_is_a_full_disk(archive_path: Path) -> None:
    """The same as above by the system itself, on a running service."""
    with process(archive_path) as (running, address):
        worker = worker_of(running)
        code = ask(address, "GET", "/api/v1/items/1")[1]["code"]
        body = {"items": [{"code": code, "user_id": "a"}]}
        before = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (64, before[1]))
        status, answer = ask(address, "POST", "/api/v1/items/codes", body)
        assert status == 507
        assert "full" in answer["detail"]
        assert ask(address, "GET", "/api/v1/items/1/similar")[0] == 200
        resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
        assert ask(address, "POST", "/api/v1/items/codes", body)[0] == 201
        assert ask(address, "GET", "/api/v1/archive")[1]["tiles"] == 81


def test_a_damaged_encoder_stops_pictures_only_until_it_is_mended(
    archive_path: Path, tiles: Path
) -> None:
    picture = (tiles / "rows" / "rows01.png").read_bytes()
    card = archive_path / "encoder" / "encoder.json"
    sound = card.read_bytes()
    card.write_bytes(sound[: len(sound) // 2])
    with TestClient(create_app(Settings(archive=archive_path))) as client:
        answer = client.post("/api/v1/search/image", files={"image": picture})
        assert answer.status_code == 503
        assert answer.json()["remedy"]
        assert client.get("/api/v1/items/1/similar").status_code == 200
        card.write_bytes(sound)
        assert client.post("/api/v1/search/image", files={"image": picture}).status_code == 200


@pytest.mark.slow
def test_no_acknowledged_write_is_lost_to_kills_under_load(archive_path: Path) -> None:
    acknowledged: dict[str, int] = {}
    over = threading.Event()

    def keep_reading(address: str) -> None:
        while not over.is_set():
            with suppress(OSError, http.client.HTTPException):
                ask(address, "GET", "/api/v1/items/1/similar")

    def keep_writing(address: str, code: str, who: int) -> None:
        number = 0
        while not over.is_set():
            name = f"{who}-{number}"
            item = {"code": code, "user_id": name, "label": "kept"}
            with suppress(OSError, http.client.HTTPException):
                status, answer = ask(address, "POST", "/api/v1/items/codes", {"items": [item]})
                if status == 201:
                    (acknowledged[name],) = answer["ids"]
                    number += 1

    with process(archive_path) as (running, address), ThreadPoolExecutor(6) as pool:
        code = ask(address, "GET", "/api/v1/items/1")[1]["code"]
        load = [pool.submit(keep_reading, address) for _ in range(4)]
        load += [pool.submit(keep_writing, address, code, who) for who in range(2)]
        try:
            # The first kills the worker, which is started again, the last all of the service.
            for _ in range(2):
                until = len(acknowledged) + 15
                deadline = time.monotonic() + STARTS_WITHIN
                while len(acknowledged) < until and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert len(acknowledged) >= until
                with suppress(ValueError, AssertionError):
                    os.kill(worker_of(running), signal.SIGKILL)
            running.kill()
        finally:
            over.set()
        for one in load:
            one.result()
    with process(archive_path) as (_, address):
        status, page = ask(address, "GET", "/api/v1/items?label=kept&limit=1000")
        assert status == 200
        stored = {item["user_id"]: item["id"] for item in page["items"]}
        assert acknowledged.items() <= stored.items()


@pytest.mark.slow
def test_stopping_ends_well(archive_path: Path) -> None:
    with process(archive_path) as (running, address):
        assert ask(address, "GET", "/healthz")[0] == 200
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
        assert running.stderr is not None
        assert '"/healthz"' in running.stderr.read(), "the last lines of the log are missing"

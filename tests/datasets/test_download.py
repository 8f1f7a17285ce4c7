from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from terrahash.datasets.download import download
from terrahash.errors import DatasetError, InputError

CONTENT = bytes(range(256)) * 4096  # 1 MiB, four blocks
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Publisher(ThreadingHTTPServer):
    """A server of one file that can break off, forget ranges, change the file or fail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = CONTENT
        self.tag = '"v1"'
        self.break_after: int | None = None  # bytes of each answer
        self.breaks = 0  # how many answers break off
        self.ranges = True
        self.status = 0  # answer this instead
        self.failures = 0
        self.length = True
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/set.zip"


class _Handler(BaseHTTPRequestHandler):
    server: Publisher

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.headers["Range"])
        if server.status and server.failures > 0:
            server.failures -= 1
            self.send_error(server.status)
            return
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        start = 0
        wanted = self.headers["Range"]
        if wanted and server.ranges and self.headers["If-Range"] == server.tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", server.tag)
        if server.length:
            self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        body = server.content[start:]
        if server.breaks > 0 and server.break_after is not None:
            server.breaks -= 1
            body = body[: server.break_after]
        self.wfile.write(body)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    server = Publisher()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_whole_file(publisher: Publisher, tmp_path: Path) -> None:
    download(publisher.url, tmp_path / "set.zip", checksum=CHECKSUM)
    assert (tmp_path / "set.zip").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_a_connection_that_breaks_off_is_resumed(publisher: Publisher, tmp_path: Path) -> None:
    publisher.break_after, publisher.breaks = 300_000, 3
    download(publisher.url, tmp_path / "set.zip", checksum=CHECKSUM, pause=0)
    assert (tmp_path / "set.zip").read_bytes() == CONTENT
    assert publisher.asked == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_later_call_goes_on(publisher: Publisher, tmp_path: Path) -> None:
    publisher.break_after, publisher.breaks, publisher.status = 500_000, 1, 503
    path = tmp_path / "set.zip"
    publisher.failures = 0
    original = publisher.content

    class StopError(Exception):
        pass

    class Impatient:
        def note(self, text: str) -> None:
            pass

        def advance(self, stage: str, done: int, total: int, detail: str = "") -> None:
            if done >= 262_144:
                raise StopError

    with pytest.raises(StopError):
        download(publisher.url, path, reporter=Impatient(), pause=0)
    assert not path.exists()
    kept = (tmp_path / "set.zip.part").stat().st_size
    assert kept > 0
    download(publisher.url, path, checksum=CHECKSUM, pause=0)
    assert path.read_bytes() == original
    assert publisher.asked[1] == f"bytes={kept}-"


def test_without_ranges_it_starts_again(publisher: Publisher, tmp_path: Path) -> None:
    publisher.ranges = False
    publisher.break_after, publisher.breaks = 300_000, 1
    download(publisher.url, tmp_path / "set.zip", checksum=CHECKSUM, pause=0)
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_a_file_that_changed_starts_again(publisher: Publisher, tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    publisher.break_after, publisher.breaks = 300_000, 1
    (tmp_path / "set.zip.part").write_bytes(b"old" * 1000)
    (tmp_path / "set.zip.part.json").write_text(
        f'{{"url": "{publisher.url}", "validator": "\\"v0\\"", "total": "9"}}'
    )
    download(publisher.url, path, checksum=CHECKSUM, pause=0)
    assert path.read_bytes() == CONTENT


def test_nothing_missing_but_the_end(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    (tmp_path / "set.zip.part.json").write_text(
        f'{{"url": "{publisher.url}", "validator": "\\"v1\\"", "total": "{len(CONTENT)}"}}'
    )
    download(publisher.url, tmp_path / "set.zip", checksum=CHECKSUM, pause=0)
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_a_part_too_long_starts_again(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT + b"more")
    (tmp_path / "set.zip.part.json").write_text(
        f'{{"url": "{publisher.url}", "validator": "\\"v1\\"", "total": "{len(CONTENT)}"}}'
    )
    download(publisher.url, tmp_path / "set.zip", checksum=CHECKSUM, pause=0)
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_a_server_without_lengths(publisher: Publisher, tmp_path: Path) -> None:
    publisher.length = False
    download(publisher.url, tmp_path / "set.zip", checksum=CHECKSUM)
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_a_wrong_checksum(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="md5 checksum"):
        download(publisher.url, tmp_path / "set.zip", checksum="md5:" + "0" * 32)
    assert not (tmp_path / "set.zip").exists()
    assert not (tmp_path / "set.zip.part").exists()


def test_a_busy_server_is_asked_again(publisher: Publisher, tmp_path: Path) -> None:
    publisher.status, publisher.failures = 503, 2
    download(publisher.url, tmp_path / "set.zip", checksum=CHECKSUM, pause=0)
    assert len(publisher.asked) == 3


def test_a_missing_file_is_not_asked_for_again(publisher: Publisher, tmp_path: Path) -> None:
    publisher.status, publisher.failures = 404, 9
    with pytest.raises(DatasetError, match="404"):
        download(publisher.url, tmp_path / "set.zip", pause=0)
    assert len(publisher.asked) == 1


def test_offline(tmp_path: Path) -> None:
    server = Publisher()
    url = server.url
    server.server_close()  # nobody listens there now
    with pytest.raises(DatasetError, match="cannot fetch") as raised:
        download(url, tmp_path / "set.zip", pause=0)
    assert "check the connection" in raised.value.remedy


def test_other_addresses_are_refused(publisher: Publisher, tmp_path: Path) -> None:
    for url in ("file:///etc/hostname", "ftp://example.org/x"):
        with pytest.raises(InputError, match="cannot fetch"):
            download(url, tmp_path / "x")
    with pytest.raises(DatasetError):
        download(publisher.url.replace("set.zip", "away"), tmp_path / "x", pause=0)
    assert not (tmp_path / "x").exists()


def test_a_full_disk(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DatasetError, match="No space left"):
        download(publisher.url, tmp_path / "set.zip", pause=0)

"""What must not get through: tokens, paths, addresses, SQL, bombs, floods and slow clients."""

from __future__ import annotations

import contextlib
import http.client
import io
import resource
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from terrahash.archive import open_archive
from terrahash.errors import InputError
from terrahash.service import Settings, create_app, limits
from terrahash.service.protocol import Connection
from tests.service.conftest import READ_TOKEN, WRITE_TOKEN, WRITING, wait_until_ready
from tests.service.live import live

READING = {"Authorization": f"Bearer {READ_TOKEN}"}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what these tests are about
SQL = ["' OR 1=1 --", "'; DROP TABLE meta; --", '" UNION SELECT * FROM segments', "1); DELETE"]


@pytest.fixture
def guarded(made: Path) -> Iterator[TestClient]:
    """A service with a read and a write token."""
    settings = Settings(archive=made, host=EVERYWHERE, token=READ_TOKEN, write_token=WRITE_TOKEN)
    with TestClient(create_app(settings)) as opened:
        yield opened


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": EVERYWHERE},
        {"host": "192.168.1.5"},
        {"host": "::"},
        {"host": EVERYWHERE, "write_token": WRITE_TOKEN},
        {"token": "short"},
        {"token": READ_TOKEN, "write_token": READ_TOKEN},
        {"port": 70000},
        {"max_upload_mb": 0},
        {"basemap": "file:///etc/{z}/{x}/{y}"},
        {"basemap": "https://tiles.example/"},
    ],
)
def test_unsafe_settings_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError) as told:
        Settings(archive=tmp_path, **wrong)
    assert told.value.remedy


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_no_token(tmp_path: Path, host: str) -> None:
    assert Settings(archive=tmp_path, host=host).loopback


# -- tokens --------------------------------------------------------------------------------------

DATA = ["/api/v1/archive", "/api/v1/items/1", "/api/v1/items/1/thumbnail", "/metrics"]


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize(
    "shown", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": READ_TOKEN},
              {"Authorization": f"Basic {READ_TOKEN}"}, {"Cookie": "terrahash-session=wrong"},
              {"Cookie": f"terrahash-session={READ_TOKEN}"}, {"Authorization": "Bearer ü"}],
)  # fmt: skip
def test_reading_needs_the_token(guarded: TestClient, path: str, shown: dict[str, str]) -> None:
    encoded = {name: value.encode() for name, value in shown.items()}
    response = guarded.get(path, headers=encoded)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["remedy"]
    assert guarded.get(path, headers=READING).status_code == 200


def test_health_and_the_page_need_none(guarded: TestClient) -> None:
    wait_until_ready(guarded)
    for path in ("/healthz", "/readyz", "/", "/static/js/main.js"):
        assert guarded.get(path).status_code == 200


def test_a_session_reads_and_does_not_write(guarded: TestClient) -> None:
    assert guarded.post("/api/v1/session").status_code == 401
    response = guarded.post("/api/v1/session", headers=READING)
    assert response.status_code == 204
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert READ_TOKEN not in cookie
    assert guarded.get("/api/v1/items/1").status_code == 200
    assert guarded.delete("/api/v1/items?id=1").status_code == 401


def test_writing_needs_the_write_token(guarded: TestClient) -> None:
    assert guarded.delete("/api/v1/items?id=1", headers=READING).status_code == 403
    assert guarded.post("/api/v1/items", headers=READING, content=b"x").status_code == 403
    assert guarded.get("/api/v1/items/1", headers=READING).status_code == 200


def test_a_service_without_write_token_only_reads(made: Path) -> None:
    with TestClient(create_app(Settings(archive=made))) as client:
        assert client.delete("/api/v1/items?id=1", headers=WRITING).status_code == 403
        assert client.get("/api/v1/archive").json()["writable"] is False


# -- names, sites, headers -----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]", "a b"])
def test_a_loopback_service_answers_to_its_own_name_only(client: TestClient, host: str) -> None:
    response = client.get("/api/v1/archive", headers={"Host": host})
    assert response.status_code == 421
    assert client.get("/api/v1/archive", headers={"Host": "localhost:8000"}).status_code == 200
    assert client.get("/api/v1/archive", headers={"Host": "[::1]:8000"}).status_code == 200


def test_pages_of_other_sites_cannot_ask(client: TestClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    response = client.post("/api/v1/search", json={"id": 1}, headers=headers)
    assert response.status_code == 403
    plain = client.get("/api/v1/archive", headers=headers)
    assert "access-control-allow-origin" not in plain.headers
    assert plain.headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_may_load_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "http" not in page.text.replace("http-equiv", "")


def test_a_base_map_is_the_one_exception(made: Path) -> None:
    settings = Settings(archive=made, basemap="https://tiles.example/{z}/{x}/{y}.png")
    with TestClient(create_app(settings)) as client:
        policy = client.get("/").headers["content-security-policy"]
    assert "img-src 'self' blob: data: https://tiles.example;" in policy
    assert "script-src 'self';" in policy


def test_headers_cannot_be_injected(client: TestClient) -> None:
    for text in ("a%0d%0aX-Evil:%201", "a%0aSet-Cookie:%20x=1"):
        for path in (f"/api/v1/items/{text}", f"/static/{text}", f"/api/v1/facets?where={text}",
                     f"/api/v1/items/1/thumbnail?size={text}"):  # fmt: skip
            headers = client.get(path).headers
            assert "x-evil" not in headers
            assert "set-cookie" not in headers


def test_what_is_stored_stays_out_of_headers(client: TestClient) -> None:
    """Names, labels and ids that callers choose, and a request id of their own."""
    evil = "a\r\nX-Evil: 1\r\n\r\n"
    code = client.get("/api/v1/items/1").json()["code"]
    stored = client.post(
        "/api/v1/items/codes",
        json={"items": [{"code": code, "user_id": evil, "label": evil}]},
        headers=WRITING,
    )
    (number,) = stored.json()["ids"]
    picture = {"image": ('a"\r\nX-Evil: 1\r\n.png', io.BytesIO(b"no picture"))}
    answers = [
        client.get(f"/api/v1/items/{number}"),
        client.get(f"/api/v1/items/{number}/image"),
        client.get("/api/v1/facets"),
        client.post("/api/v1/search/image", files=picture),
        client.get("/healthz", headers={"X-Request-Id": "evil", "X-Forwarded-Host": "evil"}),
    ]
    assert answers[0].json()["label"] == evil
    for answer in answers:
        assert "evil" not in str(answer.headers).lower()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\x00c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX A: b\r\n\r\n",
        b"GET /healthz\r\nX-Evil: 1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        # Two opinions on where the body ends: a proxy in front could hold another one.
        b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Content-Length: 6\r\n\r\nhello",
    ],
)
def test_a_head_that_is_none_is_refused(made: Path, head: bytes) -> None:
    with live(Settings(archive=made)) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(head)
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"evil" not in answer.lower()
        assert _healthy(address)


@pytest.mark.parametrize("path", ["/healthz", "/", "/api/v1/archive"])
def test_a_head_that_is_too_long_is_refused(made: Path, path: str) -> None:
    with live(Settings(archive=made)) as address:
        client = http.client.HTTPConnection(address, timeout=10)
        client.request("GET", path, headers={"X-Long": "a" * 50_000})
        assert client.getresponse().status in (400, 431)
        client.close()
        assert _healthy(address)


# -- paths, addresses, SQL -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fcli/serve.py",
        "/static/%2fetc/passwd",
        "/static//etc/passwd",
        "/static/....//app.py",
        "/api/v1/items/..%2f..%2fetc%2fpasswd",
        "/api/v1/items/%2e%2e/thumbnail",
        "/..%2f..%2f/etc/passwd",
    ],
)
def test_paths_stay_inside(made: Path, path: str) -> None:
    with live(Settings(archive=made)) as address:
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        connection.close()
    assert response.status in (400, 404, 422)
    assert b"root:" not in body
    assert b"FastAPI" not in body


def test_no_address_is_ever_fetched(client: TestClient, archive_path: Path) -> None:
    with socket.socket() as inside:
        inside.bind(("127.0.0.1", 0))
        inside.listen()
        inside.settimeout(0.3)
        address = f"http://127.0.0.1:{inside.getsockname()[1]}/secret.png"
        sources = [address, f"/vsicurl/{address}", f"//127.0.0.1/{address}"]
        with open_archive(archive_path) as archive:
            codes = archive.codes([1] * len(sources))
            windows = [(0, 0, 8, 8)] * len(sources)
            ids = archive.add_codes(codes, sources=sources, windows=windows)
        for number in ids.tolist():
            assert client.get(f"/api/v1/items/{number}/image").status_code == 404
        assert client.post("/api/v1/search/image", json={"url": address}).status_code == 415
        with pytest.raises(TimeoutError):
            inside.accept()


def test_no_parameter_is_an_address(client: TestClient) -> None:
    """Whatever takes text is given an address: the service asks nobody."""
    with socket.socket() as inside:
        inside.bind(("127.0.0.1", 0))
        inside.listen()
        inside.settimeout(0.3)
        host = f"127.0.0.1:{inside.getsockname()[1]}"
        texts = [f"http://{host}/a.tif", f"/vsicurl/http://{host}/a.tif", f"//{host}/a",
                 f"s3://{host}/a", f"\\\\{host}\\a", f"file://{host}/etc/passwd"]  # fmt: skip
        names = ["where", "label", "predicted_label", "bbox", "after", "before", "k", "offset",
                 "radius", "ranking", "limit", "spread", "size", "preview", "url", "image",
                 "source"]  # fmt: skip
        paths = ["/api/v1/items", "/api/v1/items/1/similar", "/api/v1/facets",
                 "/api/v1/items/1/thumbnail", "/api/v1/archive", "/"]  # fmt: skip
        for text in texts:
            for name in names:
                for path in paths:
                    assert client.get(path, params={name: text}).status_code < 500
            code = client.get("/api/v1/items/1").json()["code"]
            item = {"code": code, "user_id": text, "label": text}
            stored = client.post("/api/v1/items/codes", json={"items": [item]}, headers=WRITING)
            number = stored.json()["ids"][0]
            assert client.get(f"/api/v1/items/{number}/image").status_code == 404
            headers = dict.fromkeys(("Referer", "Origin", "X-Forwarded-For", "Forwarded"), text)
            assert client.get("/api/v1/archive", headers=headers).status_code == 200
            assert client.get(f"/api/v1/items/{text}").status_code in (404, 422)
        with pytest.raises(TimeoutError):
            inside.accept()


def test_no_upload_points_anywhere_else(client: TestClient) -> None:
    """Formats that name other files or addresses are no pictures, whatever they are called."""
    with socket.socket() as inside:
        inside.bind(("127.0.0.1", 0))
        inside.listen()
        inside.settimeout(0.3)
        address = f"http://127.0.0.1:{inside.getsockname()[1]}/a.tif"
        vrt = (
            "<VRTDataset rasterXSize='8' rasterYSize='8'><VRTRasterBand dataType='Byte' band='1'>"
            "<SimpleSource><SourceFilename>{}</SourceFilename><SourceBand>1</SourceBand>"
            "</SimpleSource></VRTRasterBand></VRTDataset>"
        )
        uploads = [
            vrt.format(f"/vsicurl/{address}"),
            vrt.format("/etc/passwd"),
            f"<GDAL_WMS><Service name='TMS'><ServerUrl>{address}</ServerUrl></Service></GDAL_WMS>",
            f"<svg xmlns='http://www.w3.org/2000/svg'><image href='{address}'/></svg>",
            f"/vsicurl/{address}",
            "%!PS\n(/etc/passwd) (r) file",
        ]
        for text in uploads:
            for opening in (b"", b"II*\0", b"\x89PNG\r\n\x1a\n"):
                for name in ("a.vrt", "a.tif", f"/vsicurl/{address}", "../../etc/passwd"):
                    files = {"image": (name, io.BytesIO(opening + text.encode()))}
                    response = client.post("/api/v1/search/image", files=files)
                    assert response.status_code == 422
                    assert "root:" not in response.text
                    added = client.post("/api/v1/items", files=files, headers=WRITING)
                    assert added.status_code == 422
        with pytest.raises(TimeoutError):
            inside.accept()


@pytest.mark.parametrize("text", SQL)
def test_sql_is_text_and_nothing_else(client: TestClient, text: str) -> None:
    for name in ("where", "bbox", "after", "before", "k", "radius", "offset", "ranking"):
        response = client.get("/api/v1/items/1/similar", params={name: text})
        assert response.status_code == 422, name
    for name in ("label", "predicted_label"):
        found = client.get("/api/v1/items/1/similar", params={name: text})
        assert found.json()["hits"] == []
        assert client.get("/api/v1/facets", params={name: text}).json()["total"] == 0
    assert client.get(f"/api/v1/items/{text}").status_code in (404, 422)
    escape = {"where": "label = 'rows') OR (label = 'checks'", "label": "rows"}
    assert client.get("/api/v1/items", params=escape).status_code == 422
    assert client.get("/api/v1/facets").json()["total"] == 80


def test_a_pattern_cannot_keep_the_service_busy(client: TestClient) -> None:
    """Without care, each further ``%`` multiplies the time that a text without match takes."""
    started = time.monotonic()
    pattern = "%" + "t%" * 40 + "zz"
    with_it = client.get("/api/v1/facets", params={"where": f"source LIKE '{pattern}'"})
    assert with_it.json()["total"] == 0
    every = client.get("/api/v1/facets", params={"where": "source LIKE '%t%_.p%g'"})
    assert every.json()["total"] == 80
    assert time.monotonic() - started < 5


# -- size ----------------------------------------------------------------------------------------


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is of this size, with hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_image_bombs_are_not_unpacked(client: TestClient) -> None:
    started = time.monotonic()
    for size in ((100_000, 100_000), (60_000, 1_000), (2**31 - 1, 2**31 - 1)):
        response = client.post("/api/v1/search/image", files={"image": png_of(*size)})
        assert response.status_code == 422
        assert "pixels" in response.json()["detail"] or "image" in response.json()["detail"]
    assert time.monotonic() - started < 5


def test_raster_bombs_are_not_unpacked(client: TestClient, tmp_path: Path) -> None:
    """A raster's header may claim any size, and packs zeros a thousand to one."""
    rasterio = pytest.importorskip("rasterio", reason="pip install 'terrahash[geo]'")
    started = time.monotonic()
    for side, bands in ((50_000, 1), (7_000, 4), (3_000, 60)):
        path = tmp_path / "bomb.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=side, height=side, count=bands, dtype="uint16",
            tiled=True, compress="deflate", sparse_ok=True, crs="EPSG:32632",
            transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
        ):  # fmt: skip
            pass
        assert path.stat().st_size < 2 * 1024 * 1024
        response = client.post("/api/v1/search/image", files={"image": path.read_bytes()})
        assert response.status_code == 422
        detail = response.json()["detail"]
        assert "pixels" in detail
    assert time.monotonic() - started < 20


def test_a_body_that_says_it_is_too_long(client: TestClient) -> None:
    response = client.post("/api/v1/search/image", files={"image": bytes(3 * 1024 * 1024)})
    assert response.status_code == 413
    assert response.headers["connection"] == "close"
    assert "--max-upload-mb" in response.json()["remedy"]


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x",
                                  "application/json"])  # fmt: skip
def test_an_endless_body_is_cut_off(made: Path, kind: str) -> None:
    """A gigabyte in chunks, its length unsaid: the service stops reading at its limit."""
    path = "/api/v1/search" if kind == "application/json" else "/api/v1/search/image"
    opening = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    sent = 0
    with live(Settings(archive=made, max_upload_mb=1)) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n".encode()
            )
            connection.sendall(b"%x\r\n%s\r\n" % (len(opening), opening))
            part = b"10000\r\n" + bytes(65536) + b"\r\n"
            try:
                while sent < 1 << 30:
                    connection.sendall(part)
                    sent += len(part)
            except OSError:
                pass
            assert sent < 64 * 1024 * 1024
        assert _healthy(address)


def test_a_claimed_gigabyte_is_refused_unread(made: Path) -> None:
    with live(Settings(archive=made)) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                f"POST /api/v1/search/image HTTP/1.1\r\nHost: {address}\r\n"
                "Content-Type: image/png\r\nContent-Length: 1073741824\r\n\r\n".encode()
            )
            assert b" 413 " in connection.recv(65536)
        assert _healthy(address)


# -- time and number -----------------------------------------------------------------------------


def _healthy(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", "/api/v1/items/1/similar")
    status = connection.getresponse().status
    connection.close()
    return status == 200


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(4096) == b""
    except ConnectionError:
        return True


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for thousands of connections and both of their ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"the system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_slow_heads_are_closed_and_hold_nobody_up(
    made: Path, monkeypatch: pytest.MonkeyPatch, many_files: None
) -> None:
    monkeypatch.setattr(Connection, "head_seconds", 3.0)
    with live(Settings(archive=made)) as address, ExitStack() as stack:
        host, port = address.split(":")
        slow = []
        for number in range(1000):
            connection = socket.create_connection((host, int(port)), timeout=20)
            slow.append(stack.enter_context(connection))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ")
            if number % 200 == 0:
                assert _healthy(address)
        time.sleep(1)
        assert _healthy(address)
        # Another letter now and then buys no time.
        for connection in slow[-100:]:
            connection.sendall(b"b")
        assert all(_closed(connection) for connection in slow)
        assert _healthy(address)


def test_a_flood_of_connections_drops_the_oldest(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "max_waiting", 20)
    with live(Settings(archive=made)) as address, ExitStack() as stack:
        host, port = address.split(":")
        idle = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            for _ in range(40)
        ]
        assert _healthy(address)
        assert all(_closed(connection) for connection in idle[:15])


def test_slow_bodies_are_given_up(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits.Limits.__init__, "__kwdefaults__", {"max_silence": 0.5})
    with live(Settings(archive=made)) as address:
        host, port = address.split(":")
        for kind, path in (("image/png", "search/image"), ("application/json", "search")):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(
                    f"POST /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\n"
                    f"Content-Type: {kind}\r\nContent-Length: 1000\r\n\r\nabc".encode()
                )
                assert b" 408 " in connection.recv(65536)
        assert _healthy(address)


def _asking(
    stack: ExitStack, address: str, head: str, times: int, limit: int = 80
) -> socket.socket:
    """A connection that asks for tiles, again and again, and takes nothing."""
    host, port = address.split(":")
    connection = stack.enter_context(socket.socket())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((host, int(port)))
    connection.settimeout(0.2)
    line = f"GET /api/v1/items?limit={limit} HTTP/1.1"
    asking = f"{line}\r\nHost: {address}\r\n{head}\r\n".encode()
    with contextlib.suppress(TimeoutError):
        for _ in range(times):
            connection.sendall(asking)
    return connection


def _taken(connection: socket.socket) -> int:
    """Bytes that still come before the connection ends; fails if it does not end."""
    connection.settimeout(10)
    taken = 0
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            taken += len(data)
    return taken


def test_answers_that_nobody_takes_are_given_up(
    made: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Connection, "stall_seconds", 0.5)
    settings = Settings(archive=made, max_requests=4)
    with live(settings, send_buffer=4096) as address, ExitStack() as stack:
        # Their answers fill every buffer on the way.
        still = [_asking(stack, address, "", 40) for _ in range(4)]
        deadline = time.monotonic() + 30
        while not _healthy(address):
            assert time.monotonic() < deadline, "readers that stand still hold all places"
            time.sleep(0.1)
        time.sleep(1.5)
        assert all(_taken(connection) < len(_answer(address)) for connection in still)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("head", ["", "Connection: close\r\n"])
def test_a_connection_that_is_closed_does_not_wait_for_its_reader(
    made: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setattr(Connection, "stall_seconds", 0.5)
    monkeypatch.setattr("terrahash.service.server.KEEP_ALIVE_SECONDS", 0.5)
    with live(Settings(archive=made), send_buffer=4096) as address, ExitStack() as stack:
        # What is left fits into the service's own buffer, so that nothing there is held up.
        connection = _asking(stack, address, head, 1)
        time.sleep(2.5)
        assert _taken(connection) < len(_answer(address))


@pytest.fixture
def thousand(archive_path: Path) -> Path:
    """An archive whose tiles are a large answer, some 300 kB."""
    with open_archive(archive_path) as archive:
        codes = np.repeat(archive.codes([1]), 920, axis=0)
        archive.add_codes(codes, user_ids=[f"{number:0200d}" for number in range(920)])
    return archive_path


def test_a_slow_reader_is_waited_for(thousand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "stall_seconds", 1.5)
    with live(Settings(archive=thousand), send_buffer=4096) as address, ExitStack() as stack:
        whole = _answer(address, 1000)
        connection = _asking(stack, address, "Connection: close\r\n", 1, limit=1000)
        connection.settimeout(10)
        taken = b""
        while data := connection.recv(16 * 1024):
            taken += data
            time.sleep(0.05)
        assert taken.endswith(whole)


def test_answers_that_many_leave_lying_are_bounded(
    thousand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live(Settings(archive=thousand), send_buffer=4096) as address, ExitStack() as stack:
        size = len(_answer(address, 1000))
        monkeypatch.setattr(Connection, "max_untaken", 3 * size)
        still = [_asking(stack, address, "", 1, limit=1000) for _ in range(8)]
        answered = 'route="/items",status="200"} 9.0'
        deadline = time.monotonic() + 30
        while answered not in _answer(address, path="/metrics").decode():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(Connection._untaken) <= 3
        assert _taken(still[0]) < size
        assert _healthy(address)


def _answer(address: str, limit: int = 80, path: str | None = None) -> bytes:
    client = http.client.HTTPConnection(address, timeout=10)
    client.request("GET", path or f"/api/v1/items?limit={limit}")
    body = client.getresponse().read()
    client.close()
    return body


def test_too_many_requests_are_told_to_come_back(made: Path) -> None:
    with live(Settings(archive=made, max_requests=3)) as address, ExitStack() as stack:
        host, port = address.split(":")
        for _ in range(3):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(
                f"POST /api/v1/search HTTP/1.1\r\nHost: {address}\r\n"
                "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n".encode()
            )
        time.sleep(0.5)
        client = http.client.HTTPConnection(address, timeout=10)
        client.request("GET", "/api/v1/archive")
        response = client.getresponse()
        response.read()
        assert response.status == 503
        assert response.headers["Retry-After"]
        client.request("GET", "/healthz")
        assert client.getresponse().status == 200
        client.close()


def test_logs_and_metrics_hold_no_query(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="terrahash")
    client.get("/api/v1/items/1/similar?where=label = 'secretword'")
    client.post("/api/v1/search/image", files={"image": ("secretword.png", io.BytesIO(b"x"))})
    client.get("/secretword")
    told = "".join(str(record.__dict__) for record in caplog.records)
    assert "/items/{number}/similar" in told
    assert "secretword" not in told
    assert "secretword" not in client.get("/metrics").text

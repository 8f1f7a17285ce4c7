"""Fetching a file over HTTP: resumed where it broke off, checked, never half there."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

from terrahash.errors import DatasetError, InputError
from terrahash.progress import Reporter, Silent
from terrahash.web import http_opener

TIMEOUT = 30.0  # seconds without a byte before a connection counts as broken
ATTEMPTS = 5  # in a row without any progress; a download that moves on is never given up
PAUSE = 1.0  # seconds before the second attempt, doubled each time
BLOCK = 1 << 18
MAX_BYTES = 128 << 30  # twice the largest known archive: a server that never ends is cut off
AGENT = "terrahash"


def download(
    url: str,
    path: Path,
    *,
    checksum: str = "",
    reporter: Reporter | None = None,
    pause: float = PAUSE,
) -> None:
    """Fetch ``url`` into ``path``, which appears only when it is whole and its checksum fits.

    What arrived is kept beside it as ``….part``; a later call goes on from there if the server
    still has the same file and speaks of ranges, and starts again if not.

    Args:
        url: an ``http`` or ``https`` address.
        path: where to; its folder must exist.
        checksum: ``"md5:…"`` or ``"sha256:…"``; empty for none.
        reporter: told of bytes received.
        pause: seconds before the first retry.

    Raises:
        InputError: if the address is not HTTP.
        DatasetError: if the server cannot be reached, keeps failing, or sends something else than
            expected, or the file cannot be written.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise InputError(f"cannot fetch '{url}'", "only http and https addresses are fetched")
    reporter = reporter or Silent()
    part = path.with_name(path.name + ".part")
    failures, error = 0, ""
    while failures < ATTEMPTS:
        before = _size(part)
        try:
            if _continue(url, part, path.name, reporter):
                verify(part, checksum, url)
                part.replace(path)
                _note(part).unlink(missing_ok=True)
                return
            error = "the connection broke off"
        except urllib.error.HTTPError as refusal:
            error = f"the server answered {refusal.code} {refusal.reason}"
            if refusal.code < 500 and refusal.code not in (408, 429):
                break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as broken:
            error = str(getattr(broken, "reason", "") or broken or type(broken).__name__)
        except (ConnectionError, ssl.SSLError) as broken:
            error = str(broken)
        except OSError as full:
            raise DatasetError(
                f"cannot write '{part}': {full.strerror or full}",
                "make room or choose another folder; the part that arrived is kept",
            ) from full
        failures = 0 if _size(part) > before else failures + 1
        if failures < ATTEMPTS:
            time.sleep(pause * 2 ** max(0, failures - 1))
    raise DatasetError(
        f"cannot fetch '{url}': {error}",
        "check the connection and try again (what arrived is kept), or fetch it by hand",
    )


def verify(path: Path, checksum: str, source: str = "") -> None:
    """Check a file's checksum, ``"md5:…"`` or ``"sha256:…"``; an empty one is not checked.

    Raises:
        DatasetError: if it does not fit; the file is deleted then.
    """
    if not checksum:
        return
    kind, expected = checksum.split(":", 1)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != expected.lower():
        path.unlink()
        raise DatasetError(
            f"'{source or path}' has the {kind} checksum {found}, expected {expected}",
            "the file was damaged on its way or replaced by its publisher; try again",
        )


def _continue(url: str, part: Path, name: str, reporter: Reporter) -> bool:
    """Ask for what is missing and append it; whether the file is whole now."""
    have, known = _size(part), _read_note(part)
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if have and known.get("url") == url and known.get("validator"):
        headers |= {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (checked by the caller)
    try:
        response = http_opener().open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as refusal:
        if refusal.code == 416:  # nothing is missing, or what is there is of another file
            if known.get("total") == str(have):
                return True
            part.unlink()
            return False
        raise
    with response:
        start = _start_of(response)
        total = start + int(response.headers["Content-Length"] or 0)
        if max(total, start) > MAX_BYTES:
            raise DatasetError(f"'{url}' is larger than {MAX_BYTES >> 30} GiB")
        if start not in (0, have):
            part.unlink()
            return False
        validator = _validator(response)
        _note(part).write_text(
            json.dumps({"url": url, "validator": validator, "total": str(total)}), encoding="utf-8"
        )
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            received = start
            while block := response.read(BLOCK):
                received += len(block)
                if received > MAX_BYTES:
                    raise DatasetError(f"'{url}' does not end after {MAX_BYTES >> 30} GiB")
                file.write(block)
                reporter.advance(f"fetch {name}", received, max(total, received + 1), "bytes")
        reporter.advance(f"fetch {name}", received, received, "bytes")
        return total == start or received == total


def _start_of(response: http.client.HTTPResponse) -> int:
    if response.status != 206:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers["Content-Range"] or "")
    return int(found[1]) if found else -1


def _validator(response: http.client.HTTPResponse) -> str:
    """What names this version of the file: a strong entity tag, else its date."""
    tag = response.headers["ETag"] or ""
    return tag if tag and not tag.startswith("W/") else response.headers["Last-Modified"] or ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path) -> dict[str, str]:
    try:
        content = json.loads(_note(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

"""What can be set about the service."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from terrahash.errors import InputError

# Shorter tokens can be guessed in the time that a service stays up.
MIN_TOKEN = 16
DEFAULT_PORT = 8000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked settings of a service.

    Args:
        archive: folder of the archive.
        host: address to listen at; beyond loopback a token is needed.
        port: to listen at; 0 for any that is free.
        token: what callers must show to read; None lets everybody on this machine read.
        write_token: what callers must show to add and delete; None for a read-only service.
        allowed_hosts: names in the ``Host`` header that are answered besides the loopback names.
            Empty and beyond loopback: all of them.
        max_upload_mb: largest request body, MiB.
        max_requests: requests that may be under way at once; more are told to come back.
        max_pixels: largest width × height of an uploaded image.
        basemap: address of raster tiles with ``{z}/{x}/{y}`` below the footprints; None for the
            built-in coastline.
        basemap_attribution: whom the tiles are of.
        remote_pictures: fetch the pictures of tiles that were indexed from addresses.
        demo: the archive is the built-in one, and the page says so.

    Raises:
        InputError: if a setting is wrong or unsafe.
    """

    archive: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    write_token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    max_upload_mb: int = 32
    max_requests: int = 256
    max_pixels: int = 40_000_000
    basemap: str | None = None
    basemap_attribution: str = ""
    remote_pictures: bool = False
    demo: bool = False

    def __post_init__(self) -> None:
        for what, token in (("token", self.token), ("write token", self.write_token)):
            if token is not None and (len(token) < MIN_TOKEN or not token.isascii()):
                raise InputError(
                    f"the {what} is shorter than {MIN_TOKEN} characters or not ASCII",
                    'make one: python -c "import secrets; print(secrets.token_urlsafe())"',
                )
        if self.token is not None and self.token == self.write_token:
            raise InputError(
                "token and write token are the same", "use two, so that readers cannot write"
            )
        if not self.loopback and self.token is None:
            raise InputError(
                f"{self.host} can be reached from other machines, and no token is set",
                "set TERRAHASH_TOKEN (or --token-file), or listen at 127.0.0.1",
            )
        if not 0 <= self.port <= 65535:
            raise InputError(f"port {self.port} does not exist", "choose one from 1 to 65535")
        for name, value in (
            ("max-upload-mb", self.max_upload_mb),
            ("max-requests", self.max_requests),
            ("max-pixels", self.max_pixels),
        ):
            if value < 1:
                raise InputError(f"{name} is {value}", "give a whole number above 0")
        if self.basemap is not None:
            parts = urlsplit(self.basemap)
            placed = all(f"{{{letter}}}" in self.basemap for letter in "zxy")
            if parts.scheme not in ("http", "https") or not parts.netloc or not placed:
                raise InputError(
                    f"base map {self.basemap!r} is no address of tiles",
                    "write it as https://host/path/{z}/{x}/{y}.png",
                )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def basemap_origin(self) -> str | None:
        """Scheme and host of the base map's tiles, for the page's security policy."""
        if self.basemap is None:
            return None
        parts = urlsplit(self.basemap)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def max_body(self) -> int:
        """Largest request body in bytes."""
        return self.max_upload_mb * 1024 * 1024

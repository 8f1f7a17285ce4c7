"""Who may ask: tokens, the page's session, names of the host, and other sites' pages."""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from terrahash.service.problems import Problem
from terrahash.service.settings import Settings

COOKIE = "terrahash-session"
SESSION_PATH = "/api/v1/session"
# What holds no data of the archive: anybody who reaches the service may have it.
_GUARDED = ("/api/", "/metrics")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]", "testserver")


class Access:
    """Lets through who may ask; an ASGI middleware.

    Args:
        app: what is guarded.
        settings: with the tokens and the names of the host.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        own = f"[{settings.host}]" if ":" in settings.host else settings.host
        self._names: frozenset[str] | None = None
        if settings.loopback or settings.allowed_hosts:
            self._names = frozenset(
                name.lower() for name in (*_LOOPBACK_NAMES, own, *settings.allowed_hosts)
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with what is missing."""
        if scope["type"] == "http":
            problem = self._objection(scope)
            if problem is not None:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _objection(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if self._names is not None and _host_name(headers.get("host", "")) not in self._names:
            return Problem(
                421,
                "the service is not known by the name in the Host header",
                "use 127.0.0.1, or allow the name with --allowed-host",
            )
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] not in ("GET", "HEAD"):
            return Problem(
                403, "asked by a page of another site", "ask from the service's own page"
            )
        guarded = scope["path"].startswith(_GUARDED)
        if self._settings.token is None or not guarded or may_read(headers, self._settings):
            return None
        return Problem(
            401,
            "a token is needed",
            "send the header 'Authorization: Bearer TOKEN'",
            {"WWW-Authenticate": 'Bearer realm="terrahash"'},
        )


def may_read(headers: Headers, settings: Settings) -> bool:
    """Whether a request shows the token, the write token or the page's session."""
    shown = bearer(headers)
    if same(shown, settings.token) or same(shown, settings.write_token):
        return True
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return False
    return COOKIE in cookies and same(cookies[COOKIE].value, session_of(settings))


def check_write(headers: Headers, settings: Settings) -> None:
    """Check that a request may change the archive; a session is not enough for that.

    Raises:
        Problem: if it may not.
    """
    if settings.write_token is None:
        raise Problem(
            403, "this service only reads", "start it with TERRAHASH_WRITE_TOKEN to allow writing"
        )
    if not same(bearer(headers), settings.write_token):
        raise Problem(
            401 if bearer(headers) is None else 403,
            "writing needs the write token",
            "send the header 'Authorization: Bearer WRITE_TOKEN'",
            {"WWW-Authenticate": 'Bearer realm="terrahash writing"'},
        )


def bearer(headers: Headers) -> str | None:
    """The token of the ``Authorization`` header, if there is one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def same(shown: str | None, expected: str | None) -> bool:
    """Compare in constant time."""
    if shown is None or expected is None:
        return False
    return hmac.compare_digest(shown.encode("utf-8", "replace"), expected.encode())


def session_of(settings: Settings) -> str:
    """What the page's cookie holds instead of the token."""
    key = (settings.token or "").encode()
    return hmac.new(key, b"terrahash page session", hashlib.sha256).hexdigest()


def _host_name(host: str) -> str:
    name = host.strip().lower()
    if name.startswith("["):
        return name[: name.find("]") + 1]
    return name.partition(":")[0]

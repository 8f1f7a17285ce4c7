"""Bounds on what one request may take: bytes, time to send them, and requests at once."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terrahash.service.problems import Problem, busy

# Bytes of a request's head; the longest filter takes a quarter of it.
MAX_HEAD = 32 * 1024
# Silence within a body after which its sender has gone, seconds.
MAX_SILENCE = 10.0
# A body may take this long, and a second more for each of so many bytes that it has.
BODY_SECONDS = 15.0
SLOWEST_BYTES_PER_SECOND = 32 * 1024
# Always answered, however busy: who watches the service must see that it lives.
_ALWAYS = ("/healthz", "/readyz", "/metrics")


class Limits:
    """Cuts off what takes too much; an ASGI middleware.

    Args:
        app: what is guarded.
        max_body: bytes of a request's body.
        max_requests: requests under way at once.
        max_silence: seconds between two parts of a body.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body: int,
        max_requests: int,
        max_silence: float = MAX_SILENCE,
    ) -> None:
        self._app = app
        self._max_body = max_body
        self._max_requests = max_requests
        self._max_silence = max_silence
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on within the bounds."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = _too_long_head(scope)
        if problem is None and scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
            return
        problem = problem or self._objection(scope)
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        self.under_way += 1
        try:
            body = _Body(receive, self._max_body, self._max_silence)
            await self._app(scope, body, send)
        finally:
            self.under_way -= 1

    def _objection(self, scope: Scope) -> Problem | None:
        if self.under_way >= self._max_requests:
            return busy("requests")
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body:
            return _too_long(self._max_body)
        return None


class _Body:
    """``receive`` that counts bytes and time."""

    def __init__(self, receive: Receive, most: int, silence: float) -> None:
        self._receive = receive
        self._most = most
        self._silence = silence
        self._began = asyncio.get_running_loop().time()
        self._seen = 0
        self._done = False

    async def __call__(self) -> Message:
        if self._done:
            return await self._receive()
        allowed = BODY_SECONDS + self._seen / SLOWEST_BYTES_PER_SECOND
        left = self._began + allowed - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(0.0, min(self._silence, left))):
                message = await self._receive()
        except TimeoutError:
            raise Problem(
                408,
                "the request's body came too slowly",
                "send it again over a faster connection",
                {"Connection": "close"},
            ) from None
        self._seen += len(message.get("body", b""))
        self._done = not message.get("more_body", False)
        if self._seen > self._most:
            raise _too_long(self._most)
        return message


def _too_long_head(scope: Scope) -> Problem | None:
    """What arrives at once is not bounded by h11, which bounds what it must keep."""
    head = len(scope["raw_path"]) + len(scope["query_string"])
    if head + sum(len(name) + len(value) for name, value in scope["headers"]) <= MAX_HEAD:
        return None
    return Problem(
        431,
        f"the request's head is longer than {MAX_HEAD // 1024} KiB",
        "send long filters in the body of POST /api/v1/search",
        {"Connection": "close"},
    )


def _too_long(most: int) -> Problem:
    return Problem(
        413,
        f"the request's body is larger than {most // (1024 * 1024)} MiB",
        "send a smaller picture, or raise --max-upload-mb",
        {"Connection": "close"},
    )

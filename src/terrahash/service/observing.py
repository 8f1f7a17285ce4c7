"""What can be seen of a running service: metrics and a line a request, never a query's contents."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from terrahash.service import logs
from terrahash.service.problems import unforeseen

_log = logging.getLogger("terrahash.service.requests")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "terrahash_http_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "terrahash_http_request_seconds",
            "Time from request to the end of the answer.",
            ("route",),
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.search_seconds = Histogram(
            "terrahash_search_seconds",
            "Time of the archive's search alone, by kind of query.",
            ("kind",),
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.encode_seconds = Histogram(
            "terrahash_encode_seconds",
            "Time from an uploaded image to its code.",
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.under_way = Gauge(
            "terrahash_http_requests_under_way",
            "Requests that are being answered.",
            registry=self.registry,
        )
        self.tiles = Gauge("terrahash_archive_tiles", "Live tiles.", registry=self.registry)
        self.pending = Gauge(
            "terrahash_work_pending",
            "Work that runs or waits for a thread, by kind.",
            ("kind",),
            registry=self.registry,
        )
        self.registry.register(_Dropped())


class _Dropped(Collector):
    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "terrahash_log_lines_dropped",
            "Lines of the log that nobody took from standard error.",
            value=logs.dropped(),
        )


class Observe:
    """Counts, times and logs every request, and gives it an id; an ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number = uuid.uuid4().hex[:16]
        status = 500
        started_answer = False

        async def sending(message: Message) -> None:
            nonlocal status, started_answer
            if message["type"] == "http.response.start":
                started_answer = True
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = number
            await send(message)

        started = time.perf_counter()
        self._metrics.under_way.inc()
        try:
            await self._app(scope, receive, sending)
        except Exception:
            _log.exception("unforeseen fault", extra={"request_id": number})
            if started_answer:
                raise
            await unforeseen().response()(scope, receive, sending)
        finally:
            self._metrics.under_way.dec()
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", None) or "other"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(route, method, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            _log.info(
                "request",
                extra={
                    "request_id": number,
                    "method": method,
                    "route": route,
                    "status": status,
                    "milliseconds": round(seconds * 1000, 2),
                },
            )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

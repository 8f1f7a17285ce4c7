"""The ASGI application."""

from __future__ import annotations

import asyncio
import logging
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from terrahash import __version__
from terrahash.errors import TerrahashError
from terrahash.service import problems
from terrahash.service.access import Access
from terrahash.service.context import Service
from terrahash.service.headers import SecurityHeaders
from terrahash.service.limits import Limits
from terrahash.service.observing import Observe
from terrahash.service.routes import about, items, search
from terrahash.service.settings import Settings

STATIC = Path(__file__).parent / "static"
_log = logging.getLogger("terrahash.service")

for suffix, kind in ((".mjs", "text/javascript"), (".geojson", "application/geo+json")):
    mimetypes.add_type(kind, suffix)


def build(settings: Settings) -> FastAPI:
    """The application of an archive; it opens the archive when it is started."""
    service = Service.of(settings)
    app = FastAPI(
        title="terrahash",
        version=__version__,
        summary="Search remote-sensing tiles by what they look like.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.service = service
    problems.install(app)
    # A search and a tile come before what is said of them.
    for router in (search.router, items.router, about.api):
        app.include_router(router, prefix="/api/v1")
    app.include_router(about.router)
    app.add_api_route("/", _page, methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/static", GZipMiddleware(_Static(directory=STATIC)), name="static")
    # The last one added is met first.
    app.add_middleware(Limits, max_body=settings.max_body, max_requests=settings.max_requests)
    app.add_middleware(Access, settings=settings)
    app.add_middleware(Observe, metrics=service.metrics)
    app.add_middleware(SecurityHeaders, basemap_origin=settings.basemap_origin)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    warming = asyncio.create_task(_warm_up(service))
    try:
        yield
    finally:
        service.ready = "shutting down"
        await warming
        await asyncio.to_thread(service.close)


async def _warm_up(service: Service) -> None:
    try:
        await service.browse.run(service.warm_up)
    except TerrahashError as error:
        # Not the end: the archive may come, and each request looks again.
        _log.warning("the archive cannot be served yet", extra={"reason": error.message})
    finally:
        if service.ready == "starting":
            service.ready = None


async def _page() -> Response:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


class _Static(StaticFiles):
    """Files of the page, asked about anew each time, so that an upgrade shows at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response

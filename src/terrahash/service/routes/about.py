"""What is served, whether it is well, and how it fares."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from terrahash.errors import TerrahashError
from terrahash.service.access import COOKIE, SESSION_PATH, session_of
from terrahash.service.context import Running
from terrahash.service.facets import placed
from terrahash.service.problems import Problem, ProblemDocument
from terrahash.service.schemas import ArchiveAbout, EncoderAbout

router = APIRouter(tags=["service"])
api = APIRouter(tags=["service"])
_FAULTS = ProblemDocument.responses(401, 421, 501, 503)
# Of the encoder's card, what tells a user about it; the rest is for training.
_SHOWN = (
    "method", "variant", "backbone", "mode", "layout", "dataset", "split_hash", "seed",
    "validation", "precision_by_distance", "versions",
)  # fmt: skip


@api.get("/archive", response_model=ArchiveAbout, responses=_FAULTS)
async def archive(service: Running) -> JSONResponse:
    """What the archive is and holds."""

    def work() -> dict[str, Any]:
        opened = service.library.archive()
        info = opened.info().to_json()
        del info["path"]
        return {
            "name": "demo"
            if service.settings.demo
            else opened.path.absolute().name.removesuffix(".terrahash"),
            **info,
            "can_search_images": (opened.path / "encoder").is_dir(),
            "writable": service.settings.write_token is not None,
            "demo": service.settings.demo,
            "placed": placed(opened.snapshot()),
        }

    return JSONResponse(await service.browse.run(work))


@api.get("/encoder", response_model=EncoderAbout, responses=_FAULTS)
async def encoder(service: Running) -> JSONResponse:
    """The encoder that made the codes, and how precise its answers are at each distance."""

    def work() -> dict[str, Any]:
        kept = service.library.encoder(service.library.archive())
        shown = {name: kept.card[name] for name in _SHOWN if name in kept.card}
        return {"fingerprint": kept.fingerprint, "classes": list(kept.classes), **shown}

    return JSONResponse(await service.browse.run(work))


@api.get("/page")
async def page(service: Running) -> dict[str, Any]:
    """What the page needs to know before it asks for anything else."""
    return {
        "basemap": service.settings.basemap,
        "basemap_attribution": service.settings.basemap_attribution,
    }


@api.post(
    SESSION_PATH.removeprefix("/api/v1"), status_code=204, responses=ProblemDocument.responses(401)
)
async def session(service: Running, request: Request) -> Response:
    """Exchange the token for a cookie, so that the page can show pictures."""
    answer = Response(status_code=204)
    if service.settings.token is not None:
        answer.set_cookie(
            COOKIE,
            session_of(service.settings),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return answer


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the process lives."""
    return {"status": "ok"}


@router.get("/readyz", responses=ProblemDocument.responses(503))
async def readyz(service: Running) -> dict[str, Any]:
    """Whether searches can be answered now."""
    if service.ready is not None:
        raise Problem(503, service.ready, "wait a moment", {"Retry-After": "1"})
    try:
        opened = await service.search.run(service.library.archive)
    except TerrahashError as error:
        raise Problem(503, error.message, error.remedy, {"Retry-After": "5"}) from None
    return {"status": "ready", "version": opened.snapshot().state.version}


@router.get("/metrics", response_class=Response)
async def metrics(service: Running) -> Response:
    """Counters for Prometheus."""
    for gate in service.gates:
        service.metrics.pending.labels(gate.name).set(gate.pending)
    try:
        opened = await service.search.run(service.library.archive)
        service.metrics.tiles.set(len(opened.snapshot()))
    except (TerrahashError, Problem):
        service.metrics.tiles.set(float("nan"))
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

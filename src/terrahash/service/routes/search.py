"""``/api/v1/search`` and its kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import JSONResponse

from terrahash.archive import Snapshot
from terrahash.errors import InputError
from terrahash.service import searching
from terrahash.service.conditions import Filters, filters_of_query
from terrahash.service.context import Running, Service
from terrahash.service.problems import ProblemDocument
from terrahash.service.schemas import (
    DEFAULT_PAGE,
    MAX_HITS,
    MAX_ID,
    MAX_PAGE,
    Ranking,
    SearchAnswer,
    SearchRequest,
)
from terrahash.service.searching import Options, Question
from terrahash.service.uploads import read_uploads

router = APIRouter(tags=["search"])
_FAULTS = ProblemDocument.responses(401, 404, 408, 413, 421, 422, 501, 503)


async def options_of_query(
    filters: Annotated[Filters, Depends(filters_of_query)],
    k: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Hits on a page.")] = DEFAULT_PAGE,
    offset: Annotated[int, Query(ge=0, le=MAX_HITS, description="Hits to pass over.")] = 0,
    radius: Annotated[
        float | None, Query(ge=0, le=1e6, description="Largest distance in bits.")
    ] = None,
    ranking: Ranking = "asymmetric",
) -> Options:
    """How to search, given in the address."""
    return Options(k=k, offset=offset, radius=radius, plain=ranking == "plain", filters=filters)


OptionsOfQuery = Annotated[Options, Depends(options_of_query)]


@router.post("/search", response_model=SearchAnswer, responses=_FAULTS)
async def search(service: Running, wanted: SearchRequest) -> JSONResponse:
    """Search by a stored tile, a code, or examples of what is and is not wanted."""
    given = [name for name in ("id", "code", "examples") if getattr(wanted, name) is not None]
    if len(given) != 1:
        raise InputError(
            f"the search names {' and '.join(given) or 'nothing to look for'}",
            "give exactly one of id, code and examples",
        )
    options = Options(
        k=wanted.k,
        offset=wanted.offset,
        radius=wanted.radius,
        plain=wanted.ranking == "plain",
        filters=wanted.filters,
    )

    def question(snapshot: Snapshot) -> Question:
        if wanted.id is not None:
            return searching.of_id(snapshot, wanted.id)
        if wanted.code is not None:
            return searching.of_code(wanted.code, snapshot.layout)
        assert wanted.examples is not None  # noqa: S101 - one of three is given
        return searching.of_examples(snapshot, wanted.examples)

    return await _answered(service, question, options)


@router.post(
    "/search/image",
    response_model=SearchAnswer,
    responses=_FAULTS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {"image": {"type": "string", "format": "binary"}},
                    }
                },
                "image/*": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def search_image(
    service: Running,
    request: Request,
    options: OptionsOfQuery,
    preview: Annotated[bool, Query(description="Also draw what was seen of it.")] = False,
) -> JSONResponse:
    """Search by a picture: the field `image` of a form, or the bare file as the body.

    Send it once: further pages, filters and refinements take the answer's `query.code` and
    `query.magnitudes` to `POST /search`.
    """
    upload = (await read_uploads(request, most=1))[0]

    def encoded() -> Question:
        encoder = service.library.encoder(service.library.archive())
        most = service.settings.max_pixels
        return searching.of_image(upload.data, encoder, most, preview=preview)

    question = await service.encode.run(encoded)
    service.metrics.encode_seconds.observe(question.seconds)
    return await _answered(service, lambda _: question, options)


@router.get("/items/{number}/similar", response_model=SearchAnswer, responses=_FAULTS)
async def similar(
    service: Running,
    number: Annotated[int, Path(ge=0, le=MAX_ID)],
    options: OptionsOfQuery,
) -> JSONResponse:
    """Search by a stored tile, as a plain address."""
    return await _answered(service, lambda snapshot: searching.of_id(snapshot, number), options)


async def _answered(
    service: Service, question: Callable[[Snapshot], Question], options: Options
) -> JSONResponse:
    def work() -> dict[str, Any]:
        archive = service.library.archive()
        snapshot = archive.snapshot()
        return searching.answer(
            snapshot, question(snapshot), options, service.library.trust(archive)
        )

    lane = service.search if options.filters.empty else service.browse
    found = await lane.run(work)
    service.metrics.search_seconds.labels(found["query"]["kind"]).observe(
        found["milliseconds"]["search"] / 1000
    )
    return JSONResponse(found)

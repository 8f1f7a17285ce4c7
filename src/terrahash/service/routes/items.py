"""``/api/v1/items``: the tiles, their pictures and facets; adding and deleting."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import JSONResponse, Response

from terrahash.archive.filters import Filter
from terrahash.errors import InputError
from terrahash.service.access import check_write
from terrahash.service.conditions import Filters, filters_of_query
from terrahash.service.context import Running, Service
from terrahash.service.pictures import THUMBNAIL_SIDES, Picture
from terrahash.service.problems import ProblemDocument
from terrahash.service.schemas import (
    DEFAULT_PAGE,
    MAX_ID,
    MAX_NAMED,
    MAX_PAGE,
    Added,
    Deleted,
    Facets,
    Item,
    ItemPage,
    NewCodes,
)
from terrahash.service.searching import codes_of, described_record, records_of
from terrahash.service.uploads import read_uploads

router = APIRouter(tags=["tiles"])
_FAULTS = ProblemDocument.responses(401, 404, 421, 422, 503)
_WRITE_FAULTS = ProblemDocument.responses(401, 403, 404, 408, 413, 415, 421, 422, 501, 503, 507)
# Pictures that one request may bring.
MAX_PICTURES = 64
# A tile's picture changes only when the tile does, and then its ETag with it.
_CACHE = "private, max-age=600"

TileId = Annotated[int, Path(ge=0, le=MAX_ID)]
FiltersOfQuery = Annotated[Filters, Depends(filters_of_query)]


def _pictures(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {}}}, 304: {"description": "Unchanged"}, **_FAULTS}


async def _may_write(service: Running, request: Request) -> None:
    check_write(request.headers, service.settings)


@router.get("/items", response_model=ItemPage, responses=_FAULTS)
async def items(
    service: Running,
    filters: FiltersOfQuery,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    offset: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
    spread: Annotated[
        bool, Query(description="Tiles from all over the archive instead of the first ones.")
    ] = False,
) -> JSONResponse:
    """Tiles that meet the filters, in the order of their ids."""

    def work() -> dict[str, Any]:
        snapshot = service.library.archive().snapshot()
        ids = snapshot.ids(Filter.of(snapshot.kinds(), **filters.arguments()))
        step = max(1, len(ids) // limit) if spread else 1
        page = ids[offset * step :: step][:limit]
        codes = snapshot.codes(page)
        return {
            "items": [
                described_record(record, code)
                for record, code in zip(snapshot.records(page), codes, strict=True)
            ],
            "total": len(ids),
            "next_offset": offset + limit if offset + limit < len(ids) and not spread else None,
        }

    return JSONResponse(await service.browse.run(work))


@router.get("/facets", response_model=Facets, responses=_FAULTS)
async def facets(service: Running, filters: FiltersOfQuery) -> JSONResponse:
    """Classes, dates and extent of the tiles that meet the filters."""
    return JSONResponse(
        await service.browse.run(lambda: service.facets.count(service.library.archive(), filters))
    )


@router.get("/items/{number}", response_model=Item, responses=_FAULTS)
async def item(service: Running, number: TileId) -> JSONResponse:
    """One tile."""

    def work() -> dict[str, Any]:
        snapshot = service.library.archive().snapshot()
        record = records_of(snapshot, [number])[0]
        return described_record(record, codes_of(snapshot, [number])[0])

    return JSONResponse(await service.search.run(work))


@router.get(
    "/items/{number}/thumbnail",
    response_class=Response,
    responses=_pictures("image/jpeg"),
)
async def thumbnail(
    service: Running,
    request: Request,
    number: TileId,
    size: Annotated[int, Query(ge=1, le=THUMBNAIL_SIDES[-1])] = THUMBNAIL_SIDES[1],
) -> Response:
    """A small JPEG of a tile."""
    side = next(side for side in THUMBNAIL_SIDES if side >= size)
    return await _picture(service, request, number, side)


@router.get(
    "/items/{number}/image",
    response_class=Response,
    responses=_pictures("image/png"),
)
async def image(service: Running, request: Request, number: TileId) -> Response:
    """A tile at full resolution, as a PNG."""
    return await _picture(service, request, number, None)


async def _picture(service: Service, request: Request, number: int, side: int | None) -> Response:
    known = request.headers.get("if-none-match", "")

    def work() -> Picture | str:
        record = records_of(service.library.archive().snapshot(), [number])[0]
        etag = service.pictures.etag(record, side)
        return etag if etag in known else service.pictures.picture(record, side)

    made = await service.draw.run(work)
    headers = {"Cache-Control": _CACHE, "Vary": "Authorization, Cookie"}
    if isinstance(made, str):
        return Response(status_code=304, headers={"ETag": made, **headers})
    return Response(made.data, media_type=made.media_type, headers={"ETag": made.etag, **headers})


@router.post(
    "/items",
    status_code=201,
    response_model=Added,
    responses=_WRITE_FAULTS,
    dependencies=[Depends(_may_write)],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {
                            "image": {
                                "type": "array",
                                "maxItems": MAX_PICTURES,
                                "items": {"type": "string", "format": "binary"},
                            }
                        },
                    }
                },
                "image/*": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def add(
    service: Running,
    request: Request,
    label: Annotated[str | None, Query(max_length=500)] = None,
    datetime: Annotated[str | None, Query(max_length=40)] = None,
) -> JSONResponse:
    """Add pictures; they are kept in the archive's folder, and durable when this returns."""
    uploads = await read_uploads(request, most=MAX_PICTURES)

    def work() -> dict[str, Any]:
        encoder = service.library.encoder(service.library.archive())
        ids, skipped = service.writer.add_images(uploads, encoder, label=label, moment=datetime)
        return {"ids": ids, "skipped": skipped}

    done = await service.write.run(work)
    if not done["ids"]:
        raise InputError(
            f"no picture could be read: {done['skipped'][0]['reason']}", "send PNG, JPEG or TIFF"
        )
    return JSONResponse(done, status_code=201)


@router.post(
    "/items/codes",
    status_code=201,
    response_model=Added,
    responses=_WRITE_FAULTS,
    dependencies=[Depends(_may_write)],
)
async def add_codes(service: Running, new: NewCodes) -> JSONResponse:
    """Add or update tiles that bring their codes, known by ids of your own."""
    ids = await service.write.run(service.writer.add_codes, new.items)
    return JSONResponse({"ids": ids, "skipped": []}, status_code=201)


@router.delete(
    "/items",
    response_model=Deleted,
    responses=_WRITE_FAULTS,
    dependencies=[Depends(_may_write)],
)
async def delete(
    service: Running,
    number: Annotated[
        list[Annotated[int, Query(ge=0, le=MAX_ID)]],
        Query(alias="id", min_length=1, max_length=MAX_NAMED),
    ],
) -> JSONResponse:
    """Delete tiles; ids that are not there are passed over."""
    return JSONResponse({"deleted": await service.write.run(service.writer.delete, number)})

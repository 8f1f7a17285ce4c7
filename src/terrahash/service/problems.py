"""Errors on the wire: ``application/problem+json`` (RFC 9457) with a remedy."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from terrahash.errors import (
    ArchiveError,
    EncoderError,
    ImageError,
    InputError,
    MissingExtraError,
    TerrahashError,
)

MEDIA_TYPE = "application/problem+json"
# What is wrong with a request is said for this many of its parts.
SHOWN_FAULTS = 5

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# The first class that fits decides.
_STATUS: tuple[tuple[type[TerrahashError], int], ...] = (
    (ImageError, 422),
    (InputError, 422),
    (ArchiveError, 503),
    (EncoderError, 503),
    (MissingExtraError, 501),
)


class Problem(HTTPException):
    """An answer that is an error.

    Args:
        status: HTTP status.
        detail: what was wrong.
        remedy: what the caller can do about it.
        headers: to send along.
    """

    def __init__(
        self, status: int, detail: str, remedy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.remedy = remedy

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "detail": self.detail,
            "remedy": self.remedy,
        }

    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse(
            self.body(), self.status_code, headers=self.headers, media_type=MEDIA_TYPE
        )


def of_error(error: TerrahashError) -> Problem:
    """The problem that an error of terrahash is to a caller."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_SPACE:
        status = 507
    headers = {"Retry-After": "5"} if status == 503 else None
    return Problem(status, error.message, error.remedy, headers)


def busy(what: str) -> Problem:
    """Too much is being asked for at once."""
    return Problem(
        503, f"too many {what} at once", "try again in a second", headers={"Retry-After": "1"}
    )


def unforeseen() -> Problem:
    """The service's own fault."""
    return Problem(500, "the service met a fault of its own", "its log says more, by X-Request-Id")


def install(app: FastAPI) -> None:
    """Make every error of an application a problem."""

    @app.exception_handler(TerrahashError)
    async def _terrahash(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, TerrahashError)  # noqa: S101 - registered for this class
        return of_error(error).response()

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, Problem):
            return error.response()
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
        remedy = {
            404: "see /api/v1/openapi.json for what there is",
            405: "use a method that the Allow header names",
        }.get(error.status_code, "see /api/v1/openapi.json")
        return Problem(error.status_code, str(error.detail), remedy, error.headers).response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'][1:]) or 'body'}: {fault['msg']}"
            for fault in error.errors()[:SHOWN_FAULTS]
        ]
        return Problem(
            422, "; ".join(faults), "compare the request with /api/v1/openapi.json"
        ).response()


class ProblemDocument:
    """How problems are described in OpenAPI."""

    SCHEMA: Mapping[str, Any] = {
        "type": "object",
        "required": ["title", "status", "detail", "remedy"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "remedy": {"type": "string"},
        },
        "example": {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "id 7 is not in the archive",
            "remedy": "list ids with GET /api/v1/items",
        },
    }

    @classmethod
    def responses(cls, *statuses: int) -> dict[int | str, dict[str, Any]]:
        """OpenAPI's ``responses`` of an operation that can end in these ways."""
        return {
            status: {
                "description": HTTPStatus(status).phrase,
                "content": {MEDIA_TYPE: {"schema": dict(cls.SCHEMA)}},
            }
            for status in statuses
        }

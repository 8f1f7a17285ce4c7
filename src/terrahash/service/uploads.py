"""Pictures out of a request: the files of a form, or the body itself."""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from terrahash.errors import InputError
from terrahash.service.problems import Problem
from terrahash.service.writing import Upload

FIELD = "image"
MAX_FIELDS = 20
MAX_FIELD_BYTES = 64 * 1024
MAX_NAME = 200


async def read_uploads(request: Request, *, most: int) -> list[Upload]:
    """The pictures of a request, at least one.

    Raises:
        InputError: if there is none, or too many.
        Problem: if the body is no form and no picture.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        found = [Upload("body", await request.body())]
    elif kind == "multipart/form-data":
        try:
            async with request.form(
                max_files=most + 1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
            ) as form:
                found = [
                    Upload((part.filename or "")[:MAX_NAME], await part.read())
                    for part in form.getlist(FIELD)
                    if isinstance(part, UploadFile)
                ]
        except Problem:
            raise
        except HTTPException as error:
            raise InputError(
                f"the form cannot be read: {error.detail}", f"send a file as the field '{FIELD}'"
            ) from None
    else:
        raise Problem(
            415,
            "the body is no picture",
            f"send a form with the file as '{FIELD}', or the file itself as image/png",
        )
    found = [upload for upload in found if upload.data]
    if not found:
        raise InputError("there is no picture in the request", f"send a file as '{FIELD}'")
    if len(found) > most:
        raise InputError(f"more than {most} pictures", "send fewer at once")
    return found

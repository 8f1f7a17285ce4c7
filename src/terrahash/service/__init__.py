"""The service: an archive's search over HTTP, and its page. Needs the extra ``serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from terrahash.errors import MissingExtraError
from terrahash.service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Settings", "create_app", "serve"]


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application of an archive.

    Raises:
        MissingExtraError: if the packages of the extra ``serve`` are not installed.
    """
    _check_extra()
    from terrahash.service.app import build

    return build(settings)


def serve(settings: Settings, **hooks: Any) -> None:
    """Run the service until it is told to stop; see :func:`terrahash.service.server.run`.

    Raises:
        MissingExtraError: if the packages of the extra ``serve`` are not installed.
        InputError: if the address cannot be used.
    """
    _check_extra()
    from terrahash.service.server import run

    run(settings, **hooks)


def _check_extra() -> None:
    import importlib.util

    for name in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError("the service", "serve", name)

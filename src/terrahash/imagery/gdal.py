"""GDAL behind a fence: named drivers, no files beside the one asked for, no unasked network."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from terrahash.errors import ImageError, MissingExtraError
from terrahash.imagery.quiet import quiet
from terrahash.imagery.sources import gdal_name, is_remote, path_of

# Formats that GDAL may open. Everything else stays closed, above all VRT and other formats that
# point at further files or addresses.
DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG", "WEBP")
# Decoded blocks that GDAL keeps, MiB: a row of blocks of a wide scene. Its own default is a share
# of the machine's memory.
CACHE_MIB = 128

CONNECT_SECONDS = 10
# A transfer that brings less than a byte a second for this long is given up and tried again.
STALL_SECONDS = 15
REQUEST_SECONDS = 60
RETRIES = 4
RETRY_DELAY_SECONDS = 0.5

_LOCAL = {
    # No .ovr, .msk, .aux.xml, world files: they may be of any format and point anywhere.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_CACHEMAX": CACHE_MIB,
    "GDAL_NUM_THREADS": 1,
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    # GDAL reaches the network only through a file name that equals this.
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "/vsicurl/none",
}
_REMOTE = {
    "GDAL_HTTP_CONNECTTIMEOUT": CONNECT_SECONDS,
    "GDAL_HTTP_TIMEOUT": REQUEST_SECONDS,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
    "GDAL_HTTP_LOW_SPEED_TIME": STALL_SECONDS,
    "GDAL_HTTP_MAX_RETRY": RETRIES,
    "GDAL_HTTP_RETRY_DELAY": RETRY_DELAY_SECONDS,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "GDAL_HTTP_MAX_CACHED_CONNECTIONS": 4,
    "GDAL_HTTP_MAX_TOTAL_CONNECTIONS": 4,
}
_registering = threading.Lock()


def rasterio() -> Any:
    """The rasterio module.

    Raises:
        MissingExtraError: if the extra ``geo`` is not installed.
    """
    try:
        # Its first import registers all drivers, which two threads must not do at once.
        with _registering:
            import rasterio
    except ModuleNotFoundError:
        raise MissingExtraError("reading scenes", "geo", "rasterio") from None
    return rasterio


@contextmanager
def opened(source: str | Path, *, overview: int | None = None) -> Iterator[Any]:
    """Open a raster for reading on this thread.

    Args:
        source: a file, or an http, https or s3 address.
        overview: level of an overview in place of the full resolution.

    Yields:
        A ``rasterio.DatasetReader``; what fails while it is used becomes an ``ImageError``.

    Raises:
        ImageError: if it cannot be opened or read.
        MissingExtraError: if rasterio is not installed.
    """
    module = rasterio()
    options = dict(_LOCAL)
    name = gdal_name(source)
    if is_remote(source):
        options |= _REMOTE
        options["CPL_VSIL_CURL_ALLOWED_FILENAME"] = name
    descriptor = None
    try:
        if not is_remote(source) and not _is_text(name):
            descriptor = os.open(path_of(source), os.O_RDONLY)
            name = f"/dev/fd/{descriptor}"
        with module.Env(**options):
            levels = {} if overview is None else {"overview_level": overview}
            with quiet():
                dataset = module.io.DatasetReader(name, driver=list(DRIVERS), **levels)
            with dataset:
                _check_overviews(dataset, source)
                yield dataset
    except PermissionError:
        raise ImageError(f"{source}: permission denied", "make the file readable") from None
    except (module.errors.RasterioError, module._err.CPLE_BaseError, OSError, ValueError) as error:
        raise ImageError(
            f"{source}: cannot be read as a scene ({_reason(error, name)})",
            "fetch or export it again, or leave it out",
        ) from None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _check_overviews(dataset: Any, source: str | Path) -> None:
    """Refuse a file that names another file as its overviews: GDAL would open that, any format."""
    if dataset.tags(ns="OVERVIEWS"):
        raise ImageError(
            f"{source}: points at other files for its overviews", "build them into the file"
        )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: BaseException, name: str) -> str:
    cause = error.__cause__ or error.__context__ or error
    text = " ".join(str(cause).split()).replace(f"'{name}'", "it").replace(name, "it")
    return text[:200] or type(error).__name__

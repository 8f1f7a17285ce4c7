"""What a source is: the text by which an archive knows where a tile's pixels are."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from terrahash.errors import ImageError

REMOTE_SCHEMES = ("http", "https", "s3")


def is_remote(source: str | Path) -> bool:
    """Whether a source is an address that the user gave, to be read over the network."""
    return isinstance(source, str) and urlsplit(source).scheme in REMOTE_SCHEMES and "://" in source


def source_of(path: Path) -> str:
    """The text that stands for a file: its path, or a ``file:`` address if that is no UTF-8."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return path.absolute().as_uri()
    return text


def path_of(source: str | Path) -> Path:
    """The file that a local source stands for, the inverse of :func:`source_of`."""
    if isinstance(source, Path):
        return source
    if source.startswith("file:"):
        return Path(os.fsdecode(unquote_to_bytes(urlsplit(source).path)))
    return Path(source)


def gdal_name(source: str | Path) -> str:
    """What GDAL calls a source. Only an address leads to the network, and only to itself.

    Raises:
        ImageError: if a local path looks like one of GDAL's own file systems.
    """
    if is_remote(source):
        text = str(source)
        scheme, rest = text.split("://", 1)
        return f"/vsis3/{rest}" if scheme == "s3" else f"/vsicurl/{text}"
    name = str(path_of(source).absolute())
    if name.startswith("/vsi"):
        raise ImageError(
            f"{source}: paths that begin with /vsi are not opened", "give a file or an address"
        )
    return name

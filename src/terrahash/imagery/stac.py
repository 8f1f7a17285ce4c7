"""Scenes listed in STAC: items, item collections and static catalogues, in files or on http."""

from __future__ import annotations

import json
import time
import urllib.error
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from terrahash.errors import ImageError, MissingExtraError
from terrahash.imagery.bands import Bands
from terrahash.imagery.layers import Layer
from terrahash.imagery.sources import is_remote, path_of
from terrahash.imagery.stac_bands import chosen_layers
from terrahash.web import http_opener

# Larger than any page of a catalogue; the documents are held in memory one at a time.
MAX_DOCUMENT_BYTES = 64 << 20
# A catalogue that leads on and on ends here.
MAX_DOCUMENTS = 200_000
TIMEOUT_SECONDS = 20.0
ATTEMPTS = 4
RETRY_SECONDS = 0.5

SUFFIXES = (".json", ".geojson")

OnError = Callable[[str, str], None]


@dataclass(frozen=True)
class Asset:
    """What a STAC item names that can be indexed.

    Attributes:
        href: path or address of a raster; the first of them where several make a scene.
        item: id of the item.
        collection: that it belongs to, or None.
        datetime: when it was taken, ISO 8601, or the start of its time range.
        properties: of the item: texts, numbers and truth values, by name.
        layers: its bands, where they lie in several rasters or the item says more of them than the
            raster itself.
        mask: path or address of the asset that shows what hides the ground.
    """

    href: str
    item: str
    collection: str | None = None
    datetime: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    mask: str | None = None


def is_stac(source: str | Path) -> bool:
    """Whether a source that a user named is a STAC document, going by its name."""
    place = urlsplit(str(source)).path if is_remote(source) else str(path_of(source))
    return place.lower().endswith(SUFFIXES)


def assets(
    source: str | Path,
    name: str | None,
    on_error: OnError,
    expected: Bands | None = None,
    *,
    bands: Sequence[str] = (),
    mask: str | None = None,
) -> Iterator[Asset]:
    """The assets that a STAC document leads to, catalogues followed to their ends.

    A document that was read over http leads to addresses only, never to this machine's files.

    Args:
        source: path or http(s) address of an item, item collection, catalogue or collection.
        name: of the asset in each item, or of several with a comma between; None for those that
            hold the bands wanted, or else the one that shows the scene to the eye.
        on_error: told of each document or item that cannot be used, by name and reason.
        expected: what the encoder takes; None for RGB.
        bands: that the user chose by name.
        mask: name of the asset that shows what hides the ground.

    Raises:
        MissingExtraError: if pystac is not installed.
    """
    pystac = _pystac()
    start = str(source) if is_remote(source) else str(path_of(source).absolute())
    waiting = deque([start])
    seen = {start}
    while waiting:
        href = waiting.popleft()
        try:
            document = _document(href)
            items, links = _contents(document)
        except ImageError as error:
            on_error(href, error.message.removeprefix(f"{href}: "))
            continue
        for item in items:
            label = str(item.get("id", href)) if isinstance(item, dict) else href
            try:
                yield _asset(pystac, item, href, name, expected, bands, mask)
            except ImageError as error:
                on_error(f"{href} item {label!r}", error.message)
        for link in links:
            try:
                target = pystac.utils.make_absolute_href(link, href)
                escapes = is_remote(href) and not is_remote(target)
            except ValueError as error:
                on_error(href, f"leads to {link!r:.200}, which is no address ({error})")
                continue
            if target in seen:
                continue
            if escapes:
                on_error(href, f"leads to {target}, which is no address")
            elif len(seen) >= MAX_DOCUMENTS:
                on_error(href, f"leads beyond the limit of {MAX_DOCUMENTS} documents")
                break
            else:
                seen.add(target)
                waiting.append(target)


def _pystac() -> Any:
    try:
        import pystac
        import pystac.utils
    except ModuleNotFoundError:
        raise MissingExtraError("reading STAC", "geo", "pystac") from None
    return pystac


def _contents(document: Any) -> tuple[list[Any], list[str]]:
    """Items within a document, and the documents that it leads to."""
    kind = document.get("type") if isinstance(document, dict) else None
    if kind == "Feature":
        return [document], []
    links = document.get("links", []) if isinstance(document, dict) else []
    if kind == "FeatureCollection" and isinstance(document.get("features"), list):
        return document["features"], _links(links, ("next",))
    if kind in ("Catalog", "Collection"):
        return [], _links(links, ("item", "items", "child", "next"))
    raise ImageError("no STAC item, item collection, catalogue or collection", "")


def _links(links: Any, wanted: tuple[str, ...]) -> list[str]:
    return [
        link["href"]
        for link in (links if isinstance(links, list) else [])
        if isinstance(link, dict)
        and link.get("rel") in wanted
        and isinstance(link.get("href"), str)
        and link.get("method", "GET") == "GET"
    ]


def _asset(
    pystac: Any,
    data: Any,
    href: str,
    name: str | None,
    expected: Bands | None,
    bands: Sequence[str],
    mask: str | None,
) -> Asset:
    def target(asset: Any) -> str:
        found: str = pystac.utils.make_absolute_href(asset.href, href)
        if is_remote(href) and not is_remote(found):
            raise ImageError(f"its asset {found} is no address", "")
        if not is_remote(found) and "://" in found and not found.startswith("file:"):
            raise ImageError(f"its asset {found} is neither a file nor http, https or s3", "")
        return found

    try:
        item = pystac.Item.from_dict(data, href=href)
        layers = chosen_layers(item, name, expected, bands, target)
        veil = target(item.assets[mask]) if mask in item.assets else None
        taken = item.datetime or item.common_metadata.start_datetime
        properties = {
            key: value
            for key, value in item.properties.items()
            if isinstance(value, (str, int, float)) and key != "datetime"
        }
        moment = None if taken is None else taken.isoformat()
        told = len(layers) > 1 or any(
            value is not None for value in (layers[0].scale, layers[0].offset, layers[0].nodata)
        )
        return Asset(
            layers[0].source,
            str(item.id),
            item.collection_id,
            moment,
            properties,
            tuple(layers) if told else (),
            veil,
        )
    except (
        pystac.STACError,
        pystac.STACTypeError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise ImageError(f"no valid STAC item ({error!s:.200})", "") from None


def _document(href: str) -> Any:
    try:
        content = _fetched(href) if is_remote(href) else _file(path_of(href))
        return json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise ImageError(f"{href}: cannot be read as JSON ({error!s:.200})", "") from None


def _file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(MAX_DOCUMENT_BYTES + 1))


def _bounded(content: bytes) -> bytes:
    if len(content) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"larger than {MAX_DOCUMENT_BYTES} bytes")
    return content


def _fetched(address: str) -> bytes:
    if not address.startswith(("http://", "https://")):
        raise ValueError("STAC documents are read from files, http and https")
    for attempt in range(ATTEMPTS):
        try:
            with http_opener().open(address, timeout=TIMEOUT_SECONDS) as answer:
                return _bounded(answer.read(MAX_DOCUMENT_BYTES + 1))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 or attempt == ATTEMPTS - 1:
                raise
        except (OSError, EOFError):
            if attempt == ATTEMPTS - 1:
                raise
        time.sleep(RETRY_SECONDS * 2**attempt)
    raise OSError("no answer")

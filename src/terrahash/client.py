"""A service of ``terrahash serve`` as seen from Python: the same ``search`` as a local archive."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import ArchiveError, ImageError, InputError

if TYPE_CHECKING:
    from terrahash.archive import Hits, Record
    from terrahash.archive.snapshot import Snapshot

TIMEOUT_SECONDS = 60.0
DEFAULT_K = 20
# Hits that the service gives out in one answer, and for one query.
PAGE = 1000
MOST = 10_000


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the address that it was given for, and to no other."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


class Client:
    """A service that answers like an archive; see :func:`connect`.

    Args:
        url: of the service, such as ``http://127.0.0.1:8000``.
        token: where the service asks for one.
        timeout: seconds to wait for an answer.

    Raises:
        InputError: if the address is none of HTTP.
    """

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(f"{url!r} is no address", "write it as http://127.0.0.1:8000")
        self.url = url.rstrip("/")
        self._token = token
        self._timeout = timeout

    def __len__(self) -> int:
        return int(self.info()["tiles"])

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def info(self) -> dict[str, Any]:
        """What the archive is and holds, as ``GET /api/v1/archive`` says it."""
        found: dict[str, Any] = self._ask("GET", "archive")
        return found

    def records(self, ids: Sequence[int]) -> list[Record]:
        """What is known of tiles.

        Raises:
            InputError: if an id is not in the archive.
        """
        return [_record(self._ask("GET", f"items/{int(number)}")) for number in ids]

    def search(
        self,
        query: str | Path | int | NDArray[np.uint8],
        k: int | None = DEFAULT_K,
        *,
        radius: float | None = None,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        after: Any = None,
        before: Any = None,
        ties: bool = False,
        asymmetric: bool = True,
    ) -> Hits:
        """The tiles that look most like an image or a tile; see :meth:`terrahash.Archive.search`.

        Args:
            query: an image file of this machine, an ``(H, W, 3) uint8`` RGB array, or an id.
            k, radius, where, bbox, after, before, ties, asymmetric: as of a local archive, but no
                more than 10,000 hits.

        Raises:
            InputError: if an argument is wrong, or there is no such id.
            ImageError: if the image cannot be read.
            ArchiveError: if the service cannot be reached or cannot answer now.
        """
        if k is None and radius is None:
            raise InputError("neither k nor radius is given", "say how many hits or how near")
        if k is not None and not 1 <= k <= MOST:
            raise InputError(f"k is {k}", f"ask for 1 to {MOST} hits")
        asked: dict[str, Any] = {
            "radius": radius,
            "ranking": "asymmetric" if asymmetric else "plain",
            "filters": {
                "where": where,
                "bbox": None if bbox is None else [float(side) for side in bbox],
                "after": None if after is None else str(after),
                "before": None if before is None else str(before),
            },
        }
        name: str | None
        if isinstance(query, (int, np.integer)):
            asked["id"], name = int(query), f"id {int(query)}"
        else:
            asked["image"] = _encoded(query)
            name = None if isinstance(query, np.ndarray) else str(query)
        hits: list[dict[str, Any]] = []
        answer = self._pages(asked, hits, MOST if k is None else k)
        more = answer["next_offset"] is not None
        if ties and more:
            missing = answer["ties_at_last_distance"] - sum(
                _rank(h) == _rank(hits[-1]) for h in hits
            )
            if missing:
                answer = self._pages(asked, hits, min(len(hits) + missing, MOST))
        if len(hits) == MOST and k != MOST:
            raise InputError(
                f"{self.url} gives out no more than {MOST} hits, and there may be more",
                "narrow the radius or the filters",
            )
        return _hits(name, hits, answer)

    def _pages(
        self, asked: dict[str, Any], hits: list[dict[str, Any]], wanted: int
    ) -> dict[str, Any]:
        """Append hits until there are as many as wanted, or all; gives the last answer.

        An image is sent once; from then on its code stands for it in what is asked.
        """
        while True:
            image = asked.pop("image", None)
            page = {**asked, "k": min(PAGE, wanted - len(hits)), "offset": len(hits)}
            answer: dict[str, Any]
            if image is None:
                answer = self._ask("POST", "search", json.dumps(page).encode())
            else:
                answer = self._ask("POST", f"search/image?{_address(page)}", image, "octet-stream")
                query = answer["query"]
                asked["code"] = {"hex": query["code"], "magnitudes": query["magnitudes"]}
            hits += answer["hits"]
            if answer["next_offset"] is None or len(hits) >= wanted:
                return answer

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "json") -> Any:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            f"{self.url}/api/v1/{path}", data=body, method=method
        )
        if body is not None:
            request.add_header("Content-Type", f"application/{kind}")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with _opener.open(request, timeout=self._timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise _raised(error) from None
        except (OSError, ValueError) as error:
            raise ArchiveError(
                f"{self.url} does not answer: {error}", "see whether the service runs there"
            ) from None


def connect(url: str, token: str | None = None, *, timeout: float = TIMEOUT_SECONDS) -> Client:
    """A service of ``terrahash serve``, to be searched like a local archive.

    ::

        archive = terrahash.connect("http://127.0.0.1:8000")
        hits = archive.search("query.tif", k=20, where="label = 'harbour'")

    Args:
        url: its address.
        token: where it asks for one.
        timeout: seconds to wait for an answer.

    Raises:
        InputError: if the address is none of HTTP.
    """
    return Client(url, token, timeout=timeout)


def _address(page: dict[str, Any]) -> str:
    """Options of a search as they are written in an address."""
    filters = dict(page["filters"])
    if filters["bbox"] is not None:
        filters["bbox"] = ",".join(map(str, filters["bbox"]))
    flat = {**page, **filters, "filters": None}
    return urllib.parse.urlencode({name: one for name, one in flat.items() if one is not None})


def _rank(hit: dict[str, Any]) -> tuple[Any, Any]:
    return hit["score"], hit["distance"]


def _encoded(query: str | Path | NDArray[np.uint8]) -> bytes:
    if isinstance(query, np.ndarray):
        from PIL import Image

        if query.dtype != np.uint8 or query.ndim != 3 or query.shape[2] != 3:
            raise InputError(
                f"the query is {query.dtype} of shape {query.shape}", "give (H, W, 3) uint8 RGB"
            )
        buffer = io.BytesIO()
        Image.fromarray(query).save(buffer, "PNG")
        return buffer.getvalue()
    try:
        return Path(query).read_bytes()
    except OSError as error:
        raise ImageError(f"{query}: {error.strerror}", "check the path") from None


def _raised(error: urllib.error.HTTPError) -> Exception:
    try:
        problem = json.load(error)
        message, remedy = str(problem["detail"]), str(problem["remedy"])
    except (ValueError, KeyError, TypeError):
        message, remedy = f"status {error.code}", "see whether this is a terrahash service"
    kind = InputError if error.code in (400, 401, 403, 404, 413, 415, 422) else ArchiveError
    return kind(message, remedy)


class _Described:
    """Stands where a local archive's hits have its state: it knows the records that came along."""

    def __init__(self, records: dict[int, Record]) -> None:
        self._records = records

    def records(self, ids: NDArray[np.int64]) -> list[Record]:
        return [self._records[number] for number in ids.tolist()]


def _hits(name: str | None, hits: Sequence[dict[str, Any]], answer: dict[str, Any]) -> Hits:
    from terrahash.archive import Hits

    scored = answer.get("ranking") == "asymmetric"
    return Hits(
        query=name,
        ids=np.array([hit["id"] for hit in hits], np.int64),
        distances=np.array([hit["distance"] for hit in hits], np.float32),
        scores=np.array([hit["score"] for hit in hits], np.float32) if scored else None,
        ties_at_last_distance=int(answer.get("ties_at_last_distance", 0)),
        explain={"milliseconds": answer.get("milliseconds", {})},
        _snapshot=cast("Snapshot", _Described({hit["id"]: _record(hit) for hit in hits})),
    )


def _record(data: dict[str, Any]) -> Record:
    from terrahash.archive import Record

    plain = ("id", "user_id", "source", "label", "predicted_label", "confidence", "datetime")
    return Record(
        **{name: data[name] for name in plain},
        bbox=None if data["bbox"] is None else tuple(data["bbox"]),
        window=None if data["window"] is None else tuple(data["window"]),
        columns=data["columns"],
    )

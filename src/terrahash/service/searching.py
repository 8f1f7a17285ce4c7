"""From a request to an answer: finding the query's code, searching, describing the hits."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import Record, Snapshot
from terrahash.archive.filters import Filter
from terrahash.archive.found import Found
from terrahash.archive.inputs import query_rendered
from terrahash.archive.pixels import shown_channels
from terrahash.codes import CodeLayout, check_codes
from terrahash.errors import InputError
from terrahash.search.refine import refine
from terrahash.service.conditions import Filters
from terrahash.service.pictures import data_address
from terrahash.service.problems import Problem
from terrahash.service.schemas import MAX_HITS, Code, Examples

if TYPE_CHECKING:
    from terrahash.encoder import Encoder
    from terrahash.evaluation.trust import TrustCurve


@dataclass(frozen=True)
class Question:
    """What to look for.

    Attributes:
        kind: ``image``, ``id``, ``code`` or ``examples``.
        code: ``(nbytes,) uint8``.
        magnitudes: ``(bits,) float32`` or None.
        id: of the tile, where the query is one.
        predicted_label: of an image.
        confidence: of that.
        preview: ``data:`` address of a small JPEG of an image, where it was asked for.
        seconds: that finding the code took.
    """

    kind: str
    code: NDArray[np.uint8]
    magnitudes: NDArray[np.float32] | None = None
    id: int | None = None
    predicted_label: str | None = None
    confidence: float | None = None
    preview: str | None = None
    seconds: float = 0.0

    def described(self) -> dict[str, Any]:
        """As the answer tells it."""
        return {
            "kind": self.kind,
            "id": self.id,
            "code": self.code.tobytes().hex(),
            "magnitudes": None if self.magnitudes is None else self.magnitudes.tolist(),
            "predicted_label": self.predicted_label,
            "confidence": self.confidence,
            "preview": self.preview,
        }


@dataclass(frozen=True)
class Options:
    """How to look for it; see :class:`terrahash.service.schemas.SearchRequest`."""

    k: int
    offset: int
    radius: float | None
    plain: bool
    filters: Filters

    def __post_init__(self) -> None:
        if self.offset + self.k > MAX_HITS:
            raise InputError(
                f"hits beyond rank {MAX_HITS} are not given out", "narrow the filters instead"
            )


def of_image(data: bytes, encoder: Encoder, max_pixels: int, *, preview: bool = False) -> Question:
    """The question that an encoded image is; it is read as the command line reads a file.

    Args:
        data: the file.
        encoder: of the archive.
        max_pixels: largest width × height that is decoded.
        preview: also draw what was seen.

    Raises:
        ImageError: if it cannot be read within the limits.
    """
    started = time.perf_counter()
    pixels, rendering = query_rendered(data, encoder.preprocessing.bands, max_pixels=max_pixels)
    encoded = encoder.encode_image(pixels)
    label, confidence = None, None
    if encoded.labels is not None and encoded.confidences is not None:
        label = encoder.classes[int(encoded.labels[0])]
        confidence = float(encoded.confidences[0])
    seconds = time.perf_counter() - started
    return Question(
        "image",
        encoded.codes[0],
        encoded.magnitudes[0],
        predicted_label=label,
        confidence=confidence,
        preview=data_address(shown_channels(pixels, rendering)) if preview else None,
        seconds=seconds,
    )


def of_id(snapshot: Snapshot, number: int) -> Question:
    """The question "what is like this tile".

    Raises:
        Problem: if there is no such tile.
    """
    record = records_of(snapshot, [number])[0]
    return Question(
        "id",
        codes_of(snapshot, [number])[0],
        id=number,
        predicted_label=record.predicted_label,
        confidence=record.confidence,
    )


def of_code(code: Code, layout: CodeLayout) -> Question:
    """The question that a code is.

    Raises:
        InputError: if it is none of this layout.
    """
    return Question("code", *_parsed(code, layout))


def of_examples(snapshot: Snapshot, examples: Examples) -> Question:
    """The question "what is like these and unlike those".

    Raises:
        InputError: if there is nothing to be like.
        Problem: if a tile is not there.
    """
    if not examples.positive and examples.code is None:
        raise InputError("no positive example", "name a tile, or the query's code, to be like")
    query, magnitudes = (
        (None, None) if examples.code is None else _parsed(examples.code, snapshot.layout)
    )
    refined = refine(
        snapshot.layout,
        query=None if query is None else query[None],
        magnitudes=magnitudes,
        positives=codes_of(snapshot, examples.positive),
        negatives=codes_of(snapshot, examples.negative),
    )
    return Question("examples", refined.code[0], refined.magnitudes[0])


def _parsed(code: Code, layout: CodeLayout) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    packed = packed_code(code.hex, layout)
    if code.magnitudes is None:
        return packed, None
    if len(code.magnitudes) != layout.bits:
        raise InputError(
            f"{len(code.magnitudes)} magnitudes for {layout.bits} bits", "give one for each bit"
        )
    return packed, np.array(code.magnitudes, np.float32)


def packed_code(text: str, layout: CodeLayout) -> NDArray[np.uint8]:
    """``(nbytes,) uint8`` of a code in hexadecimal.

    Raises:
        InputError: if it does not fit the layout.
    """
    if len(text) != 2 * layout.nbytes:
        raise InputError(
            f"a code of {len(text)} hexadecimal digits, expected {2 * layout.nbytes} for "
            f"{layout.bits} bits",
            "use codes of the archive's encoder",
        )
    packed = np.frombuffer(bytes.fromhex(text), np.uint8)
    check_codes(packed[None], layout, "the code")
    return packed


def answer(
    snapshot: Snapshot, question: Question, options: Options, trust: TrustCurve | None
) -> dict[str, Any]:
    """Search and describe one page of hits; see :class:`terrahash.service.schemas.SearchAnswer`."""
    wanted = options.offset + options.k
    magnitudes = None
    if question.magnitudes is not None and not options.plain:
        magnitudes = question.magnitudes[None]
    started = time.perf_counter()
    found = snapshot.search(
        question.code[None],
        k=wanted,
        radius=options.radius,
        condition=Filter.of(snapshot.kinds(), **options.filters.arguments()),
        magnitudes=magnitudes,
    )[0]
    searched = time.perf_counter()
    page = _described(snapshot, found, options.offset, trust)
    return {
        "query": question.described(),
        "ranking": "plain" if magnitudes is None else "asymmetric",
        "hits": page,
        "ties_at_last_distance": found.ties,
        "next_offset": wanted if len(found.ids) == wanted and wanted < MAX_HITS else None,
        "archive_version": snapshot.state.version,
        "milliseconds": {
            "encode": round(question.seconds * 1000, 3),
            "search": round((searched - started) * 1000, 3),
            "describe": round((time.perf_counter() - searched) * 1000, 3),
        },
    }


def _described(
    snapshot: Snapshot, found: Found, offset: int, trust: TrustCurve | None
) -> list[dict[str, Any]]:
    """Hits from an offset on, with codes and the expected precision at each distance."""
    ids = found.ids[offset:]
    distances = found.distances[offset:].tolist()
    scores = [None] * len(ids) if found.scores is None else found.scores[offset:].tolist()
    precision = {distance: trust.at(distance) if trust else None for distance in set(distances)}
    return [
        {
            "rank": offset + position + 1,
            "distance": distance,
            "score": score,
            "precision": precision[distance],
            **described_record(record, code),
        }
        for position, (record, code, distance, score) in enumerate(
            zip(snapshot.records(ids), snapshot.codes(ids), distances, scores, strict=True)
        )
    ]


def described_record(record: Record, code: NDArray[np.uint8]) -> dict[str, Any]:
    """A tile as JSON."""
    data = record.to_json()
    data["columns"] = {name: _finite(value) for name, value in data["columns"].items()}
    return {**data, "code": code.tobytes().hex()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def records_of(snapshot: Snapshot, ids: Sequence[int]) -> list[Record]:
    """What is known of tiles.

    Raises:
        Problem: if one is not there.
    """
    try:
        return snapshot.records(np.array(ids, np.int64))
    except InputError as error:
        raise _absent(error) from None


def codes_of(snapshot: Snapshot, ids: Sequence[int]) -> NDArray[np.uint8]:
    """``(n, nbytes) uint8`` codes of tiles.

    Raises:
        Problem: if one is not there.
    """
    try:
        return snapshot.codes(np.array(ids, np.int64))
    except InputError as error:
        raise _absent(error) from None


def _absent(error: InputError) -> Problem:
    return Problem(404, error.message, "list ids with GET /api/v1/items")

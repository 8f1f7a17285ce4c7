"""Tiles that show the same: groups of equal codes, checked by their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrahash.archive.pixels import tile_image
from terrahash.errors import InputError, TerrahashError
from terrahash.progress import Reporter, Silent

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive
    from terrahash.archive.hits import Record

# Tiles are compared as pictures of so many pixels a side: recompression and a pixel's shift hardly
# show there, another place does.
SIDE = 32
# Mean difference of the 8-bit values up to which two pictures show the same.
TOLERANCE = 3.0
# Tiles whose records are looked up together.
LOOKUP = 4096

STAGE = "comparing"


@dataclass(frozen=True)
class Duplicates:
    """Tiles that show the same.

    Attributes:
        ids: ascending.
        sources: of each, with its window where it has one.
        difference: largest mean difference from the first one, in 8-bit steps.
        identical: whether all have exactly the same pixels.
    """

    ids: tuple[int, ...]
    sources: tuple[str, ...]
    difference: float
    identical: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return {
            "ids": list(self.ids),
            "sources": list(self.sources),
            "difference": round(self.difference, 3),
            "identical": self.identical,
        }


@dataclass
class DuplicateReport:
    """What :func:`find_duplicates` found.

    Attributes:
        groups: in the order of their first ids.
        same_code: tiles that share their code with another one.
        unreadable: ids of those whose pixels could not be read, so that nothing is known.
    """

    groups: list[Duplicates] = field(default_factory=list)
    same_code: int = 0
    unreadable: list[int] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return {
            "groups": [group.to_json() for group in self.groups],
            "duplicates": sum(len(group.ids) - 1 for group in self.groups),
            "same_code": self.same_code,
            "unreadable": self.unreadable,
        }


def find_duplicates(
    archive: Archive,
    *,
    tolerance: float = TOLERANCE,
    where: str | None = None,
    reporter: Reporter | None = None,
) -> DuplicateReport:
    """Groups of tiles that show the same, to be mended before a data set is divided.

    Only tiles with equal codes are compared, which a good encoder gives to equal pictures; their
    pixels decide. Each tile joins the first group whose first tile it resembles. Addresses are not
    fetched.

    Args:
        archive: to look into.
        tolerance: mean difference of 8-bit values up to which tiles of 32 × 32 averaged pixels
            are the same; 0 for exactly the same averages.
        where: a condition on the tiles.
        reporter: is told of the progress.

    Raises:
        InputError: if an argument is wrong.
    """
    if not tolerance >= 0:
        raise InputError(f"a tolerance of {tolerance} is not possible", "give 0 or more")
    reporter = reporter or Silent()
    ids = archive.ids(where=where)
    groups = _equal(ids, archive.codes(ids))
    report = DuplicateReport(same_code=sum(map(len, groups)))
    done = 0
    for records in _records(archive, groups):
        report.groups += _alike(records, tolerance, report.unreadable)
        done += len(records)
        reporter.advance(STAGE, done, report.same_code)
    report.groups.sort(key=lambda group: group.ids)
    return report


def _equal(ids: NDArray[np.int64], codes: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """Ids of tiles with equal codes, two or more at a time."""
    if len(ids) < 2:
        return []
    whole = np.ascontiguousarray(codes).view(np.dtype((np.void, codes.shape[1]))).ravel()
    order = np.argsort(whole, kind="stable")
    ends = np.flatnonzero(whole[order[1:]] != whole[order[:-1]]) + 1
    return [ids[part] for part in np.split(order, ends) if len(part) > 1]


def _records(archive: Archive, groups: Sequence[NDArray[np.int64]]) -> Iterator[list[Record]]:
    batch: list[NDArray[np.int64]] = []
    for number, group in enumerate(groups, start=1):
        batch.append(group)
        if sum(map(len, batch)) < LOOKUP and number < len(groups):
            continue
        records = archive.records(np.concatenate(batch))
        for part in batch:
            yield records[: len(part)]
            records = records[len(part) :]
        batch = []


def _alike(
    records: Sequence[Record], tolerance: float, unreadable: list[int]
) -> Iterator[Duplicates]:
    firsts = np.empty((0, SIDE * SIDE * 3), np.float32)
    members: list[list[tuple[Record, float, bytes]]] = []
    for record in records:
        try:
            image = tile_image(record, kept=False)
        except (TerrahashError, OSError):
            unreadable.append(record.id)
            continue
        digest = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()
        small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX)
        looks = np.asarray(small, np.float32).reshape(1, -1)
        apart = np.abs(firsts - looks).mean(axis=1)
        nearest = int(np.argmin(apart)) if len(apart) else -1
        if nearest >= 0 and apart[nearest] <= tolerance:
            members[nearest].append((record, float(apart[nearest]), digest))
        else:
            firsts = np.concatenate([firsts, looks])
            members.append([(record, 0.0, digest)])
    for group in members:
        if len(group) > 1:
            yield Duplicates(
                tuple(record.id for record, _, _ in group),
                tuple(_name(record) for record, _, _ in group),
                max(apart for _, apart, _ in group),
                len({digest for _, _, digest in group}) == 1,
            )


def _name(record: Record) -> str:
    source = record.source or ""
    return source if record.window is None else f"{source} {' '.join(map(str, record.window))}"

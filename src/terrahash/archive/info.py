"""What an archive is and holds, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ArchiveInfo:
    """What an archive is and holds.

    Attributes:
        path: where it is.
        tiles: live tiles.
        bits: of a stored code, label bits included.
        encoder: fingerprint of the encoder that made the codes; empty if there is none.
        bytes: on disk, the encoder left out.
        deleted: deleted rows that still take space; `compact` frees it.
        segments: files of codes.
        cells: share of the rows that is ordered into cells.
        columns: kinds of the columns that users named.
        created: when it was made, ISO 8601.
        version: number of changes so far.
    """

    path: str
    tiles: int
    bits: int
    hash_bits: int
    label_bits: int
    label_weight: float
    encoder: str
    bytes: int
    deleted: int
    segments: int
    cells: float
    columns: Mapping[str, str]
    created: str
    version: int

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return {**self.__dict__, "columns": dict(self.columns)}

"""Rows on their way in or out: the same shape for every format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import Column, absent_column
from terrahash.archive.schema import BUILT_IN
from terrahash.archive.snapshot import Snapshot
from terrahash.archive.thumbnails import COLUMN
from terrahash.archive.writing import Table
from terrahash.codes import CodeLayout
from terrahash.errors import ArchiveError

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

# Rows that are held in memory at a time.
BATCH = 50_000

# The argument of `add_codes` for each built-in column that has one of its own.
ARGUMENTS: Mapping[str, str] = {
    "source": "sources",
    "size": "sizes",
    "mtime": "mtimes",
    "user_id": "user_ids",
    "label": "labels",
    "predicted_label": "predicted_labels",
    "confidence": "confidences",
    "datetime": "datetimes",
}


@dataclass(frozen=True)
class Identity:
    """What makes codes comparable.

    Attributes:
        layout: of the codes, or None where a file does not say.
        encoder: fingerprint of the encoder; empty where it is not known.
        columns: kinds of the user's columns.
    """

    layout: CodeLayout | None
    encoder: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return {
            "layout": None if self.layout is None else self.layout.to_json(),
            "encoder": self.encoder,
            "columns": dict(self.columns),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Identity:
        """The inverse of :meth:`to_json`."""
        layout = data.get("layout")
        return cls(
            None if layout is None else CodeLayout.from_json(layout),
            str(data.get("encoder", "")),
            dict(data.get("columns", {})),
        )

    def check(self, archive: Archive, name: str) -> None:
        """Refuse codes that cannot be compared with those of an archive.

        Raises:
            ArchiveError: if layout or encoder differ.
        """
        if self.layout is not None and self.layout != archive.layout:
            raise ArchiveError(
                f"{name} holds codes of {self.layout}, the archive of {archive.layout}",
                "import it into an archive of its own",
            )
        if self.encoder and self.encoder != archive.encoder_fingerprint:
            raise ArchiveError(
                f"{name} holds codes of encoder {self.encoder}, the archive of "
                f"{archive.encoder_fingerprint or 'an unknown one'}",
                "import it into an archive of its own",
            )


@dataclass(frozen=True)
class Rows:
    """Some rows.

    Attributes:
        codes: ``(N, nbytes) uint8``.
        values: lists or arrays of N values by column name; None where there is no value.
        ids: ``(N,) int64`` in the archive that they come from, or None.
    """

    codes: NDArray[np.uint8]
    values: Mapping[str, Any]
    ids: NDArray[np.int64] | None = None

    def add_to(self, archive: Archive, *, on_conflict: Any, keep_ids: bool) -> None:
        """Store the rows."""
        arguments = {ARGUMENTS[n]: v for n, v in self.values.items() if n in ARGUMENTS}
        user = {
            n: v
            for n, v in self.values.items()
            if n not in BUILT_IN and n not in ("bbox", "window")
        }
        archive.add_codes(
            self.codes,
            **arguments,
            bboxes=self.values.get("bbox"),
            windows=self.values.get("window"),
            columns=user,
            ids=self.ids if keep_ids else None,
            on_conflict=on_conflict,
        )


def identity_of(archive: Archive) -> Identity:
    """What makes the codes of an archive comparable."""
    columns = {n: k for n, k in archive.snapshot().state.columns.items() if n != COLUMN}
    return Identity(archive.layout, archive.encoder_fingerprint, columns)


def tables(snapshot: Snapshot, ids: NDArray[np.int64]) -> Iterator[Table]:
    """Stored rows in batches, with every column there is, in the order of ids."""
    kinds = snapshot.kinds()
    for first in range(0, len(ids), BATCH):
        table = Table.stored(snapshot, ids[first : first + BATCH])
        columns: dict[str, Column] = {
            name: table.columns.get(name) or absent_column(kind, len(table.ids))
            for name, kind in kinds.items()
            if name != COLUMN
        }
        yield Table(table.ids, table.codes, columns)

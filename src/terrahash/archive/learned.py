"""Labelled tiles by the codes that training learned for them (AHCL, ADSH) and not by the network's.

Tiles without a label, the newcomers, keep the network's codes: both live in one Hamming space.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terrahash.encoder.learned import learned_database
from terrahash.imagery.sources import is_remote, path_of
from terrahash.progress import Reporter, Silent

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive
    from terrahash.archive.hits import Record

# Tiles that are looked up and stored together.
BATCH = 4096
STAGE = "assigning codes"


@dataclass
class AssignReport:
    """Where the codes of an archive's tiles come from.

    Attributes:
        learned: tiles of images that the encoder was trained on: the codes learned for them.
        assigned: other tiles with a label among the encoder's classes: the code that the discrete
            step gives to it.
        network: tiles that keep the code of their image.
        changed: tiles whose stored code was another one before.
    """

    learned: int = 0
    assigned: int = 0
    network: int = 0
    changed: int = 0

    def to_json(self) -> dict[str, int]:
        """A JSON-ready description."""
        return asdict(self)


def assign_codes(archive: Archive, *, reporter: Reporter | None = None) -> AssignReport:
    """Give labelled tiles the codes that training learned for them, or assigns to their labels.

    An image is known again by the SHA-256 of its file. Batches are durable one by one; to run it
    again is safe, and right after tiles were added or labelled.

    Args:
        archive: opened for writing, with an encoder of AHCL or ADSH.
        reporter: is told of the progress.

    Raises:
        EncoderError: if the archive's encoder has no learned codes.
        ArchiveError: if the archive cannot be written; what was stored stays.
    """
    encoder = archive.encoder
    table, reporter, report = learned_database(encoder), reporter or Silent(), AssignReport()
    by_class = table.assign(np.eye(len(encoder.classes), dtype=bool))
    numbers = {name: number for number, name in enumerate(encoder.classes)}
    ids = archive.ids()
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        records = archive.records(part)
        codes = archive.codes(part)
        before = codes.copy()
        rows = table.rows([_digest(record) for record in records])
        classes = np.array([numbers.get(record.label or "", -1) for record in records])
        learned, assigned = rows >= 0, (rows < 0) & (classes >= 0)
        codes[learned] = table.codes[rows[learned]]
        codes[assigned] = by_class[classes[assigned]]
        changed = (codes != before).any(axis=1)
        if changed.any():
            archive.update(part[changed], codes=codes[changed])
        _count(report, learned, assigned, changed)
        reporter.advance(STAGE, start + len(part), len(ids))
    return report


def _count(report: AssignReport, *masks: NDArray[np.bool_]) -> None:
    learned, assigned, changed = (int(mask.sum()) for mask in masks)
    report.learned += learned
    report.assigned += assigned
    report.network += len(masks[0]) - learned - assigned
    report.changed += changed


def _digest(record: Record) -> str:
    """SHA-256 of the whole file that a tile is, hexadecimal; empty where there is none."""
    if record.source is None or record.window is not None or is_remote(record.source):
        return ""
    try:
        with path_of(record.source).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""

"""The archive that is served: read as it grows, and opened anew when it is replaced."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from terrahash.archive import Archive, open_archive
from terrahash.archive.manifest import NAME
from terrahash.errors import ArchiveError, EncoderError, TerrahashError
from terrahash.service.mapped import MappedFiles
from terrahash.service.problems import Problem

if TYPE_CHECKING:
    from terrahash.encoder import Encoder
    from terrahash.evaluation.trust import TrustCurve


class Library:
    """Gives out the archive as it is now.

    Reads of an open archive see its growth by themselves. Where the folder was replaced by
    another archive, or reading it failed, the next call opens it anew.

    Args:
        path: folder of the archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._archive: Archive | None = None
        self._identity: tuple[int, int] | None = None
        self._trust: tuple[Encoder, TrustCurve | None] | None = None
        self._files = MappedFiles()

    def archive(self) -> Archive:
        """The open archive.

        Raises:
            ArchiveError: if there is none, or it cannot be read.
        """
        with self._lock:
            identity = _identity(self.path)
            if self._archive is None or identity != self._identity:
                self._forget()
                self._archive = open_archive(self.path, mode="r")
                self._identity = identity
            try:
                self._files.check(self._archive)
            except TerrahashError:
                self._forget()
                raise
            return self._archive

    def _forget(self) -> None:
        # The old archive is left to whoever still reads it, and closed when nobody does.
        self._archive = None
        self._identity = None
        self._trust = None

    def encoder(self, archive: Archive) -> Encoder:
        """The encoder that an archive keeps.

        Raises:
            Problem: if it keeps none.
            EncoderError: if it is damaged.
        """
        try:
            return archive.encoder
        except ArchiveError as error:
            if (archive.path / "encoder").is_dir():
                raise EncoderError(error.message, error.remedy) from None
            raise Problem(
                501,
                "this archive keeps no encoder, so that images cannot be searched for",
                "search by the id of a tile or by code, or index with an encoder",
            ) from None

    def trust(self, archive: Archive) -> TrustCurve | None:
        """How precise hits at each distance were in validation, where the encoder says."""
        try:
            encoder = archive.encoder
        except TerrahashError:
            return None
        known = self._trust
        if known is None or known[0] is not encoder:
            from terrahash.evaluation.trust import TrustCurve

            curve: dict[str, Any] | None = encoder.card.get("precision_by_distance")
            known = (encoder, TrustCurve.from_json(curve) if curve else None)
            self._trust = known
        return known[1]

    def close(self) -> None:
        """Let go of the archive."""
        with self._lock:
            if self._archive is not None:
                self._archive.close()
            self._forget()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path / NAME)  # noqa: PTH116 - called for every request
    except OSError:
        return None
    return status.st_dev, status.st_ino

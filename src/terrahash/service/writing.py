"""Adding and deleting: one writer at a time, durable before it is acknowledged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from terrahash.archive import open_archive
from terrahash.archive.inputs import query_rendered
from terrahash.archive.stored import BANDS, SCALING
from terrahash.encoder.encoded import Encoded
from terrahash.errors import ArchiveError, ImageError
from terrahash.service.schemas import NewCode
from terrahash.service.searching import packed_code

if TYPE_CHECKING:
    from terrahash.encoder import Encoder
    from terrahash.imagery.rendering import Rendering

UPLOADS = "uploads"


@dataclass(frozen=True)
class Upload:
    """A file that a caller sent.

    Attributes:
        name: as the caller called it; never used as a path.
        data: the file.
    """

    name: str
    data: bytes


@dataclass(frozen=True)
class _Taken:
    """A picture that is to be stored, and how its bands and values were read, if by bands."""

    data: bytes
    encoded: Encoded
    rendering: Rendering | None

    @property
    def moment(self) -> str | None:
        return None if self.rendering is None else self.rendering.scene.datetime

    @property
    def columns(self) -> dict[str, str | None]:
        if self.rendering is None:
            return {BANDS: None, SCALING: None}
        return {BANDS: self.rendering.bands_text, SCALING: self.rendering.limits_text}

    @property
    def footprint(self) -> tuple[float, ...] | None:
        if self.rendering is None or self.rendering.scene.place is None:
            return None
        scene = self.rendering.scene
        window = np.array([(0, 0, scene.width, scene.height)])
        (box,) = self.rendering.scene.place.footprints(window).tolist()
        return None if np.isnan(box).any() else tuple(box)


class Writer:
    """Writes to the archive; it is held for writing only while a call lasts.

    Pictures that are sent are kept in the archive's folder ``uploads``, named by their content.

    Args:
        path: folder of the archive.
        max_pixels: largest picture that is taken.
    """

    def __init__(self, path: Path, max_pixels: int) -> None:
        self._path = path
        self._uploads = path.absolute() / UPLOADS
        self._max_pixels = max_pixels

    def add_images(
        self, uploads: Sequence[Upload], encoder: Encoder, *, label: str | None, moment: str | None
    ) -> tuple[list[int], list[dict[str, str]]]:
        """Store pictures; those that cannot be read are skipped.

        Args:
            uploads: the pictures.
            encoder: of the archive.
            label: their class.
            moment: when they were taken.

        Returns:
            Ids of what was stored, and names and reasons of what was not.
        """
        # The same picture twice in one call is one tile.
        taken: dict[str, _Taken] = {}
        skipped = []
        bands = encoder.preprocessing.bands
        for upload in uploads:
            try:
                pixels, rendering = query_rendered(upload.data, bands, max_pixels=self._max_pixels)
            except ImageError as error:
                skipped.append({"name": upload.name, "reason": error.message})
                continue
            digest = hashlib.sha256(upload.data).hexdigest()
            taken[digest] = _Taken(upload.data, encoder.encode_image(pixels), rendering)
        if not taken:
            return [], skipped
        with open_archive(self._path, encoder, mode="a") as archive:
            paths = [self._keep(digest, one.data) for digest, one in taken.items()]
            joined = Encoded.concatenate([one.encoded for one in taken.values()])
            labels = joined.labels
            moments = [moment or one.moment for one in taken.values()]
            rendered = any(one.rendering for one in taken.values())
            columns = {
                name: [one.columns[name] for one in taken.values()] for name in (BANDS, SCALING)
            }
            ids = archive.add_codes(
                joined.codes,
                sources=[str(path) for path in paths],
                sizes=[path.stat().st_size for path in paths],
                mtimes=[path.stat().st_mtime_ns for path in paths],
                predicted_labels=None
                if labels is None
                else [encoder.classes[number] for number in labels.tolist()],
                confidences=joined.confidences,
                on_conflict="update",
                labels=[label] * len(paths) if label else None,
                datetimes=moments if any(moments) else None,
                bboxes=[one.footprint for one in taken.values()] if rendered else None,
                columns=columns if rendered else None,
            )
        return ids.tolist(), skipped

    def add_codes(self, items: Sequence[NewCode]) -> list[int]:
        """Store tiles that bring their codes; one that is known by its user id is updated."""
        with open_archive(self._path, mode="a") as archive:
            codes = np.stack([packed_code(item.code, archive.layout) for item in items])
            ids = archive.add_codes(
                codes,
                user_ids=[item.user_id for item in items],
                labels=[item.label for item in items],
                datetimes=[item.datetime for item in items],
                bboxes=[item.bbox for item in items],
                on_conflict="update",
            )
        return list(ids.tolist())

    def delete(self, ids: Sequence[int]) -> int:
        """Delete tiles, and the pictures that were sent with them once no tile shows them."""
        with open_archive(self._path, mode="a") as archive:
            present = np.intersect1d(archive.ids(), np.array(ids, np.int64))
            sources = [record.source for record in archive.records(present)]
            deleted = archive.delete(ids=list(ids))
            ours = [text for text in sources if text and Path(text).parent == self._uploads]
            still = archive.ids_of_sources(ours)
        for text in ours:
            if text not in still:
                Path(text).unlink(missing_ok=True)
        return deleted

    def _keep(self, digest: str, data: bytes) -> Path:
        """Write a picture durably; under its own name it is whole or not there."""
        path = self._uploads / digest
        try:
            self._uploads.mkdir(exist_ok=True)
            if path.exists():
                return path
            scratch = path.with_suffix(".new")
            with scratch.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
            folder = os.open(self._uploads, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise ArchiveError(
                f"the picture cannot be kept: {error.strerror}", "free some space, then send again"
            ) from error
        return path

"""What the routes of one running service share."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from terrahash.archive import Archive
from terrahash.service.facets import FacetCounter
from terrahash.service.gates import Gate
from terrahash.service.library import Library
from terrahash.service.observing import Metrics
from terrahash.service.pictures import Pictures
from terrahash.service.settings import Settings
from terrahash.service.writing import Writer

# Waiting longer than this many pieces of work take would outlast the patience of whoever asked.
MAX_WAITING = 512
MAX_WAITING_IMAGES = 32
MAX_WAITING_WRITES = 64


@dataclass
class Service:
    """One service: its archive, its threads and its counters.

    Attributes:
        ready: None, or why searches cannot be answered yet or now.
    """

    settings: Settings
    library: Library
    pictures: Pictures
    facets: FacetCounter
    writer: Writer
    metrics: Metrics
    # Searches use all processors each, so that two at once keep them busy between searches.
    search: Gate = field(default_factory=lambda: Gate("searches", threads=2, waiting=MAX_WAITING))
    # A decoded image may take hundreds of MiB: few at once.
    encode: Gate = field(
        default_factory=lambda: Gate(
            "images", threads=min(2, os.cpu_count() or 1), waiting=MAX_WAITING_IMAGES
        )
    )
    draw: Gate = field(default_factory=lambda: Gate("pictures", threads=2, waiting=MAX_WAITING))
    write: Gate = field(
        default_factory=lambda: Gate("writes", threads=1, waiting=MAX_WAITING_WRITES)
    )
    ready: str | None = "starting"

    @classmethod
    def of(cls, settings: Settings) -> Service:
        """A service that is not started yet."""
        return cls(
            settings=settings,
            library=Library(settings.archive),
            pictures=Pictures(remote=settings.remote_pictures),
            facets=FacetCounter(),
            writer=Writer(settings.archive, settings.max_pixels),
            metrics=Metrics(),
        )

    @property
    def gates(self) -> tuple[Gate, ...]:
        """All of its threads."""
        return self.search, self.encode, self.draw, self.write

    def warm_up(self) -> None:
        """Load what the first search would wait for."""
        archive = self.library.archive()
        self.library.trust(archive)
        ids = _first_ids(archive)
        if ids:
            archive.search(ids[0], k=1)
        encoder = _encoder_or_none(archive)
        if encoder is not None:
            import numpy as np

            encoder.encode_image(np.zeros((8, 8, 3), np.uint8))

    def close(self) -> None:
        """Finish what was accepted and let go of the archive."""
        for gate in self.gates:
            gate.close()
        self.library.close()


def _first_ids(archive: Archive) -> list[int]:
    for segment, rows in archive.snapshot().rows():
        return [int(segment.ids.ids_of(rows[:1])[0])]
    return []


def _encoder_or_none(archive: Archive) -> Any:
    from terrahash.errors import TerrahashError

    try:
        return archive.encoder
    except TerrahashError:
        return None


# Dependencies are coroutines throughout: FastAPI would send plain functions to a thread each.
async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Running = Annotated[Service, Depends(_service)]

"""What the routes of one running service share."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, Request

from terrahash.archive import Archive
from terrahash.service.facets import FacetCounter
from terrahash.service.gates import Gate
from terrahash.service.library import Library
from terrahash.service.observing import Metrics
from terrahash.service.pictures import Pictures
from terrahash.service.schemas import DEFAULT_PAGE
from terrahash.service.settings import Settings
from terrahash.service.writing import Writer

# Waiting longer than this many pieces of work take would outlast the patience of whoever asked.
MAX_WAITING = 512
MAX_WAITING_IMAGES = 32
MAX_WAITING_WRITES = 64
# From this many tiles on, loading the compiled search takes less time than it saves in a minute of
# use; a smaller archive is searched by numpy in less than a millisecond, and spares 50 MiB.
COMPILED_FROM = 50_000


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
    # A search takes a fraction of a millisecond, or all processors where it takes longer: two at
    # once would only wait for each other, and for Python's lock.
    search: Gate = field(default_factory=lambda: Gate("searches", threads=1, waiting=MAX_WAITING))
    # What reads columns may take a thousand times as long, and must not hold up plain searches.
    browse: Gate = field(default_factory=lambda: Gate("filters", threads=1, waiting=MAX_WAITING))
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
        return self.search, self.browse, self.encode, self.draw, self.write

    def warm_up(self) -> None:
        """Load what the first search would wait for."""
        archive = self.library.archive()
        self.library.trust(archive)
        snapshot = archive.snapshot()
        if len(snapshot) >= COMPILED_FROM:
            # From now on searches and filters use the kernels.
            import terrahash.archive.sketch_kernels
            import terrahash.search.scan  # noqa: F401
        for segment, rows in snapshot.rows():
            code = segment.codes[rows[:1]]
            ones = np.ones((1, snapshot.layout.bits), np.float32)
            for magnitudes in (None, ones):
                snapshot.search(code, k=DEFAULT_PAGE, radius=None, magnitudes=magnitudes)
            break
        encoder = _encoder_or_none(archive)
        if encoder is not None:
            encoder.encode_image(np.zeros((8, 8, 3), np.uint8))

    def close(self) -> None:
        """Finish what was accepted and let go of the archive."""
        for gate in self.gates:
            gate.close()
        self.library.close()


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

"""What an archive holds of one source already, so that indexing it goes on where it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

Window = tuple[int, int, int, int]

# Columns in which indexing records how a scene's tiles were made.
BANDS, SCALING, CUT = "bands", "scaling", "cut"
# The bands in which people see a tile, where the encoder takes others than RGB.
SEEN = "seen"
# Share of a tile that a mask hides, where indexing was given one.
HIDDEN = "hidden"
# Held by one tile of a scene that was indexed to its end: how many tiles it has in all.
SCENE_TILES = "scene_tiles"


@dataclass
class StoredSource:
    """Tiles of a source that are in an archive.

    Attributes:
        windows: of the file as it is now, cut as it is to be cut now.
        last_id: of those, the highest id.
        finished: whether indexing reached the end of it.
        bands: as recorded of them.
        scaling: as recorded of them.
        outdated: ids of tiles of the file as it was before it changed.
    """

    windows: set[Window] = field(default_factory=set)
    last_id: int = -1
    finished: bool = False
    bands: str | None = None
    scaling: str | None = None
    outdated: list[int] = field(default_factory=list)


def stored_source(
    archive: Archive, source: str, state: tuple[int | None, int | None], cut: str
) -> StoredSource:
    """What is stored of a source.

    Args:
        archive: to look into.
        source: as records name it.
        state: size and mtime of the file as it is now.
        cut: how it is to be cut now.
    """
    out = StoredSource()
    for _, segment, row in archive.snapshot().find("source", [source]):

        def value(name: str, segment: Any = segment, row: int = row) -> Any:
            column = segment.column(name)
            return None if column is None else column.item(row)

        number = int(segment.ids.ids_of(np.array([row]))[0])
        if (value("size"), value("mtime")) != state:
            out.outdated.append(number)
            continue
        if value(CUT) != cut:
            continue
        out.windows.add((value("x"), value("y"), value("width"), value("height")))
        if number > out.last_id:
            out.last_id = number
            out.bands, out.scaling = value(BANDS), value(SCALING)
        out.finished |= value(SCENE_TILES) is not None
    return out

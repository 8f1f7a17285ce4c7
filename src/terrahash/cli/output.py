"""Where answers go: tables on standard output, and files that are checked beforehand."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from terrahash.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

# Spaces between the columns of a table, and the least width of its last one.
GAP = 2
LEAST_OF_LAST = 24
# Columns of a table that no terminal bounds: what reads it breaks its lines, or none.
UNBOUNDED = 100_000


def console() -> Console:
    """Standard output for tables: as wide as the terminal; folded nowhere in a file or a pipe."""
    from rich.console import Console

    bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if bounded else UNBOUNDED)


def check_file(path: Path, suffixes: Sequence[str] = ()) -> None:
    """Refuse a file that could not be written, before the work is done that it is to hold.

    Raises:
        InputError: naming what is in the way.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"'{path}' is no {' or '.join(suffixes)} file", "give it such a name")
    if path.is_dir():
        raise InputError(f"cannot write '{path}': it is a folder", "name a file in it")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise InputError(f"cannot write '{path}': there is no folder '{parent}'", "make it first")
    if not os.access(path if path.exists() else parent, os.W_OK):
        raise InputError(f"cannot write '{path}': no permission", "choose another place")


def check_folder(path: Path) -> None:
    """Refuse a folder that could not be made or written, before the work that is to fill it.

    Raises:
        InputError: naming what is in the way.
    """
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise InputError(f"cannot write to '{path}': '{place}' is a file", "choose another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to '{path}': no permission", "choose another folder")


def print_table(
    rows: Sequence[Mapping[str, str]],
    columns: Mapping[str, Literal["left", "right"]],
    *,
    spare: Sequence[str] = (),
    title: str | None = None,
) -> None:
    """Print a table whose last column alone is folded where the terminal is narrow.

    Args:
        rows: cells by column; what is not known is left out.
        columns: in order, with how they are justified; those without a cell are left out.
        spare: columns that are left out, in this order, where the last would have no room.
        title: a line above it.
    """
    from rich.markup import escape
    from rich.table import Table

    if not rows:
        return
    shown = console()
    last = list(columns)[-1]
    used = [name for name in columns if any(name in row for row in rows)]
    for name in spare:
        widths = [
            max(len(each), *(len(row.get(each, "")) for row in rows))
            for each in used
            if each != last
        ]
        if sum(widths) + GAP * len(used) + LEAST_OF_LAST <= shown.width:
            break
        used = [each for each in used if each != name]
    table = Table(
        box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0),
        title=title and escape(title), title_justify="left",
    )  # fmt: skip
    for name in used:
        table.add_column(name, justify=columns[name], overflow="fold", no_wrap=name != last)
    for row in rows:
        table.add_row(*(escape(row.get(name, "–")) for name in used))
    shown.print(table)


def place(bbox: tuple[float, float, float, float]) -> str:
    """The middle of a footprint, latitude before longitude, to about ten metres."""
    west, south, east, north = bbox
    east = east + 360 if west > east else east
    longitude = (west + east) / 2
    longitude = longitude - 360 if longitude > 180 else longitude
    return f"{(south + north) / 2:.4f} {longitude:.4f}"


def part(source: str | None, window: tuple[int, int, int, int] | None) -> str:
    """A source below the working folder as seen from there, and the part of it that is meant."""
    if source is None:
        return ""
    shown = source.removeprefix(f"{Path.cwd()}{os.sep}")
    if window is None:
        return shown
    x, y, width, height = window
    return f"{shown} {width}×{height}+{x}+{y}"

"""Small pictures of tiles that an archive keeps by choice, for when the sources are far or gone.

They lie in a SQLite file of their own, ``thumbnails.sqlite``. A tile names its picture in the
column ``thumbnail`` by a digest of the picture's bytes. As with segments, what is named is durable
before the row that names it, so that neither a crash nor a repair can show a tile a picture of
another; what no row names is swept by ``compact``.
"""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import NumberColumn
from terrahash.archive.files import Files, explained
from terrahash.errors import ArchiveError, InputError

if TYPE_CHECKING:
    from terrahash.archive.snapshot import Snapshot

NAME = "thumbnails.sqlite"
COLUMN, KIND = "thumbnail", "integer"

DEFAULT_SIDE = 192
MIN_SIDE, MAX_SIDE = 16, 512
# WebP of a 192-pixel tile takes some 5 KB at the first quality (measured on UC Merced and AID). One
# that takes more than this is noise: it is packed harder, and left out if that does not help.
MAX_BYTES = 48 << 10
QUALITIES = (75, 50, 25)
# Encoder effort: 1 ms a tile, and 15 % smaller than the fastest.
METHOD = 2

# Pictures of 5 KB waste a tenth in pages of this size, a sixth in those of 4 KiB (measured).
PAGE_BYTES = 32768
BUSY_SECONDS = 10.0
BATCH = 4096
# Rows of a damaged file that are asked for together, before each is asked for by itself.
SALVAGE_ROWS = 64

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE thumbnails (
    number INTEGER PRIMARY KEY, digest INTEGER NOT NULL UNIQUE, image BLOB
);
"""  # An image that is NULL is known to be lost.


def encode(image: NDArray[np.uint8], side: int) -> bytes | None:
    """A WebP picture of at most ``side`` pixels a side and :data:`MAX_BYTES`.

    Args:
        image: ``(H, W, 3) uint8``.
        side: longest side, pixels; smaller images keep their size.

    Returns:
        The file, or None if it cannot be made as small as that.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((side, side), Image.Resampling.BOX)
    for quality in QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=METHOD)
        if buffer.tell() <= MAX_BYTES:
            return buffer.getvalue()
    return None


def digest(image: bytes) -> int:
    """The 63 bits by which a tile names a picture."""
    return int.from_bytes(hashlib.blake2b(image, digest_size=8).digest()) >> 1


def check_side(side: int) -> int:
    """A side that thumbnails can have.

    Raises:
        InputError: if it is not from 16 to 512.
    """
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise InputError(
            f"thumbnails of {side} pixels a side",
            f"choose {MIN_SIDE} to {MAX_SIDE}; {DEFAULT_SIDE} serves lists and maps",
        )
    return side


def side_of(folder: Path) -> int:
    """How large the thumbnails are that an archive keeps, pixels; 0 if it keeps none.

    Raises:
        ArchiveError: if their file is damaged.
    """
    if not (folder / NAME).is_file():
        return 0
    with _explained(folder, "reading thumbnails"), _reading(folder) as connection:
        (value,) = connection.execute("SELECT value FROM meta WHERE key = 'side'").fetchone()
        return int(value)


def kept(folder: Path, number: int) -> tuple[bytes, int] | None:
    """The picture that a tile names, or None where it cannot be had.

    Args:
        folder: of the archive.
        number: the tile's value of the column ``thumbnail``.

    Returns:
        The WebP file and the longest side that the archive's pictures may have.
    """
    try:
        with _reading(folder) as connection:
            row = connection.execute(
                "SELECT image, (SELECT value FROM meta WHERE key = 'side') FROM thumbnails "
                "WHERE digest = ?",
                (number,),
            ).fetchone()
    except sqlite3.Error:
        return None
    if row is None or row[0] is None or digest(row[0]) != number:
        return None
    return row[0], int(row[1])


class Keeper:
    """Keeps the thumbnails of new tiles; used by the archive's one writer.

    Args:
        folder: of the archive.
        side: longest side, pixels; a file that is there keeps its pictures of other sizes.
        files: the disk.

    Raises:
        ArchiveError: if the file is damaged or cannot be written.
        InputError: if the side is out of range.
    """

    def __init__(self, folder: Path, side: int, files: Files) -> None:
        self.side = check_side(side)
        self._folder = folder
        self._files = files
        with _explained(folder, "opening its thumbnails"):
            if not (folder / NAME).is_file():
                _create(folder, side, files)
            self._connection = _writer(folder / NAME)
            self._connection.execute(
                "UPDATE meta SET value = ?1 WHERE key = 'side' AND value != ?1", (str(side),)
            )

    def keep(self, images: Sequence[bytes | None]) -> list[int | None]:
        """Make pictures durable, to be named by tiles that are stored after it.

        Returns:
            What each tile is to hold in the column ``thumbnail``.

        Raises:
            ArchiveError: if they cannot be written.
        """
        digests = [None if image is None else digest(image) for image in images]
        rows = {n: image for n, image in zip(digests, images, strict=True) if n is not None}
        connection = self._connection
        doing = "keeping thumbnails"
        with _explained(self._folder, doing), self._files.transaction(connection):
            connection.executemany(
                "INSERT INTO thumbnails (digest, image) VALUES (?, ?) "
                "ON CONFLICT (digest) DO UPDATE SET image = excluded.image WHERE image IS NULL",
                rows.items(),
            )
        return digests

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def sweep(folder: Path, snapshot: Snapshot, files: Files) -> int:
    """Remove the pictures that no tile names, and give their space back; gives how many."""
    if not (folder / NAME).is_file():
        return 0
    named = _named(snapshot)
    with (
        _explained(folder, "sweeping thumbnails"),
        closing(_writer(folder / NAME)) as connection,
    ):
        gone = [
            (number,)
            for number, found in connection.execute("SELECT number, digest FROM thumbnails")
            if not _holds(named, found)
        ]
        if gone:
            with files.transaction(connection):
                connection.executemany("DELETE FROM thumbnails WHERE number = ?", gone)
            # `execute` would stop after the first page.
            connection.executescript("PRAGMA incremental_vacuum")
        return len(gone)


def problems(folder: Path, snapshot: Snapshot) -> Iterator[str]:
    """What is wrong with the thumbnails: damaged ones, and those that tiles name in vain."""
    named = _named(snapshot)
    if not (folder / NAME).is_file():
        if len(named):
            yield f"is missing, with {len(named)} pictures that tiles name"
        return
    found: list[int] = []
    damaged = 0
    try:
        with _reading(folder) as connection:
            for (text,) in connection.execute("PRAGMA integrity_check"):
                if text != "ok":
                    yield text
            connection.execute("SELECT value FROM meta WHERE key = 'side'").fetchone()[0]
            for number, image in connection.execute("SELECT digest, image FROM thumbnails"):
                found.append(number)
                damaged += image is not None and digest(image) != number
    except (sqlite3.Error, TypeError) as error:
        yield f"is damaged ({error})"
        return
    if damaged:
        yield f"{damaged} pictures do not match their checksum"
    absent = len(np.setdiff1d(named, np.array(found, np.int64)))
    if absent:
        yield f"{absent} pictures that tiles name are not there"


def mend(
    folder: Path, snapshot: Snapshot, files: Files, keep_aside: Callable[[Path], None]
) -> tuple[int, int] | None:
    """Make the file anew of its sound pictures; lost ones are noted in it as lost.

    Args:
        folder: of the archive.
        snapshot: of its sound rows.
        files: the disk.
        keep_aside: called with the damaged file before it is replaced.

    Returns:
        How many pictures were kept and how many that tiles name are lost; None if all is sound.
    """
    if next(problems(folder, snapshot), None) is None:
        return None
    try:
        side = side_of(folder) or DEFAULT_SIDE
    except (ArchiveError, TypeError, ValueError):
        side = DEFAULT_SIDE
    scratch = folder / "rebuilt-thumbnails"
    files.remove(scratch / NAME)
    scratch.mkdir(exist_ok=True)
    _create(scratch, side, files)
    named = _named(snapshot)
    count = 0
    with closing(_writer(scratch / NAME)) as connection:
        connection.execute("BEGIN")
        for image in _salvaged(folder / NAME):
            number = digest(image)
            if _holds(named, number):
                count += connection.execute(
                    "INSERT OR IGNORE INTO thumbnails (digest, image) VALUES (?, ?)",
                    (number, image),
                ).rowcount
        connection.executemany(
            "INSERT OR IGNORE INTO thumbnails (digest) VALUES (?)",
            ((int(number),) for number in named),
        )
        files.commit(connection)
    keep_aside(folder / NAME)
    # A journal that outlived its database must never be replayed onto another.
    journal = folder / (NAME + "-journal")
    keep_aside(journal)
    files.remove(journal)
    files.sync_folder(folder)
    files.replace(scratch / NAME, folder / NAME)
    files.sync_folder(folder)
    scratch.rmdir()
    return count, len(named) - count


def _named(snapshot: Snapshot) -> NDArray[np.int64]:
    """Digests that live tiles name, ascending, each once."""
    parts = [np.empty(0, np.int64)]
    if snapshot.kinds().get(COLUMN) == KIND:
        null = NumberColumn.absent(KIND, 1).values[0]
        for segment, rows in snapshot.rows():
            column = segment.column(COLUMN)
            if isinstance(column, NumberColumn):
                values = column.values[rows]
                parts.append(values[values != null])
    return np.unique(np.concatenate(parts))


def _holds(named: NDArray[np.int64], number: int) -> bool:
    place = int(np.searchsorted(named, number))
    return place < len(named) and int(named[place]) == number


def _salvaged(path: Path) -> Iterator[bytes]:
    """Pictures that can still be read, sound ones or not."""
    if not path.is_file():
        return
    try:
        connection = sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True)
    except sqlite3.Error:
        return
    with closing(connection):
        try:
            (last,) = connection.execute("SELECT max(number) FROM thumbnails").fetchone()
        except sqlite3.Error:
            last = path.stat().st_size // SALVAGE_ROWS
        for first in range(0, (last or 0) + 1, SALVAGE_ROWS):
            chunk = (first, first + SALVAGE_ROWS)
            for span in (chunk, *((n, n + 1) for n in range(*chunk))):
                try:
                    rows = connection.execute(
                        "SELECT image FROM thumbnails WHERE number >= ? AND number < ?", span
                    ).fetchall()
                except sqlite3.Error:
                    continue
                yield from (image for (image,) in rows if isinstance(image, bytes))
                if span is chunk:
                    break


def _create(folder: Path, side: int, files: Files) -> None:
    """Make the file; it is there whole or not at all."""
    scratch = folder / (NAME + ".new")
    files.remove(scratch)
    with closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("BEGIN")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        rows = {"format": "1", "side": str(side)}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
        files.commit(connection)
    with scratch.open("rb+") as file:
        files.sync(file)
    files.replace(scratch, folder / NAME)
    files.sync_folder(folder)


def _writer(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # A plain journal, unlike the manifest's log: readers of a read-only medium need nothing beside
    # the file. EXTRA syncs the folder too, else a power cut could bring the journal back.
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA synchronous=EXTRA")
    return connection


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    address = (folder / NAME).absolute().as_uri() + "?mode=ro"
    with closing(sqlite3.connect(address, BUSY_SECONDS, uri=True)) as connection:
        yield connection


@contextmanager
def _explained(folder: Path, doing: str) -> Iterator[None]:
    try:
        with explained(folder, doing):
            yield
    except ArchiveError as error:
        name = getattr(error.__cause__, "sqlite_errorname", "")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise ArchiveError(
                f"{folder}: {NAME} is damaged while {doing}",
                f"keep what is sound with: terrahash archive repair {folder}",
            ) from error
        raise

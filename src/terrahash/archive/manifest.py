"""The manifest: the SQLite file that says which segments exist."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrahash.archive.files import Files, explained
from terrahash.archive.segments import Footer
from terrahash.errors import ArchiveError

NAME = "archive.sqlite"
FORMAT = 1
# Readers wait this long for a writer's commit to pass.
BUSY_SECONDS = 10.0

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (seq INTEGER PRIMARY KEY, size INTEGER NOT NULL, footer TEXT NOT NULL);
CREATE TABLE columns (
    position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL
);
CREATE TABLE cells (name TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class State:
    """What the manifest says at one moment.

    Attributes:
        version: counts commits; two states of one version are the same.
        next_id: the first id that was never given out.
        next_seq: the first segment number that was never committed.
        columns: kind of each column that users named, in order.
        segments: footers, by number.
        cells: what was noted of the cells, as JSON by name.
    """

    version: int
    next_id: int
    next_seq: int
    columns: Mapping[str, str]
    segments: Mapping[int, Footer]
    cells: Mapping[str, str]


class Manifest:
    """An open ``archive.sqlite``.

    Args:
        path: the archive's folder.
        writable: whether this process writes.
        files: the disk.

    Raises:
        ArchiveError: if it is missing, damaged, of another format or cannot be opened.
    """

    def __init__(self, path: Path, *, writable: bool, files: Files) -> None:
        self._path = path
        self._files = files
        file = path / NAME
        if not file.is_file():
            raise not_an_archive(path)
        with explained(path, "opening its manifest"):
            self._connection = _connect(file, writable=writable)
            try:
                self.meta: dict[str, str] = dict(
                    self._connection.execute("SELECT key, value FROM meta")
                )
            except sqlite3.DatabaseError:
                self._connection.close()
                raise
        if self.meta.get("format") != str(FORMAT):
            found = self.meta.get("format")
            self._connection.close()
            raise ArchiveError(
                f"{path}: archive format {found!r} is not known (this version reads {FORMAT})",
                "use the version of terrahash that it was made with",
            )

    @staticmethod
    def create(path: Path, meta: Mapping[str, str], files: Files) -> None:
        """Make the manifest of a new, empty archive; it is there whole or not at all."""
        scratch = path / (NAME + ".new")
        files.remove(scratch)
        connection = sqlite3.connect(scratch, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("BEGIN")
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            rows = {"format": str(FORMAT), "version": "0", "next_id": "1", "next_seq": "1", **meta}
            connection.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
            files.commit(connection)
        finally:
            connection.close()
        with scratch.open("rb+") as file:
            files.sync(file)
        files.replace(scratch, path / NAME)
        files.sync_folder(path)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with explained(self._path, "reading its manifest"):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    def version(self) -> int:
        """The number of commits so far."""
        with explained(self._path, "reading its manifest"):
            row = self._connection.execute(
                "SELECT value FROM meta WHERE key = 'version'"
            ).fetchone()
        return int(row[0])

    def state(self, known: Mapping[int, Footer] | None = None) -> State:
        """All of the manifest, read at one moment.

        Args:
            known: footers that need not be read again.
        """
        known = known or {}
        with self._reading() as connection:
            meta = dict(connection.execute("SELECT key, value FROM meta"))
            sizes = dict(connection.execute("SELECT seq, size FROM segments ORDER BY seq"))
            segments = {}
            for seq, size in sizes.items():
                footer = known.get(seq)
                if footer is None:
                    (text,) = connection.execute(
                        "SELECT footer FROM segments WHERE seq = ?", (seq,)
                    ).fetchone()
                    footer = self._footer(seq, text, size)
                segments[seq] = footer
            columns = dict(connection.execute("SELECT name, kind FROM columns ORDER BY position"))
            cells = dict(connection.execute("SELECT name, content FROM cells"))
        return State(
            int(meta["version"]),
            int(meta["next_id"]),
            int(meta["next_seq"]),
            columns,
            segments,
            cells,
        )

    def _footer(self, seq: int, text: str, size: int) -> Footer:
        try:
            return Footer.from_text(text, size)
        except (ValueError, KeyError, TypeError):
            raise ArchiveError(
                f"{self._path}: the manifest's entry of segment {seq} is damaged",
                f"see what is lost with: terrahash archive repair {self._path}",
            ) from None

    def commit(
        self,
        before: State,
        *,
        add: Sequence[Footer] = (),
        remove: Sequence[int] = (),
        next_id: int | None = None,
        columns: Mapping[str, str] | None = None,
        cells: Mapping[str, str] | None = None,
    ) -> State:
        """Make a change durable, wholly or not at all, and give the state after it."""
        segments = {**before.segments, **{footer.seq: footer for footer in add}}
        for seq in remove:
            del segments[seq]
        after = State(
            before.version + 1,
            before.next_id if next_id is None else next_id,
            max([before.next_seq, *(footer.seq + 1 for footer in add)]),
            dict(before.columns if columns is None else columns),
            segments,
            dict(before.cells if cells is None else cells),
        )
        connection = self._connection
        doing = "committing to its manifest"
        with explained(self._path, doing), self._files.transaction(connection):
            self._write(connection, before, after, add, remove)
        return after

    @staticmethod
    def _write(
        connection: sqlite3.Connection,
        before: State,
        after: State,
        add: Sequence[Footer],
        remove: Sequence[int],
    ) -> None:
        connection.executemany("DELETE FROM segments WHERE seq = ?", [(seq,) for seq in remove])
        connection.executemany(
            "INSERT INTO segments VALUES (?, ?, ?)", [(f.seq, f.size, f.to_text()) for f in add]
        )
        if after.columns != before.columns:
            connection.execute("DELETE FROM columns")
            connection.executemany(
                "INSERT INTO columns (name, kind) VALUES (?, ?)", after.columns.items()
            )
        if after.cells != before.cells:
            connection.execute("DELETE FROM cells")
            connection.executemany("INSERT INTO cells VALUES (?, ?)", after.cells.items())
        connection.executemany(
            "UPDATE meta SET value = ? WHERE key = ?",
            [
                (str(after.version), "version"),
                (str(after.next_id), "next_id"),
                (str(after.next_seq), "next_seq"),
            ],
        )

    def integrity(self) -> list[str]:
        """What SQLite's own check complains of; empty if nothing."""
        try:
            rows = self._connection.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [text for (text,) in rows if text != "ok"]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def meta_of(layout: Mapping[str, Any], encoder_fingerprint: str, created: str) -> dict[str, str]:
    """The unchanging part of the manifest's ``meta``."""
    return {
        "layout": json.dumps(layout),
        "encoder_fingerprint": encoder_fingerprint,
        "created": created,
    }


def not_an_archive(path: Path) -> ArchiveError:
    """The error for a folder that holds no archive."""
    if any((path / "segments").glob("*.seg")):
        return ArchiveError(
            f"{path}: archive.sqlite is missing", f"rebuild it: terrahash archive repair {path}"
        )
    what = "is not an archive (it holds no archive.sqlite)" if path.exists() else "does not exist"
    return ArchiveError(
        f"{path} {what}",
        "name an archive, or make one: terrahash index IMAGES --model MODEL --archive ARCHIVE",
    )


def _connect(file: Path, *, writable: bool) -> sqlite3.Connection:
    if writable:
        connection = sqlite3.connect(
            file, BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        # Readers go on while the writer commits, and every commit is synced before it returns.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection
    address = file.absolute().as_uri() + "?mode=ro"
    connection = sqlite3.connect(
        address, BUSY_SECONDS, isolation_level=None, uri=True, check_same_thread=False
    )
    try:
        connection.execute("SELECT 1 FROM meta").fetchone()
    except sqlite3.OperationalError:
        # A read-only medium has no room for SQLite's shared memory; without a log nobody writes.
        if file.with_name(file.name + "-wal").exists():
            raise
        connection.close()
        connection = sqlite3.connect(
            address + "&immutable=1",
            BUSY_SECONDS,
            isolation_level=None,
            uri=True,
            check_same_thread=False,
        )
    return connection

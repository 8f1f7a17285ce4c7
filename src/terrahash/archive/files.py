"""Everything the archive does to the disk, in one place, so that tests can make it fail."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from terrahash.errors import ArchiveError

ASIDE = "damaged"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class Files:
    """The operations that change an archive, each durable only as its name says.

    Tests put a subclass in its place that kills the process, runs out of space or forgets what
    was not synced.
    """

    def create(self, path: Path) -> BinaryIO:
        """A new empty file, open for writing; an unnamed leftover of that name is replaced."""
        return path.open("wb", buffering=1 << 20)

    def write(self, file: BinaryIO, data: memoryview | bytes) -> None:
        """Append bytes to a file made by :meth:`create`."""
        file.write(data)

    def sync(self, file: BinaryIO) -> None:
        """Make the contents of a file durable."""
        file.flush()
        os.fsync(file.fileno())

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit a transaction durably: with ``synchronous=FULL`` SQLite syncs its log."""
        connection.execute("COMMIT")

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """A change of a database that is durable at the end, or undone."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            self.commit(connection)
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def replace(self, source: Path, target: Path) -> None:
        """Give a file another name, at once or not at all."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file; readers that have it open keep reading it."""
        path.unlink(missing_ok=True)


def keep_aside(archive: Path, path: Path, files: Files) -> None:
    """Keep a damaged file under a second name in the archive's folder of such files."""
    if not path.exists():
        return
    aside = archive / ASIDE
    aside.mkdir(exist_ok=True)
    target = aside / path.name
    number = 0
    while target.exists():
        if target.samefile(path):
            return
        number += 1
        target = aside / f"{path.name}.{number}"
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)
    files.sync_folder(aside)


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turn the errors of disk and SQLite into :class:`ArchiveError` that say what to do."""
    try:
        yield
    except OSError as error:
        raise _explain(path, doing, error.errno, error.strerror or str(error)) from error
    except sqlite3.DatabaseError as error:
        raise _explain_sqlite(path, doing, error) from error


def _explain(path: Path, doing: str, number: int | None, text: str) -> ArchiveError:
    if number in _FULL:
        return ArchiveError(
            f"{path}: the disk is full ({text}) while {doing}; what was stored before is intact",
            "free some space and repeat the call",
        )
    if number in _READ_ONLY:
        return ArchiveError(
            f"{path}: no permission ({text}) while {doing}",
            "make the folder writable, or open the archive with mode='r'",
        )
    return ArchiveError(f"{path}: {text} while {doing}", "check the disk, then: archive verify")


def _explain_sqlite(path: Path, doing: str, error: sqlite3.DatabaseError) -> ArchiveError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL") or name in ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_TRUNCATE"):
        return _explain(path, doing, errno.ENOSPC, str(error))
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
        return _explain(path, doing, errno.EACCES, str(error))
    if name.startswith("SQLITE_BUSY"):
        return ArchiveError(f"{path}: another process holds the archive while {doing}", "try again")
    return ArchiveError(
        f"{path}: archive.sqlite is damaged ({error}) while {doing}",
        f"see what is lost with: terrahash archive repair {path}",
    )


class WriterLock:
    """The lock that makes one process the archive's only writer; it ends with the process.

    Raises:
        ArchiveError: at once, if another writer holds it.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "archive.lock"
        with explained(folder, "locking it for writing"):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise ArchiveError(
                f"{folder} is being written by another process"
                + (f" (pid {holder})" if holder else ""),
                "wait until it is done, or open the archive for reading with mode='r'",
            ) from None
        with explained(folder, "locking it for writing"):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode("ascii"), 0)

    def release(self) -> None:
        """Let the next writer in; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

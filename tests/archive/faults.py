"""Disks that fail: one kills the process, one is full, one forgets what was not synced."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import Archive
from terrahash.archive.files import Files

from .conftest import random_codes


class CountingFiles(Files):
    """Calls :meth:`before` before every operation, counting from 0."""

    def __init__(self) -> None:
        self.operations = 0

    def before(self, number: int) -> None:
        """What to do before an operation."""

    def half(self, number: int) -> bool:
        """Whether a write should stop in the middle."""
        return False

    def _next(self) -> int:
        number = self.operations
        self.operations += 1
        self.before(number)
        return number

    def create(self, path: Path) -> BinaryIO:
        self._next()
        return super().create(path)

    def write(self, file: BinaryIO, data: memoryview | bytes) -> None:
        number = self.operations
        if self.half(number):
            file.write(data[: len(data) // 2])
            file.flush()
        self._next()
        super().write(file, data)

    def sync(self, file: BinaryIO) -> None:
        self._next()
        super().sync(file)

    def sync_folder(self, folder: Path) -> None:
        self._next()
        super().sync_folder(folder)

    def commit(self, connection: sqlite3.Connection) -> None:
        self._next()
        super().commit(connection)

    def replace(self, source: Path, target: Path) -> None:
        self._next()
        super().replace(source, target)

    def remove(self, path: Path) -> None:
        self._next()
        super().remove(path)


class DyingFiles(CountingFiles):
    """Kills its own process at one operation; a write is half done then."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def half(self, number: int) -> bool:
        return number == self._at

    def before(self, number: int) -> None:
        if number == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


class FullFiles(CountingFiles):
    """Has no space from one operation on, except for removing."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at
        self.full = True

    def before(self, number: int) -> None:
        if self.full and number >= self.at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def remove(self, path: Path) -> None:
        Files.remove(self, path)


class ForgetfulFiles(CountingFiles):
    """Notes, before every operation, what a power cut would leave on the disk.

    A file's contents count from its last sync, its name from the last sync of its folder; the
    database counts as it is after a commit, which SQLite syncs itself.
    """

    def __init__(self, root: Path, moment: Callable[[int, dict[str, bytes]], None]) -> None:
        super().__init__()
        self._root = root
        self._moment = moment
        self._synced: dict[Path, bytes] = {}
        self._named: dict[str, bytes] = {}

    def before(self, number: int) -> None:
        self._moment(number, dict(self._named))

    def create(self, path: Path) -> BinaryIO:
        self._synced[path] = b""
        return super().create(path)

    def sync(self, file: BinaryIO) -> None:
        super().sync(file)
        path = Path(file.name)
        self._synced[path] = path.read_bytes()
        name = str(path.relative_to(self._root))
        if name in self._named:
            self._named[name] = self._synced[path]

    def sync_folder(self, folder: Path) -> None:
        super().sync_folder(folder)
        here = {p for p in folder.iterdir() if p.is_file()} if folder.is_dir() else set()
        for name in list(self._named):
            path = self._root / name
            if path.parent == folder and path not in here and "-wal" not in name:
                del self._named[name]
        for path in here & self._synced.keys():
            self._named[str(path.relative_to(self._root))] = self._synced[path]

    def commit(self, connection: sqlite3.Connection) -> None:
        super().commit(connection)
        if (self._root / "archive.sqlite").exists():
            self.keep_database()

    def keep_database(self) -> None:
        """The database and its log are on the disk as they are now."""
        for name in ("archive.sqlite", "archive.sqlite-wal"):
            path = self._root / name
            if path.exists():
                self._named[name] = path.read_bytes()
            else:
                self._named.pop(name, None)

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        if source in self._synced:
            self._synced[target] = self._synced.pop(source)


# What a scenario does, step by step, and what the archive must hold after each.
State = dict[int, tuple[bytes, str | None]]


def codes_of(seed: int, count: int) -> NDArray[np.uint8]:
    """Codes that tell rows of different steps apart."""
    return random_codes(count, seed=seed)


def steps() -> list[tuple[Callable[[Archive], object], Callable[[State], State]]]:
    """Adds, updates, deletes, upserts and compactions, each with its meaning."""

    def add(seed: int, first: int) -> tuple[Callable[[Archive], object], Callable[[State], State]]:
        codes = codes_of(seed, 5)
        labels = [f"{seed}-{n}" for n in range(5)]
        new = {first + n: (codes[n].tobytes(), labels[n]) for n in range(5)}
        sources = [f"{seed}/{n}" for n in range(5)]
        return (
            lambda a: a.add_codes(codes, labels=labels, sources=sources),
            lambda state: {**state, **new},
        )

    def delete(*ids: int) -> tuple[Callable[[Archive], object], Callable[[State], State]]:
        return (
            lambda a: a.delete(ids=list(ids)),
            lambda state: {i: row for i, row in state.items() if i not in ids},
        )

    def update(number: int) -> tuple[Callable[[Archive], object], Callable[[State], State]]:
        return (
            lambda a: a.update([number], labels=["updated"]),
            lambda state: {**state, number: (state[number][0], "updated")},
        )

    fresh = codes_of(99, 2)
    upserted = {2: (fresh[0].tobytes(), "u"), 21: (fresh[1].tobytes(), "v")}
    return [
        add(0, 1),
        add(1, 6),
        delete(1, 7),
        add(2, 11),
        update(9),
        add(3, 16),
        (
            lambda a: a.upsert(fresh, sources=["0/1", "new"], labels=["u", "v"]),
            lambda state: {**state, **upserted},
        ),
        (lambda a: a.compact(), lambda state: state),
        delete(3, 12),
        add(4, 22),
        (lambda a: a.compact(), lambda state: state),
    ]


def states() -> list[State]:
    """The state before the first step and after each."""
    out: list[State] = [{}]
    for _, meaning in steps():
        out.append(meaning(out[-1]))
    return out


def contents(archive: Archive) -> State:
    """All that an archive holds, as a state."""
    ids = archive.ids()
    records = archive.records(ids)
    codes = archive.codes(ids)
    out = {r.id: (codes[n].tobytes(), r.label) for n, r in enumerate(records)}
    assert len(out) == len(ids) == len(archive)
    return out

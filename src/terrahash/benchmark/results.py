"""The benchmark's folder: one JSON object a line, appended and synced, never rewritten.

Every line says which format it is of, so the file can be cut, joined and kept under version
control. A run is finished when its line is; what a kill leaves of a line is dropped.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from terrahash.errors import InputError

FORMAT = 1
RESULTS = "results.jsonl"

Record = dict[str, Any]


class Results:
    """The lines of ``results.jsonl`` in a folder, open for appending by one process.

    Args:
        folder: made if it is not there.

    Raises:
        InputError: if the folder is something else's, holds lines of another format or damaged
            ones, is being written by another process, or cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / RESULTS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() and any(self.folder.iterdir()):
                raise InputError(
                    f"{self.folder} is not empty and holds no benchmark",
                    "choose a new folder, or one that terrahash benchmark made",
                )
            self._file = path.open("ab")
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        try:
            self._lock()
            whole, self.records = _read(path)
            if whole < path.stat().st_size:
                self._file.truncate(whole)
        except BaseException:
            self._file.close()
            raise

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line; when this returns, it is on the disk.

        Raises:
            InputError: if the disk does not take it.
        """
        stored = {"format": FORMAT, **record}
        line = json.dumps(stored, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        self.records.append(stored)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"another benchmark is writing to {self.folder}",
                "wait until it is done, or choose another folder",
            ) from None


def read_results(folder: str | Path) -> list[Record]:
    """The whole lines of a benchmark folder, also while it is being written; none if there is none.

    Raises:
        InputError: for lines of another format, or damaged ones.
    """
    path = Path(folder) / RESULTS
    return _read(path)[1] if path.exists() else []


def _read(path: Path) -> tuple[int, list[Record]]:
    """Bytes up to the end of the last whole line, and the lines."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    records = []
    for number, line in enumerate(content[:whole].splitlines(), start=1):
        try:
            record = json.loads(line)
        except (UnicodeDecodeError, json.JSONDecodeError):
            record = None
        if not isinstance(record, dict):
            raise InputError(
                f"{path}, line {number}: damaged, not a JSON object",
                "delete the line; its run will be repeated",
            )
        if record.get("format") != FORMAT:
            raise InputError(
                f"{path}, line {number}: benchmark format {record.get('format')!r}, and this "
                f"version of terrahash reads {FORMAT}",
                "go on with the version that made the folder, or choose another folder",
            )
        records.append(record)
    return whole, records


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot write the benchmark to {folder}: {error.strerror}",
        "choose a writable folder with some space",
    )

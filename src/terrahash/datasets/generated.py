"""Folders of tiles that are drawn: there once they are whole, and in the cache from then on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from terrahash.datasets.dataset import Dataset
from terrahash.errors import DatasetError


@contextmanager
def appearing(folder: Path, what: str) -> Iterator[Path]:
    """A folder beside ``folder`` to write into, which takes its place at the end, if all went well.

    Args:
        folder: to be made; must not exist, or be empty.
        what: is written, for messages.

    Raises:
        DatasetError: if the folder is in the way or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"'{folder}' is in the way", f"give a new folder for the {what}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            unfinished.chmod(0o755)
            yield unfinished
            unfinished.replace(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise DatasetError(
            f"cannot write the {what} to '{folder}': {error.strerror}",
            "choose a folder that can be written, or set TERRAHASH_CACHE",
        ) from error


def made_once(
    folder: Path, make: Callable[[Path], Dataset], load: Callable[[Path], Dataset]
) -> Dataset:
    """The data set in ``folder``, made there if it is not.

    Raises:
        DatasetError: if it cannot be made.
    """
    if not folder.is_dir():
        try:
            return make(folder)
        except DatasetError:
            if not folder.is_dir():  # otherwise another process was quicker
                raise
    return load(folder)

"""Finding image files below the paths that a user names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from terrahash.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".jp2", ".gif"}
)

OnError = Callable[[Path, OSError], None]


def find_images(paths: Iterable[str | Path], *, on_error: OnError | None = None) -> list[Path]:
    """Image files named directly or found below folders, each once, in a stable order.

    A file that is named directly is kept whatever its suffix; in folders the known image suffixes
    count, hidden files and folders are passed over, and a loop of symbolic links ends.

    Args:
        paths: files and folders.
        on_error: told of each folder that cannot be read; without it such folders are passed over.

    Raises:
        InputError: if a path does not exist.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = Path(given)
        try:
            is_folder, exists = path.is_dir(), path.exists()
        except OSError as error:
            if on_error is None:
                raise InputError(f"{path}: {error.strerror}", "check its permissions") from None
            on_error(path, error)
            continue
        if is_folder:
            for file in _walk(path, on_error):
                found.setdefault(file)
        elif exists:
            found.setdefault(path)
        else:
            raise InputError(f"no such file or folder: {path}", "check the path's spelling")
    return list(found)


def _walk(top: Path, on_error: OnError | None) -> Iterator[Path]:
    def tell(error: OSError) -> None:
        if on_error is not None:
            on_error(Path(error.filename), error)

    seen: set[tuple[int, int]] = set()
    for folder, subfolders, files in os.walk(top, followlinks=True, onerror=tell):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(folder, name)

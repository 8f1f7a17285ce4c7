"""Unpacking an archive that came from elsewhere: nothing outside, no links, no bombs."""

from __future__ import annotations

import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from terrahash.errors import DatasetError
from terrahash.progress import Reporter, Silent

BLOCK = 1 << 20
MAX_BYTES = 256 << 30  # unpacked; above the largest known data set
MAX_FILES = 10_000_000  # BigEarthNet has 7.7 million
LEFT_OUT = ("__MACOSX", ".DS_Store", "Thumbs.db")


def unpack(
    archive: Path, folder: Path, *, reporter: Reporter | None = None, max_bytes: int = MAX_BYTES
) -> list[Path]:
    """Unpack a zip or tar archive into ``folder``; each of its top folders appears only whole.

    Links, devices and what computers leave behind are passed over.

    Returns:
        What appeared, directly below ``folder``.

    Raises:
        DatasetError: if the archive is damaged, would write outside the folder, unpacks to more
            than ``max_bytes``, or something of that name is there already.
    """
    reporter = reporter or Silent()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as scratch:
            written = 0
            for number, (name, content) in enumerate(_members(archive), start=1):
                target = _inside(Path(scratch), name, archive)
                target.parent.mkdir(parents=True, exist_ok=True)
                with content, target.open("wb") as file:
                    while block := content.read(BLOCK):
                        written += len(block)
                        if written > max_bytes or number > MAX_FILES:
                            raise DatasetError(
                                f"'{archive}' unpacks to more than {max_bytes:,} bytes or "
                                f"{MAX_FILES:,} files",
                                "it is not the archive that was published",
                            )
                        file.write(block)
                if number % 1000 == 0:
                    reporter.advance(f"unpack {archive.name}", number, number + 1, "files")
            appeared = []
            for entry in sorted(Path(scratch).iterdir()):
                target = folder / entry.name
                if target.exists():
                    raise DatasetError(f"'{target}' is in the way", "move it elsewhere first")
                appeared.append(entry.replace(target))
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise DatasetError(f"'{archive}' is damaged: {error}", "fetch it again") from error
    except (NotImplementedError, RuntimeError) as error:  # an unknown or encrypted zip member
        raise DatasetError(f"'{archive}' cannot be unpacked: {error}") from error
    except OSError as error:
        raise DatasetError(
            f"cannot unpack '{archive}' into '{folder}': {error.strerror or error}",
            "make room or choose another folder",
        ) from error
    return appeared


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Names and contents of the regular files in an archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if not info.is_dir() and kind in (0, stat.S_IFREG) and _wanted(info.filename):
                    yield info.filename, zipped.open(info)
    else:
        with tarfile.open(archive) as tarred:
            for member in tarred:
                content = tarred.extractfile(member) if member.isreg() else None
                if content is not None and _wanted(member.name):
                    yield member.name, content


def _wanted(name: str) -> bool:
    return not set(PurePosixPath(name).parts) & set(LEFT_OUT)


def _inside(folder: Path, name: str, archive: Path) -> Path:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in pure.parts[0]:
        raise DatasetError(
            f"'{archive}' would write outside its folder: '{name}'",
            "it is not the archive that was published; delete it",
        )
    return folder / pure

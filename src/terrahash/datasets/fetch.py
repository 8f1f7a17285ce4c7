"""Getting a known data set from its publisher onto this machine."""

from __future__ import annotations

from pathlib import Path

from terrahash.datasets.download import download, verify
from terrahash.datasets.known import KnownDataset
from terrahash.datasets.registry import data_folders, find
from terrahash.datasets.unpack import unpack
from terrahash.errors import DatasetError
from terrahash.progress import Reporter


def fetch(
    known: KnownDataset, *, folder: Path | None = None, reporter: Reporter | None = None
) -> Path:
    """Download, check and unpack a known data set, unless it is here already.

    Args:
        known: which one; whoever calls has shown its terms.
        folder: the data folder to put it into; ``$TERRAHASH_DATA`` or the user's cache if not
            given.
        reporter: told of the progress.

    Returns:
        The folder of the data set, as :func:`terrahash.datasets.load_dataset` will find it.

    Raises:
        DatasetError: if it can only be had by hand, cannot be fetched or unpacked, or is not laid
            out as its publisher says.
    """
    found = find(known, None if folder is None else [folder])
    if found is not None:
        return found if known.prepare is None else known.prepare(found.parent, reporter)
    folder = folder or data_folders()[0]
    for item in known.downloads:
        if not item.url and not (folder / item.filename).exists():
            raise DatasetError(
                f"'{item.filename}' of '{known.name}' cannot be fetched by a program",
                f"{known.by_hand} ({known.homepage}), put it into '{folder}', and run this again",
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"cannot make '{folder}': {error.strerror}", "choose another with --to"
        ) from error
    appeared: list[Path] = []
    for item in known.downloads:
        archive = folder / item.filename
        if archive.exists():
            verify(archive, item.checksum)
        else:
            download(item.url, archive, checksum=item.checksum, reporter=reporter)
        appeared += unpack(archive, folder / item.folder, reporter=reporter)
        archive.unlink()
    found = find(known, [folder]) or _move_into_place(known, folder, appeared)
    return found if known.prepare is None else known.prepare(folder, reporter)


def prepare(known: KnownDataset, reporter: Reporter | None = None) -> Path:
    """Make pictures of what was fetched by hand, where the published files are none.

    Raises:
        DatasetError: if nothing was fetched, or nothing need be prepared.
    """
    found = find(known)
    if known.prepare is None or found is None:
        what = "needs no preparing" if known.prepare is None else "was not found"
        raise DatasetError(f"'{known.name}' {what}", f"terrahash data fetch {known.name}")
    return known.prepare(found.parent, reporter)


def _move_into_place(known: KnownDataset, folder: Path, appeared: list[Path]) -> Path:
    """Put the folder that holds the class folders where :func:`find` looks for it.

    Publishers pack anew now and then, with one folder more or less around the classes.
    """
    wanted = folder / known.folders[0]
    below = [path for top in appeared for path in (top, *sorted(top.rglob("*"))) if path.is_dir()]
    for place in below:
        if all((place / name).is_dir() for name in known.classes):
            aside = place.rename(folder / f".{known.name}.moving")
            if wanted.exists():  # it only wrapped the place
                wanted.rename(folder / f"{wanted.name}.rest")
            wanted.parent.mkdir(parents=True, exist_ok=True)
            return aside.rename(wanted)
    if {path.name for path in appeared} >= set(known.classes):
        wanted.mkdir(parents=True)
        for path in appeared:
            path.rename(wanted / path.name)
        return wanted
    raise DatasetError(
        f"what was fetched for '{known.name}' is laid out otherwise than expected: no class "
        f"folders such as '{known.classes[0]}' in '{folder}'",
        f"move its class folders to '{wanted}'",
    )

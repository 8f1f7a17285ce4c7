"""What is known of a published data set: where it lies, what it holds, how to cite and get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from terrahash.datasets.dataset import Dataset
from terrahash.progress import Reporter


@dataclass(frozen=True)
class Download:
    """One file to fetch.

    Args:
        url: the publisher's address; empty where a program cannot fetch it.
        filename: what it is stored as, below the data folder.
        checksum: ``"md5:…"`` or ``"sha256:…"`` in hexadecimal; empty where none is published.
        folder: where below the data folder an archive is unpacked; ``""`` is the data folder.
    """

    url: str
    filename: str
    checksum: str = ""
    folder: str = ""


@dataclass(frozen=True)
class KnownDataset:
    """What is known of a published data set.

    Args:
        name: what users type.
        title: what its authors call it.
        folders: where its class folders lie below the data folder, as published; first that is
            there wins.
        classes: class folders, in the order of their numbers.
        images: how many images were published.
        tile: size and ground resolution of an image, for people.
        citation: how to cite it.
        terms: what one may do with it.
        homepage: where its authors describe it.
        downloads: archives that ``terrahash data fetch`` gets and unpacks.
        by_hand: how to get those of them that have no address.
        load: how to read it, where it is not simply class folders.
        prepare: what makes pictures of what was fetched, given the data folder, where the
            published files are none.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    classes: tuple[str, ...]
    images: int
    tile: str
    citation: str
    terms: str
    homepage: str
    downloads: tuple[Download, ...]
    by_hand: str = ""
    load: Callable[[Path], Dataset] | None = None
    prepare: Callable[[Path, Reporter | None], Path] | None = None

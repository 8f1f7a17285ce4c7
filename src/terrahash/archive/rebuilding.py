"""The manifest as the segments themselves tell it, where SQLite's file is lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from terrahash.archive import recovering
from terrahash.archive.checking import ENCODER
from terrahash.archive.manifest import NAME, State, meta_of
from terrahash.archive.names import is_spare
from terrahash.archive.segments import SUFFIX, Footer, read_footer, segment_path
from terrahash.errors import ArchiveError, TerrahashError


def footers_of(folder: Path) -> tuple[dict[int, Footer], dict[Path, str]]:
    """Footers of the segments that count, by number, and why other files do not."""
    footers: dict[int, Footer] = {}
    refused: dict[Path, str] = {}
    for path in sorted(folder.glob("*" + SUFFIX)):
        try:
            footer = read_footer(path)
        except ArchiveError as error:
            refused[path] = f"{error.message}; its rows are not known"
            continue
        if segment_path(folder, footer.seq) == path:
            footers[footer.seq] = footer
        else:
            refused[path] = f"{path} is a copy of segment {footer.seq}"
    archives = Counter(map(_archive_of, footers.values()))
    for seq, footer in list(footers.items()):
        if _archive_of(footer) != archives.most_common(1)[0][0]:
            path = segment_path(folder, seq)
            refused[path] = f"{path} is of another archive than the other segments"
            del footers[seq]
    # Names that a writer made ahead come after all segments; an empty file among these is none.
    last = segment_path(folder, max(footers, default=0))
    refused = {p: why for p, why in refused.items() if p <= last or not is_spare(p)}
    return recovering.settled(footers), refused


def state_of(
    path: Path, footers: Mapping[int, Footer], refused: Iterable[Path]
) -> tuple[Mapping[str, str], State]:
    """Meta and state of the manifest that names some segments, and counts on past other files.

    Raises:
        ArchiveError: if there is none and no encoder to tell the layout from.
    """
    columns: dict[str, str] = {}
    for footer in footers.values():
        columns |= footer.archive["columns"]
    state = State(
        0,
        max([1, *(max(f.next_id, f.ids[1] + 1) for f in footers.values())]),
        1 + max([0, *footers, *(int(p.stem) for p in refused if p.stem.isdecimal())]),
        columns,
        dict(sorted(footers.items())),
        {},
    )
    return _meta(path, footers), state


def _archive_of(footer: Footer) -> str:
    names = ("layout", "encoder_fingerprint", "created")
    return json.dumps([footer.archive.get(name) for name in names])


def _meta(path: Path, footers: Mapping[int, Footer]) -> dict[str, str]:
    if footers:
        archive = footers[max(footers)].archive
        return meta_of(archive["layout"], archive["encoder_fingerprint"], archive["created"])
    hopeless = ArchiveError(
        f"{path}: neither {NAME} nor any segment nor the encoder can be read",
        "restore it from a copy, or index the images again",
    )
    if not (path / ENCODER).is_dir():
        raise hopeless
    from terrahash.encoder import Encoder

    try:
        encoder = Encoder.load(path / ENCODER)
    except TerrahashError as error:
        raise hopeless from error
    return meta_of(encoder.layout.to_json(), encoder.fingerprint, "unknown")

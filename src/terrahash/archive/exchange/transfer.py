"""The two calls of exchange, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrahash.archive.exchange import arrays, csvs, geoparquet, stac
from terrahash.archive.exchange.report import ExchangeReport
from terrahash.archive.exchange.rows import Identity, Rows
from terrahash.archive.files import explained
from terrahash.codes import CodeLayout
from terrahash.errors import InputError

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

# Format of a file by the end of its name.
FORMATS = {
    ".parquet": "geoparquet",
    ".geoparquet": "geoparquet",
    ".json": "stac",
    ".geojson": "stac",
    ".csv": "csv",
    ".npy": "numpy",
    ".npz": "numpy",
}


def format_of(path: Path, given: str | None = None) -> str:
    """The format to use for a file.

    Raises:
        InputError: if neither the name nor the caller says it.
    """
    if given is not None and given not in FORMATS.values():
        raise InputError(
            f"the format '{given}' is not known",
            f"choose one of: {', '.join(dict.fromkeys(FORMATS.values()))}",
        )
    found = given or FORMATS.get(path.suffix.lower()) or ("stac" if path.is_dir() else None)
    if found is None:
        raise InputError(
            f"{path}: the format is not known from its name",
            f"end it in one of {', '.join(FORMATS)}",
        )
    return found


def export_tiles(
    archive: Archive, target: str | Path, *, kind: str | None = None, **filters: Any
) -> ExchangeReport:
    """Write the tiles that meet filters to a file; it is there whole or not at all.

    Args:
        archive: whose tiles.
        target: the file; one that is there already is replaced.
        kind: ``geoparquet``, ``stac``, ``csv`` or ``numpy``; by default as the name ends.
        filters: ``where``, ``bbox``, ``after``, ``before``.

    Raises:
        InputError: if kind or filters are wrong.
        ArchiveError: if the file cannot be written.
    """
    target = Path(target)
    chosen = format_of(target, kind)
    report = ExchangeReport()
    ids = archive.ids(**filters)
    scratch = target.with_name(f".{target.stem}.part{target.suffix}")
    with explained(target, "exporting"):
        try:
            match chosen:
                case "geoparquet":
                    report.rows = geoparquet.write(archive, ids, scratch)
                case "stac":
                    report.rows = stac.write(archive, ids, scratch, report)
                case "csv":
                    report.rows = csvs.write(archive, ids, scratch)
                case _:
                    report.rows = arrays.write(archive, ids, scratch)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
    return report


def import_tiles(
    path: str | Path,
    source: str | Path,
    *,
    kind: str | None = None,
    layout: CodeLayout | None = None,
    on_conflict: str = "error",
) -> ExchangeReport:
    """Add the tiles of a file to an archive, which is made where there is none.

    A new archive keeps the ids of the file; otherwise tiles get new ones.

    Args:
        path: of the archive.
        source: the file, for STAC also a folder.
        kind: as for :func:`export_tiles`.
        layout: of the codes, where the file does not say it; an archive that exists says it too.
        on_conflict: see :meth:`terrahash.archive.Archive.add_codes`.

    Raises:
        InputError: if the file cannot be read, or its layout is not known.
        ArchiveError: if the codes are of another encoder or layout than the archive's.
    """
    from terrahash.archive.archive import Archive, open_archive
    from terrahash.archive.manifest import NAME

    source, path = Path(source), Path(path)
    if not source.exists():
        raise InputError(f"{source}: no such file", "check the path")
    report = ExchangeReport()
    reader = _Reader(source, format_of(source, kind), report)
    fresh = not (path / NAME).exists()
    if fresh:
        known = reader.identity.layout or layout
        if known is None:
            raise InputError(
                f"{source} does not say how its codes are laid out",
                "say how many bits they have: --bits 64, or layout=CodeLayout(64)",
            )
        archive = Archive.create(path, known, encoder_fingerprint=reader.identity.encoder)
    else:
        archive = open_archive(path)
    with archive:
        if layout not in (None, archive.layout):
            raise InputError(
                f"{path} holds codes of {archive.layout.bits} bits, of which "
                f"{archive.layout.label_bits} are label bits, not of the layout given",
                "leave the layout out, or import the codes into another archive",
            )
        reader.identity.check(archive, str(source))
        for rows in reader.rows(archive):
            keep = fresh and rows.ids is not None and bool((rows.ids > 0).all())
            rows.add_to(archive, on_conflict=on_conflict, keep_ids=keep)
            report.rows += len(rows.codes)
    return report


class _Reader:
    def __init__(self, source: Path, chosen: str, report: ExchangeReport) -> None:
        self._source = source
        self._format = chosen
        self._report = report
        self._data: Any = None
        self.identity = Identity(None)
        match chosen:
            case "geoparquet":
                self.identity = geoparquet.identity(source)
            case "stac":
                self._data = stac.load(source)
                self.identity = stac.identity(self._data)
            case "numpy":
                self._data = arrays.load(source)
                self.identity = arrays.identity(self._data)

    def rows(self, archive: Archive) -> Iterator[Rows]:
        nbytes = archive.layout.nbytes
        kinds = {**archive.info().columns, **self.identity.columns}
        for name, kind in self.identity.columns.items():
            archive.add_column(name, kind)
        match self._format:
            case "geoparquet":
                yield from geoparquet.read(self._source, nbytes, kinds)
            case "stac":
                yield from stac.read(self._data, nbytes, kinds, self._report)
            case "csv":
                yield from csvs.read(self._source, nbytes, kinds, self._report)
            case _:
                yield from arrays.read(self._data, archive.layout, self._source)

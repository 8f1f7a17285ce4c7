"""Verifying an archive: every checksum, every count, every name, without changing anything."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from terrahash.archive import celling, recovering, thumbnails
from terrahash.archive.files import Files
from terrahash.archive.ids import IdRuns
from terrahash.archive.manifest import NAME, Manifest, State, not_an_archive
from terrahash.archive.names import is_spare
from terrahash.archive.segments import (
    SUFFIX,
    Footer,
    Segment,
    damaged,
    read_footer,
    segment_path,
)
from terrahash.codes import CodeLayout
from terrahash.errors import ArchiveError, TerrahashError

SEGMENTS = "segments"
ENCODER = "encoder"
# What a writer removes while it is being looked at is looked for again, this often at most.
ATTEMPTS = 20
# A commit that is under way ends within this time, on a busy disk too.
COMMIT_SECONDS = 5.0


@dataclass(frozen=True)
class Problem:
    """Something about an archive that is not as it should be.

    Attributes:
        where: file that it concerns.
        what: what is wrong with it.
    """

    where: str
    what: str

    def to_json(self) -> dict[str, str]:
        """A JSON-ready description."""
        return {"where": self.where, "what": self.what}


@dataclass
class Verification:
    """What `verify` found.

    Attributes:
        path: of the archive.
        problems: what is damaged; empty if the archive is sound.
        orphans: files that nothing names, left by a write that was cut short; the next writer
            removes them.
        segments, rows, tiles: how many the manifest names, and how many tiles live in them.
    """

    path: str
    problems: list[Problem] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    segments: int = 0
    rows: int = 0
    tiles: int = 0

    @property
    def ok(self) -> bool:
        """Whether the archive is sound."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return {
            "path": self.path,
            "ok": self.ok,
            "segments": self.segments,
            "rows": self.rows,
            "tiles": self.tiles,
            "problems": [problem.to_json() for problem in self.problems],
            "orphans": self.orphans,
        }


def verify(path: str | Path) -> Verification:
    """Check an archive against everything that is known of it; changes nothing.

    Raises:
        ArchiveError: if there is no archive.
    """
    path = Path(path)
    folder = path / SEGMENTS
    if not (path / NAME).exists() and not any(folder.glob("*" + SUFFIX)):
        raise not_an_archive(path)
    report = Verification(str(path))
    try:
        manifest = Manifest(path, writable=False, files=Files())
    except ArchiveError as error:
        report.problems.append(Problem(NAME, error.message))
        return report
    try:
        _check(manifest, report)
    except ArchiveError as error:
        report.problems.append(Problem(NAME, error.message))
    finally:
        manifest.close()
    return report


def _check(manifest: Manifest, report: Verification) -> None:
    """Fill a report of an archive that a writer may be changing meanwhile."""
    path, meta = Path(report.path), manifest.meta
    folder = path / SEGMENTS
    report.problems += [Problem(NAME, text) for text in manifest.integrity()]
    state, segments = _opened(manifest, folder)
    report.problems += check_manifest(state, meta)
    report.problems += _check_cells(manifest, path)
    hurt = False
    for seq, footer in state.segments.items():
        problems = list(check_segment(folder, footer))
        if problems and not _is_gone(manifest, folder, seq):
            report.problems += problems
            hurt = True
    report.segments = len(state.segments)
    report.rows = sum(footer.rows for footer in state.segments.values())
    if not hurt and len(segments) == len(state.segments):
        report.problems += _check_whole(state, segments, meta, report)
    lacking = _lacking(manifest, folder)
    for seq, footer in lacking.items():
        report.problems.append(
            Problem(
                f"{SEGMENTS}/{segment_path(folder, seq).name}",
                f"a finished change, {footer.rows} rows, is not named in {NAME}: its log was lost "
                "or damaged, or the writer died before the last step; the next writer, or repair, "
                "names it",
            )
        )
    unnamed = {p for p in folder.glob("*" + SUFFIX) if not is_spare(p)} - {
        segment_path(folder, seq) for seq in (*manifest.state().segments, *lacking)
    }
    report.orphans = sorted(p.name for p in unnamed if p.exists())
    report.problems += _check_encoder(path, meta.get("encoder_fingerprint", ""))


def _opened(manifest: Manifest, folder: Path) -> tuple[State, list[Segment]]:
    """A state and its segments that can be opened, which stay readable whatever a writer does."""
    for _ in range(ATTEMPTS):
        state = manifest.state()
        segments = []
        for footer in state.segments.values():
            with contextlib.suppress(ArchiveError, OSError):
                segments.append(Segment.open(folder, footer))
        if len(segments) == len(state.segments) or manifest.version() == state.version:
            break
    return state, segments


def _is_gone(manifest: Manifest, folder: Path, seq: int) -> bool:
    """Whether a writer has replaced a segment meanwhile."""
    return not segment_path(folder, seq).exists() and seq not in manifest.state().segments


def _check_cells(manifest: Manifest, path: Path) -> list[Problem]:
    found: list[str] = []
    for _ in range(ATTEMPTS):
        state = manifest.state()
        found = celling.problems(path, state.cells)
        if not found or manifest.version() == state.version:
            break
    return [Problem("cells", text) for text in found]


def _lacking(manifest: Manifest, folder: Path) -> dict[int, Footer]:
    """Finished changes that are not named, but for one that is just being committed."""
    state = manifest.state()
    found = recovering.unnamed(folder, state, recovering.following(folder, state))
    if not found:
        return {}
    end = time.monotonic() + COMMIT_SECONDS
    while True:
        next_seq = manifest.state().next_seq
        found = {seq: footer for seq, footer in found.items() if seq >= next_seq}
        if not found or time.monotonic() >= end:
            return found
        time.sleep(COMMIT_SECONDS / 100)


def check_manifest(state: State, meta: Mapping[str, str]) -> Iterator[Problem]:
    """Whether the manifest agrees with what the segments repeat of it."""
    for seq, footer in state.segments.items():
        if footer.seq != seq or seq >= state.next_seq:
            yield Problem(NAME, f"segment {seq} is numbered wrongly")
        if footer.next_id > state.next_id or footer.ids[1] >= state.next_id:
            yield Problem(NAME, f"the next id {state.next_id} was given out before")
        if footer.archive.get("encoder_fingerprint") != meta.get("encoder_fingerprint"):
            yield Problem(NAME, f"the encoder's fingerprint is not that of segment {seq}")
        try:
            same = footer.archive.get("layout") == json.loads(meta["layout"])
        except (KeyError, ValueError):
            same = False
        if not same:
            yield Problem(NAME, f"the layout of codes is not that of segment {seq}")
        for name, kind in footer.archive.get("columns", {}).items():
            if state.columns.get(name) != kind:
                yield Problem(NAME, f"column '{name}' of segment {seq} is unknown")


def check_segment(folder: Path, footer: Footer) -> Iterator[Problem]:
    """Whether a segment's file is there, whole and as it was written."""
    path = segment_path(folder, footer.seq)
    name = f"{SEGMENTS}/{path.name}"
    try:
        yield from _check_file(path, name, footer)
    except FileNotFoundError:
        yield Problem(name, f"is missing, with {footer.rows} rows")


def _check_file(path: Path, name: str, footer: Footer) -> Iterator[Problem]:
    if path.stat().st_size < footer.data_end:
        yield Problem(name, f"is torn: {path.stat().st_size} of {footer.size} bytes")
    own = True
    try:
        own = read_footer(path).to_text() == footer.to_text()
        if not own:
            yield Problem(name, "its footer differs from the manifest's copy")
    except ArchiveError:
        yield Problem(name, "its footer is damaged")
    hurt: dict[str, int] = {}
    for place, start, stop in damaged(path, footer):
        hurt[place.name] = hurt.get(place.name, 0) + stop - start
    for array, size in hurt.items():
        yield Problem(name, f"{size} bytes of '{array}' do not match their checksum")
    if own and not hurt and footer.rows and path.stat().st_size >= footer.data_end:
        segment = Segment.open(path.parent, footer)
        if not sound_ids(segment.ids, footer):
            yield Problem(name, "its ids do not ascend or are not as many as its rows")
        if len(segment.codes) != footer.rows:
            yield Problem(name, f"has {len(segment.codes)} codes for {footer.rows} rows")


def sound_ids(ids: IdRuns, footer: Footer) -> bool:
    """Whether ids ascend and fill their rows."""
    if not len(ids.rows) or ids.rows[0] != 0 or ids.rows[-1] >= footer.rows:
        return False
    lengths = np.diff(ids.rows)
    return bool(
        (lengths > 0).all()
        and (ids.ids[:-1] + lengths <= ids.ids[1:]).all()
        and (ids.first, ids.last) == footer.ids
    )


def _check_whole(
    state: State, segments: list[Segment], meta: Mapping[str, str], report: Verification
) -> Iterator[Problem]:
    from terrahash.archive.snapshot import Snapshot

    try:
        layout = CodeLayout.from_json(json.loads(meta["layout"]))
    except (KeyError, ValueError, TerrahashError):
        yield Problem(NAME, "the layout of codes is unreadable")
        return
    snapshot = Snapshot(state, segments, layout)
    for target, rows in snapshot.dead.items():
        if len(rows) and int(rows[-1]) >= state.segments[target].rows:
            yield Problem(NAME, f"a row is deleted that segment {target} does not have")
            return
    report.tiles = len(snapshot)
    if len(snapshot.groups) > 1:
        ids = snapshot.ids()
        twice = ids[1:][ids[1:] == ids[:-1]]
        if len(twice):
            yield Problem(NAME, f"{len(twice)} ids are there twice, the first is {int(twice[0])}")
    for text in thumbnails.problems(Path(report.path), snapshot):
        yield Problem(thumbnails.NAME, text)


def _check_encoder(path: Path, fingerprint: str) -> Iterator[Problem]:
    if not (path / ENCODER).is_dir():
        return
    from terrahash.encoder import Encoder

    try:
        found = Encoder.load(path / ENCODER).fingerprint
    except TerrahashError as error:
        yield Problem(ENCODER, error.message)
        return
    if found != fingerprint:
        yield Problem(ENCODER, f"is encoder {found}, not {fingerprint} that made the codes")

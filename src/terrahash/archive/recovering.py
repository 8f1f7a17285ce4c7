"""Finished changes that the manifest does not name, and how it catches up with them.

SQLite drops what follows the first damaged frame of its log, and everything when the log is
missing: the manifest is then an older state of itself that looks sound. The segments of the later
changes are still there, and say all that it needs to name them again. A write that was killed
between its segment and its commit looks the same: it was whole, and becomes true.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from terrahash.archive import celling
from terrahash.archive.manifest import Manifest, State
from terrahash.archive.segments import (
    SUFFIX,
    Footer,
    damaged,
    read_footer,
    segment_path,
)
from terrahash.errors import ArchiveError


def following(folder: Path, state: State) -> dict[int, Footer]:
    """Segments that are numbered after the last one that the manifest knew, by number.

    A file without a footer of its own number is none: a write that was cut short, or a spare name.
    """
    found = {}
    for path in sorted(folder.glob("*" + SUFFIX)):
        if not path.stem.isdecimal() or int(path.stem) < state.next_seq:
            continue
        try:
            footer = read_footer(path)
        except (ArchiveError, FileNotFoundError):  # the latter beside a writer
            continue
        if segment_path(folder, footer.seq) == path:
            found[footer.seq] = footer
    return found


def is_whole(folder: Path, footer: Footer) -> bool:
    """Whether a segment's file matches its checksums."""
    path = segment_path(folder, footer.seq)
    return next(damaged(path, footer), None) is None


def settled(footers: Mapping[int, Footer], named: Collection[int] = ()) -> dict[int, Footer]:
    """Of segments those that count: nothing that a merge took over, and no part of a merge.

    A merge, or a repair, whose segments are not all there was cut short. What it wrote is left out
    if all that it was to replace is there.

    Args:
        footers: of all segments, by number.
        named: numbers of those that the manifest names.
    """
    merged = {seq for footer in footers.values() for seq in footer.replaces}

    def finished(footer: Footer) -> bool:
        first, count = footer.outputs
        return footer.seq in named or all(
            seq in merged or (seq in footers and footers[seq].outputs == footer.outputs)
            for seq in range(first, first + count)
        )

    whole = {seq for seq, footer in footers.items() if finished(footer)}
    replaced = {number for seq in whole for number in footers[seq].replaces}
    return {
        seq: footer
        for seq, footer in footers.items()
        if seq not in replaced
        and (seq in whole or not all(number in footers for number in footer.replaces))
    }


def unnamed(folder: Path, state: State, found: Mapping[int, Footer]) -> dict[int, Footer]:
    """Of the segments found behind a state those that hold what it lacks.

    A finished merge of segments that are all named and there holds nothing new.
    """
    return {
        seq: footer
        for seq, footer in settled({**state.segments, **found}, state.segments).items()
        if seq in found
        and not (
            footer.replaces
            and all(
                number in state.segments and segment_path(folder, number).exists()
                for number in footer.replaces
            )
        )
    }


def same_archive(meta: Mapping[str, str], layout: object, footer: Footer) -> bool:
    """Whether a segment was written by the archive whose manifest this is."""
    described = footer.archive
    return (
        described.get("layout") == layout
        and described.get("encoder_fingerprint") == meta.get("encoder_fingerprint")
        and described.get("created") == meta.get("created")
    )


def catch_up(manifest: Manifest, state: State, folder: Path, found: Mapping[int, Footer]) -> State:
    """Commit what was found behind a state; gives the state after it."""
    after = settled({**state.segments, **found}, state.segments)
    add = [footer for seq, footer in after.items() if seq not in state.segments]
    if not add:
        return state
    merged = _merged_since(state, folder, found)
    remove = [seq for seq in state.segments if seq not in after or seq in merged]
    columns = dict(state.columns)
    for footer in add:
        columns |= footer.archive["columns"]
    return manifest.commit(
        state,
        add=add,
        remove=remove,
        next_id=max([state.next_id, *(footer.next_id for footer in add)]),
        columns=columns,
        cells=celling.remaining(state.cells, set(remove)),
    )


def _merged_since(state: State, folder: Path, found: Mapping[int, Footer]) -> set[int]:
    """Segments that the manifest names but later merges took over, one after the other.

    A merge of segments that were written after the state and are gone themselves says that there
    were such; the files of what they took over are gone too.
    """
    between = any(
        number >= state.next_seq and number not in found
        for footer in found.values()
        for number in footer.replaces
    )
    if not between:
        return set()
    return {seq for seq in state.segments if not segment_path(folder, seq).exists()}

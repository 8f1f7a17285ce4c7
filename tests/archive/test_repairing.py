"""Damage is found by `verify`, and `repair` keeps all that is sound."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from terrahash.archive import Archive, open_archive, repair, verify
from terrahash.archive.segments import read_footer
from terrahash.errors import ArchiveError

from .conftest import LAYOUT, random_codes

ROWS = 30_000


@pytest.fixture
def stored(folder: Path) -> Path:
    """Two segments of many blocks each, one update, and deletes in both."""
    codes = random_codes(ROWS)
    with Archive.create(folder, LAYOUT) as archive:
        for start in (0, ROWS // 2):
            rows = range(start, start + ROWS // 2)
            archive.add_codes(
                codes[start : start + ROWS // 2],
                sources=[f"tiles/{row:06d}.tif" for row in rows],
                labels=[f"class {row % 7}" for row in rows],
                datetimes=np.arange(start, start + ROWS // 2) * 1_000_000,
                bboxes=np.tile([10.0, 20.0, 11.0, 21.0], (ROWS // 2, 1)),
                columns={"cloud": np.arange(start, start + ROWS // 2) / 10},
            )
        archive.update([5], labels=["changed"])
        archive.delete(ids=[7, 20_000])
    return folder


def segment(folder: Path, number: int) -> Path:
    return sorted((folder / "segments").glob("*.seg"))[number]


def flip(path: Path, at: int) -> None:
    with path.open("rb+") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def place(path: Path, name: str) -> int:
    return next(a.offset for a in read_footer(path).arrays if a.name == name)


def check_rest(folder: Path, lost: set[int]) -> None:
    """Every row that is not lost is there as it was added, and no deleted one."""
    codes = random_codes(ROWS)
    with open_archive(folder) as archive:
        expected = sorted(set(range(1, ROWS + 1)) - lost - {7, 20_000})
        ids = archive.ids()
        assert ids.tolist() == expected
        assert np.array_equal(archive.codes(ids), codes[ids - 1])
        for record in archive.records(ids[:: len(ids) // 50]):
            assert record.source in (f"tiles/{record.id - 1:06d}.tif", None)
    assert verify(folder).ok


def test_a_sound_archive_is_left_alone(stored: Path) -> None:
    before = sorted(p.name for p in stored.rglob("*.seg"))
    report = verify(stored)
    assert report.ok
    assert (report.rows, report.tiles) == (ROWS + 1, ROWS - 2)
    assert repair(stored).done == []
    assert sorted(p.name for p in stored.rglob("*.seg")) == before
    check_rest(stored, set())


def test_flipped_codes_cost_the_rows_under_their_checksum(stored: Path) -> None:
    flip(segment(stored, 0), place(segment(stored, 0), "codes") + 70_000)
    problems = verify(stored).problems
    assert len(problems) == 1
    assert "'codes' do not match their checksum" in problems[0].what
    report = repair(stored)
    lost = set(range(8193, 15_001))
    assert report.lost_rows == len(lost)
    assert report.lost_ids == [(8193, 15_000)]
    assert len(list((stored / "damaged").iterdir())) == 1
    check_rest(stored, lost)


@pytest.mark.parametrize("name", ["source.data", "source.offsets", "label.codes", "datetime"])
def test_flipped_metadata_cost_the_values_only(stored: Path, name: str) -> None:
    flip(segment(stored, 1), place(segment(stored, 1), name) + 30)
    report = repair(stored)
    assert report.lost_rows == 0
    assert 0 < report.lost_values <= 15_000
    check_rest(stored, set())


def test_a_footprint_loses_all_its_sides_together(stored: Path) -> None:
    flip(segment(stored, 0), place(segment(stored, 0), "south") + 30)
    repair(stored)
    with open_archive(stored, mode="r") as archive:
        assert archive.records([1])[0].bbox is None
        assert archive.records([9000])[0].bbox == (10, 20, 11, 21)


def test_lookups_and_zones_are_made_anew(stored: Path) -> None:
    for name in ("source.hash", "source.hashrows", "datetime.zones"):
        flip(segment(stored, 0), place(segment(stored, 0), name))
    report = repair(stored)
    assert (report.lost, report.lost_rows, report.lost_values) == ([], 0, 0)
    check_rest(stored, set())
    with open_archive(stored, mode="r") as archive:
        assert archive.ids_of_sources(["tiles/000099.tif"]) == {"tiles/000099.tif": [100]}


def test_a_torn_segment_keeps_what_comes_before_the_tear(stored: Path) -> None:
    path = segment(stored, 1)
    with path.open("rb+") as file:
        file.truncate(place(path, "codes") + 65_536 + 5)
    with pytest.raises(ArchiveError, match="is torn"):
        open_archive(stored, mode="r")
    assert any("torn" in problem.what for problem in verify(stored).problems)
    report = repair(stored)
    assert report.lost_ids[0][0] == 15_001 + 8192
    # Without its columns: only the codes were there.
    check_rest(stored, set(range(15_001 + 8192, 30_001)))


def test_a_missing_segment_is_reported_with_its_ids(stored: Path) -> None:
    segment(stored, 0).unlink()
    with pytest.raises(ArchiveError, match="is missing"):
        open_archive(stored, mode="r")
    report = repair(stored)
    # Id 5 lives in the segment of its update; id 7 was deleted before.
    assert report.lost_rows == 15_000 - 2
    check_rest(stored, set(range(1, 15_001)) - {5})


def test_damaged_tombstones_are_known_from_the_footer(stored: Path) -> None:
    for number in (2, 3):
        path = segment(stored, number)
        flip(path, place(path, "dead.1"))
    segment(stored, 3).write_bytes(b"")
    report = repair(stored)
    assert (report.lost, report.lost_rows) == ([], 0)
    check_rest(stored, set())


@pytest.mark.parametrize("how", ["garbage", "zeros in the middle", "truncated", "missing", "lied"])
def test_a_damaged_manifest_is_rebuilt_from_the_segments(stored: Path, how: str) -> None:
    path = stored / "archive.sqlite"
    if how == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    elif how == "zeros in the middle":
        raw = path.read_bytes()
        path.write_bytes(raw[:4096] + bytes(8192) + raw[4096 + 8192 :])
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    elif how == "missing":
        path.unlink()
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE meta SET value = '3' WHERE key = 'next_id'")
        connection.close()
    if how != "missing":
        assert not verify(stored).ok
    if how != "lied":
        with pytest.raises(ArchiveError, match=r"damaged|missing"):
            open_archive(stored)
    report = repair(stored)
    assert any("made anew" in text for text in report.done)
    assert report.lost == []
    check_rest(stored, set())
    with open_archive(stored) as archive:
        assert archive.records([5])[0].label == "changed"
        assert archive.add_codes(random_codes(1)).tolist() == [ROWS + 1]


def test_manifest_and_segment_damaged_together(stored: Path) -> None:
    (stored / "archive.sqlite").write_bytes(b"no database")
    flip(segment(stored, 0), place(segment(stored, 0), "codes"))
    with segment(stored, 1).open("rb+") as file:
        file.seek(-10, 2)
        file.write(b"..........")
    report = repair(stored)
    assert report.lost_rows == 8192 - 2
    assert any("footer damaged" in text for text in report.lost)
    with open_archive(stored, mode="r") as archive:
        assert archive.ids().tolist() == sorted({5, *range(8193, 15_001)})


def test_nothing_left_to_repair(stored: Path, tmp_path: Path) -> None:
    (stored / "archive.sqlite").write_bytes(b"no database")
    for path in (stored / "segments").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ArchiveError, match="restore it from a copy"):
        repair(stored)
    with pytest.raises(ArchiveError, match="does not exist"):
        verify(tmp_path / "nowhere")


def test_orphans_are_reported_and_swept_by_the_next_writer(stored: Path) -> None:
    shutil.copy(segment(stored, 0), stored / "segments" / "0000000099.seg")
    report = verify(stored)
    assert report.ok
    assert report.orphans == ["0000000099.seg"]
    open_archive(stored).close()
    assert verify(stored).orphans == []


@pytest.mark.parametrize("back", [1, 8, 14, 19, 24])  # mark, checksum, length
def test_a_flipped_end_of_a_segment_costs_nothing(stored: Path, back: int) -> None:
    path = segment(stored, 0)
    flip(path, path.stat().st_size - back)
    assert not verify(stored).ok
    with open_archive(stored, mode="r") as archive:
        assert len(archive) == ROWS - 2
    assert not repair(stored).lost
    assert verify(stored).ok
    check_rest(stored, set())

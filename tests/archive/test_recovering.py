"""A damaged or lost log of SQLite costs nothing: the segments say what was acknowledged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrahash.archive import Archive, celling, checking, merging, open_archive, repair, verify
from terrahash.archive.segments import segment_path
from terrahash.errors import ArchiveError

from .conftest import LAYOUT, random_codes
from .faults import contents, states, steps

LOG, SHARED = "archive.sqlite-wal", "archive.sqlite-shm"
# A frame of the log: 24 bytes before a page of 4,096; 32 bytes come before the first.
FRAME = 24 + 4096


@pytest.fixture(autouse=True)
def _merge_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "FAN_OUT", 3)
    monkeypatch.setattr(merging, "GROWTH", 1)
    monkeypatch.setattr(celling, "MIN_ROWS", 1)
    monkeypatch.setattr(checking, "COMMIT_SECONDS", 0.0)


def killed(folder: Path, target: Path, first: int = 0, stop: int | None = None) -> Path:
    """What a kill leaves of an archive after the steps up to one, some of them in the log only."""
    Archive.create(folder, LAYOUT).close()
    with open_archive(folder) as archive:
        for do, _ in steps()[:first]:
            do(archive)
    with open_archive(folder) as archive:
        for do, _ in steps()[first:stop]:
            do(archive)
        shutil.copytree(folder, target)
    return target


@pytest.fixture(scope="module")
def adds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five changes that are in the log only, without merges."""
    base = tmp_path_factory.mktemp("adds")
    with Archive.create(base / "live", LAYOUT) as archive:
        for seed in range(4):
            archive.add_codes(random_codes(10, seed), labels=[f"{seed}"] * 10)
        archive.delete(ids=[3])
        shutil.copytree(base / "live", base / "killed")
    return base / "killed"


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def cut(path: Path, share: float) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(40_000))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "log missing": lambda folder: (folder / LOG).unlink(),
    "log and index missing": lambda folder: [(folder / n).unlink() for n in (LOG, SHARED)],
    "log empty": lambda folder: (folder / LOG).write_bytes(b""),
    "log torn": lambda folder: cut(folder / LOG, 0.5),
    "log torn in its header": lambda folder: (folder / LOG).write_bytes(b"7\x7f\x06"),
    "header flipped": lambda folder: flip(folder / LOG, 3),
    "first frame flipped": lambda folder: flip(folder / LOG, 100),
    "last frame flipped": lambda folder: flip(folder / LOG, -10),
    "log is garbage": lambda folder: garbage(folder / LOG),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_changes_that_the_log_lost_are_found_and_brought_back(
    adds: Path, tmp_path: Path, how: str
) -> None:
    for mend in (lambda folder: repair(folder), lambda folder: open_archive(folder).close()):
        folder = tmp_path / "archive"
        shutil.copytree(adds, folder)
        DAMAGES[how](folder)
        with open_archive(folder, mode="r") as archive:
            known = len(archive.snapshot().all_segments)
        assert known < 5
        report = verify(folder)
        assert len([p for p in report.problems if "is not named" in p.what]) == 5 - known
        mend(folder)
        with open_archive(folder, mode="r") as archive:
            assert archive.ids().tolist() == sorted({*range(1, 41)} - {3})
            assert archive.records([40])[0].label == "3"
        report = verify(folder)
        assert (report.problems, report.orphans) == ([], [])
        shutil.rmtree(folder)


@pytest.mark.parametrize("how", ["missing", "garbage", "empty"])
def test_the_index_of_the_log_is_made_anew(adds: Path, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "archive"
    shutil.copytree(adds, folder)
    if how == "missing":
        (folder / SHARED).unlink()
    elif how == "garbage":
        (folder / SHARED).write_bytes(np.random.default_rng(1).bytes(32_768))
    else:
        (folder / SHARED).write_bytes(b"")
    assert verify(folder).ok
    assert repair(folder).done == []
    with open_archive(folder) as archive:
        assert len(archive) == 39


def test_nothing_is_lost_wherever_the_log_ends(tmp_path: Path) -> None:
    """Over merges of merges and compaction: the older the state, the more of its files are gone."""
    pattern = killed(tmp_path / "live", tmp_path / "killed", first=3)
    frames = (len((pattern / LOG).read_bytes()) - 32) // FRAME
    assert frames > 15
    for frame in range(0, frames, 2):
        for mend in (repair, lambda folder: open_archive(folder).close()):
            folder = tmp_path / "archive"
            shutil.copytree(pattern, folder)
            flip(folder / LOG, 32 + frame * FRAME + 200)
            mend(folder)  # type: ignore[operator]
            with open_archive(folder) as archive:
                assert contents(archive) == states()[-1], frame
                assert archive.add_codes(random_codes(1))[0] > max(states()[-1])
            report = verify(folder)
            assert (report.problems, report.orphans) == ([], []), frame
            shutil.rmtree(folder)


def test_the_log_of_another_archive_is_told_from_its_own(
    adds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive.create(tmp_path / "other", LAYOUT) as other:
        for seed in range(2):
            other.add_codes(random_codes(3, 50 + seed))
        log = (tmp_path / "other" / LOG).read_bytes()
    folder = tmp_path / "archive"
    shutil.copytree(adds, folder)
    (folder / LOG).write_bytes(log)
    for mode in ("r", "a"):
        with pytest.raises(ArchiveError, match=r"is not the segment|of another archive"):
            open_archive(folder, mode=mode)  # type: ignore[arg-type]
    assert not verify(folder).ok
    assert len(list((folder / "segments").glob("*.seg"))) >= 5
    report = repair(folder)
    assert (report.lost, report.lost_rows) == ([], 0)
    with open_archive(folder) as archive:
        assert archive.ids().tolist() == sorted({*range(1, 41)} - {3})


def test_a_damaged_segment_behind_a_lost_log_keeps_its_sound_rows(tmp_path: Path) -> None:
    with Archive.create(tmp_path / "live", LAYOUT) as archive:
        archive.add_codes(random_codes(20_000))
        archive.add_codes(random_codes(5, 1))
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
    (tmp_path / "killed" / LOG).unlink()
    path = segment_path(tmp_path / "killed" / "segments", 1)
    flip(path, 70_000)
    shutil.copytree(tmp_path / "killed", tmp_path / "opened")
    report = repair(tmp_path / "killed")
    assert report.lost_ids == [(8193, 16_384)]
    with open_archive(tmp_path / "killed") as archive:
        assert len(archive) == 20_005 - 8192
    # A writer cannot tell it from a write that a power cut left half done; it throws nothing away.
    with open_archive(tmp_path / "opened") as archive:
        assert archive.ids().tolist() == list(range(20_001, 20_006))
    kept = tmp_path / "opened" / "damaged" / path.name
    assert len(kept.read_bytes()) > 160_000


def test_a_swapped_segment_is_noticed_on_opening(adds: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    shutil.copytree(adds, folder)
    one, other = (segment_path(folder / "segments", seq) for seq in (1, 2))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    for mode in ("r", "a"):
        with pytest.raises(ArchiveError, match="is not the segment"):
            open_archive(folder, mode=mode)  # type: ignore[arg-type]
    assert not verify(folder).ok


def test_a_segment_of_another_archive_is_refused_and_put_aside(adds: Path, tmp_path: Path) -> None:
    with Archive.create(tmp_path / "other", LAYOUT, encoder_fingerprint="other") as other:
        for seed in range(7):
            other.add_codes(random_codes(3, 50 + seed))
        written = (tmp_path / "other" / "segments").glob("*.seg")
        stray = max(path for path in written if path.stat().st_size)
        for lost in (LOG, "archive.sqlite"):
            folder = tmp_path / lost
            shutil.copytree(adds, folder)
            (folder / lost).unlink()
            shutil.copy(stray, folder / "segments")
            with pytest.raises(ArchiveError, match=r"of another archive|is missing"):
                open_archive(folder)
            assert not verify(folder).ok
            report = repair(folder)
            assert [text for text in report.lost if "of another archive" in text] == report.lost
            assert (folder / "damaged" / stray.name).exists()
            with open_archive(folder) as archive:
                assert archive.ids().tolist() == sorted({*range(1, 41)} - {3})
            assert verify(folder).orphans == []
            shutil.rmtree(folder)

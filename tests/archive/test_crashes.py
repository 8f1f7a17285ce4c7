"""Whatever happens to the process, the disk or the machine: what was acknowledged is there."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrahash.archive import Archive, celling, merging, names, open_archive, repair, verify
from terrahash.archive.files import Files
from terrahash.errors import ArchiveError

from .conftest import LAYOUT, random_codes
from .faults import (
    CountingFiles,
    DyingFiles,
    ForgetfulFiles,
    FullFiles,
    contents,
    states,
    steps,
)


@pytest.fixture(autouse=True)
def _merge_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "FAN_OUT", 3)
    monkeypatch.setattr(merging, "GROWTH", 1)
    monkeypatch.setattr(celling, "MIN_ROWS", 1)
    monkeypatch.setattr(names, "FIRST_AHEAD", 2)
    monkeypatch.setattr(names, "MOST_AHEAD", 3)


def in_child(work: Callable[[Callable[[], None]], None]) -> tuple[int, int]:
    """Run in a forked process; gives how often it acknowledged, and its exit status."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        status = 1
        try:
            work(lambda: os.write(write_end, b".") and None)
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    _, status = os.waitpid(child, 0)
    acknowledged = 0
    while chunk := os.read(read_end, 4096):
        acknowledged += len(chunk)
    os.close(read_end)
    return acknowledged, status


def run_steps(folder: Path, files: Files, acknowledge: Callable[[], None]) -> None:
    with Archive(folder, files=files) as archive:
        for do, _ in steps():
            do(archive)
            acknowledge()


def check(folder: Path, acknowledged: int) -> None:
    """The state after the acknowledged steps, or after one more, and nothing in between."""
    allowed = states()[acknowledged : acknowledged + 2]
    with open_archive(folder) as archive:
        assert contents(archive) in allowed
        fresh = archive.add_codes(random_codes(1))
        assert fresh[0] > max([0, *(i for state in allowed[:1] for i in state)])
    report = verify(folder)
    assert (report.problems, report.orphans) == ([], [])


def operations_of_all_steps(folder: Path) -> int:
    files = CountingFiles()
    Archive.create(folder, LAYOUT).close()
    run_steps(folder, files, lambda: None)
    return files.operations


def kill_at_operations(tmp_path: Path, stride: int, first: int = 0) -> None:
    count = operations_of_all_steps(tmp_path / "dry")
    assert count > 200
    for at in range(first, count, stride):
        folder = tmp_path / f"killed-{at}"
        Archive.create(folder, LAYOUT).close()
        acknowledged, status = in_child(
            lambda ack, folder=folder, at=at: run_steps(folder, DyingFiles(at), ack)  # type: ignore[misc]
        )
        assert os.WTERMSIG(status) == signal.SIGKILL
        check(folder, acknowledged)
        shutil.rmtree(folder)


def test_killed_at_every_seventh_operation(tmp_path: Path) -> None:
    kill_at_operations(tmp_path, 7)


@pytest.mark.stress
@pytest.mark.parametrize("portion", range(10))
def test_killed_at_every_operation(tmp_path: Path, portion: int) -> None:
    kill_at_operations(tmp_path, 10, portion)


def kill_at_random(folder: Path, rng: random.Random) -> None:
    Archive.create(folder, LAYOUT).close()
    delay = rng.uniform(0, 0.15)

    def work(acknowledge: Callable[[], None]) -> None:
        signal.setitimer(signal.ITIMER_REAL, delay)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with Archive(folder) as archive:
            for do, _ in steps():
                do(archive)
                acknowledge()
        time.sleep(1)

    acknowledged, _ = in_child(work)
    check(folder, acknowledged)


def test_killed_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(0)
    for number in range(20):
        kill_at_random(tmp_path / str(number), rng)


@pytest.mark.stress
@pytest.mark.parametrize("portion", range(10))
def test_killed_at_random_moments_many_times(tmp_path: Path, portion: int) -> None:
    rng = random.Random(portion + 1)
    for number in range(50):
        kill_at_random(tmp_path / str(number), rng)
        shutil.rmtree(tmp_path / str(number))


@pytest.mark.parametrize("what", ["segment", "segments", "manifest", "both"])
def test_repair_killed_at_every_operation(tmp_path: Path, what: str) -> None:
    pattern = tmp_path / "pattern"
    with Archive.create(pattern, LAYOUT) as archive:
        for do, _ in steps()[:6]:
            do(archive)
    first, *others = sorted((pattern / "segments").iterdir())
    if what == "segments":
        others[-1].unlink()
    if what != "manifest":
        raw = bytearray(first.read_bytes())
        raw[70] ^= 1
        first.write_bytes(raw)
    if what in ("manifest", "both"):
        (pattern / "archive.sqlite").write_bytes(b"gone")
    shutil.copytree(pattern, tmp_path / "dry")
    files = CountingFiles()
    repair(tmp_path / "dry", files=files)
    with open_archive(tmp_path / "dry") as archive:
        expected = contents(archive)
    if what == "manifest":
        assert expected == states()[6]
    for at in range(files.operations):
        folder = tmp_path / f"killed-{at}"
        shutil.copytree(pattern, folder)
        _, status = in_child(
            lambda _, folder=folder, at=at: repair(folder, files=DyingFiles(at)) and None
        )  # type: ignore[misc]
        assert os.WTERMSIG(status) == signal.SIGKILL
        with contextlib.suppress(ArchiveError):
            repair(folder)
        with open_archive(folder) as archive:
            assert contents(archive) == expected
        assert verify(folder).ok


def cut_power_at_operations(tmp_path: Path, stride: int, first: int = 0) -> None:
    folder = tmp_path / "live"
    Archive.create(folder, LAYOUT).close()
    moments: list[tuple[int, dict[str, bytes]]] = []
    acknowledged = 0
    files = ForgetfulFiles(folder, lambda _, left: moments.append((acknowledged, left)))
    files.keep_database()
    with Archive(folder, files=files) as archive:
        for do, _ in steps():
            do(archive)
            acknowledged += 1
            files.before(0)
    for number, (done, left) in enumerate(moments[first::stride]):
        cut = tmp_path / f"cut-{number}"
        (cut / "segments").mkdir(parents=True)
        for name, content in left.items():
            (cut / name).parent.mkdir(exist_ok=True)
            (cut / name).write_bytes(content)
        # Even if SQLite's log, of which it keeps no second copy, is lost with the power.
        shutil.copytree(cut, tmp_path / "without log")
        (tmp_path / "without log" / "archive.sqlite-wal").unlink(missing_ok=True)
        for folder in (cut, tmp_path / "without log"):
            check(folder, done)
            shutil.rmtree(folder)


def test_power_cut_at_every_fifth_operation(tmp_path: Path) -> None:
    cut_power_at_operations(tmp_path, 5)


@pytest.mark.stress
@pytest.mark.parametrize("portion", range(2))
def test_power_cut_at_every_operation(tmp_path: Path, portion: int) -> None:
    cut_power_at_operations(tmp_path, 2, portion)


def fill_at_operations(tmp_path: Path, stride: int, first: int = 0) -> None:
    count = operations_of_all_steps(tmp_path / "dry")
    for at in range(first, count, stride):
        folder = tmp_path / f"full-{at}"
        Archive.create(folder, LAYOUT).close()
        files = FullFiles(at)
        done = 0
        with Archive(folder, files=files) as archive:
            try:
                for do, _ in steps():
                    do(archive)
                    done += 1
            except ArchiveError as error:
                assert "disk is full" in error.message
            # The archive goes on without being opened again, as soon as there is room.
            assert contents(archive) == states()[done]
            files.full = False
            for do, _ in steps()[done:]:
                do(archive)
            assert contents(archive) == states()[-1]
        assert verify(folder).problems == []
        shutil.rmtree(folder)


def test_disk_full_at_every_tenth_operation(tmp_path: Path) -> None:
    fill_at_operations(tmp_path, 10)


@pytest.mark.stress
@pytest.mark.parametrize("portion", range(10))
def test_disk_full_at_every_operation(tmp_path: Path, portion: int) -> None:
    fill_at_operations(tmp_path, 10, portion)


def test_a_limit_on_file_size_is_a_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with Archive.create(folder, LAYOUT) as archive:
        archive.add_codes(random_codes(10))

    def work(acknowledge: Callable[[], None]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        with Archive(folder) as archive:
            try:
                archive.add_codes(random_codes(20_000))
            except ArchiveError as error:
                assert "disk is full" in error.message
                acknowledge()
            assert len(archive) == 10

    assert in_child(work) == (1, 0)
    with open_archive(folder) as archive:
        assert len(archive) == 10


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    Archive.create(folder, LAYOUT).close()

    def work(acknowledge: Callable[[], None]) -> None:
        Archive(folder)
        acknowledge()
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work)[0] == 1
    open_archive(folder).close()


def test_creation_cut_short_can_be_repeated(tmp_path: Path) -> None:
    for at in range(8):
        folder = tmp_path / str(at)
        in_child(
            lambda _, folder=folder, at=at: Archive.create(
                folder, LAYOUT, files=DyingFiles(at)
            ).close()
        )  # type: ignore[misc]
        with open_archive(folder, layout=LAYOUT) as archive:
            assert archive.add_codes(random_codes(1)).tolist() == [1]


def hammer(folder: Path, seconds: float) -> None:
    """Readers check what they see while a writer adds, deletes, updates and compacts.

    One verifies all the while: files that come and go under it are no damage.

    Every row's code is made from its id, and a whole batch lives or dies at once: a reader that
    saw half a change would see a batch that is not whole.
    """
    batch = 40
    Archive.create(folder, LAYOUT).close()
    stop = time.monotonic() + seconds

    def codes_for(ids: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return ids.astype(">u8").view(np.uint8).reshape(-1, 8)

    def read(acknowledge: Callable[[], None]) -> None:
        with open_archive(folder, mode="r") as archive:
            rng = np.random.default_rng(os.getpid())
            while time.monotonic() < stop:
                snapshot = archive.snapshot()
                ids = snapshot.ids()
                assert np.array_equal(snapshot.codes(ids), codes_for(ids))
                batches, counts = np.unique((ids - 1) // batch, return_counts=True)
                assert (counts == batch).all(), (batches, counts)
                if not len(ids):
                    continue
                wanted = rng.choice(ids)
                found = snapshot.search(codes_for(np.array([wanted])), k=5, radius=None)[0]
                assert found.ids[0] == wanted
                assert found.distances[0] == 0
                assert np.isin(found.ids, ids).all()
                label = snapshot.records(np.array([wanted]))[0].label
                assert label in (f"batch {(wanted - 1) // batch}", "changed")
                acknowledge()

    def check_all(acknowledge: Callable[[], None]) -> None:
        while time.monotonic() < stop:
            report = verify(folder)
            assert report.ok, report.problems
            acknowledge()

    def write(acknowledge: Callable[[], None]) -> None:
        rng = np.random.default_rng(0)
        with Archive(folder) as archive:
            first = 1
            while time.monotonic() < stop:
                ids = np.arange(first, first + batch)
                archive.add_codes(codes_for(ids), labels=[f"batch {(first - 1) // batch}"] * batch)
                first += batch
                live = np.unique((archive.ids() - 1) // batch)
                chosen = rng.choice(live) * batch + 1
                match rng.integers(6):
                    case 0 | 1:
                        archive.delete(ids=np.arange(chosen, chosen + batch))
                    case 2:
                        archive.update([chosen], labels=["changed"])
                    case 3 if rng.random() < 0.2:
                        archive.compact()
                acknowledge()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        children = []
        for work in (write, read, read, check_all):
            child = os.fork()
            if not child:
                status = 1
                try:
                    work(lambda: None)
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stderr.flush()
                    os._exit(status)
            children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert verify(folder).ok


def test_readers_see_whole_changes_only(tmp_path: Path) -> None:
    hammer(tmp_path / "archive", 3)


@pytest.mark.stress
def test_readers_see_whole_changes_only_for_a_minute(tmp_path: Path) -> None:
    hammer(tmp_path / "archive", 60)

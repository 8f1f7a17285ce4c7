"""Cells in an archive: the same answers, through everything that happens to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terrahash.archive import Archive, celling, open_archive, repair, verify

from .conftest import nearest, random_codes


@pytest.fixture(autouse=True)
def _cells_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celling, "MIN_ROWS", 1000)


def check(archive: Archive, codes: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
    for query in random_codes(6, seed=77):
        hits = archive.search_codes(query, k=15)[0]
        found = list(zip(hits.ids.tolist(), hits.distances.tolist(), strict=True))
        assert found == nearest(codes, ids, query, 15)


def test_answers_stay_exact_through_changes(archive: Archive, folder: Path) -> None:
    codes = random_codes(3000)
    archive.add_codes(codes[:2000])
    archive.compact()
    assert archive.info().cells == 1
    ids = np.arange(1, 3001)
    check(archive, codes[:2000], ids[:2000])
    archive.add_codes(codes[2000:])
    assert archive.info().cells == pytest.approx(2 / 3)
    check(archive, codes, ids)
    archive.delete(ids=ids[::3])
    kept = ids % 3 != 1
    check(archive, codes[kept], ids[kept])
    changed = random_codes(2, seed=5)
    archive.update([2, 2999], codes=changed)
    codes[[1, 2998]] = changed
    check(archive, codes[kept], ids[kept])
    archive.close()
    with open_archive(folder, mode="r") as again:
        assert again.snapshot().cells is not None
        check(again, codes[kept], ids[kept])
    with open_archive(folder) as again:
        again.compact()
        assert again.info().cells == 1
        check(again, codes[kept], ids[kept])
    assert len(list((folder / "cells").iterdir())) == 1
    assert verify(folder).ok


def test_few_codes_get_no_cells(archive: Archive, folder: Path) -> None:
    archive.add_codes(random_codes(10))
    archive.compact()
    assert archive.info().cells == 0
    assert not (folder / "cells").exists()


def test_small_segments_beside_the_cells_are_still_merged(archive: Archive) -> None:
    archive.add_codes(random_codes(1000))
    archive.compact()
    for part in range(40):
        archive.add_codes(random_codes(3, seed=part))
    assert archive.info().segments < 20
    assert archive.info().cells > 0.8


def test_damaged_cells_are_found_and_dropped(archive: Archive, folder: Path) -> None:
    codes = random_codes(1500)
    archive.add_codes(codes)
    archive.compact()
    archive.close()
    (path,) = (folder / "cells").iterdir()
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)
    assert "do not match their checksum" in verify(folder).problems[0].what
    report = repair(folder)
    assert (report.lost, len(report.done)) == ([], 1)
    assert verify(folder).ok
    with open_archive(folder) as again:
        assert again.info().cells == 0
        check(again, codes, np.arange(1, 1501))
        again.compact()
        assert again.info().cells == 1


def test_missing_cells_cost_only_time(
    archive: Archive, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codes = random_codes(1500)
    archive.add_codes(codes)
    archive.compact()
    archive.close()
    next((folder / "cells").iterdir()).unlink()
    with open_archive(folder, mode="r") as again:
        check(again, codes, np.arange(1, 1501))
    assert "cannot be used" in caplog.text

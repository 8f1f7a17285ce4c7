"""The archive as its users see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from terrahash.archive import Archive, open_archive
from terrahash.codes import CodeLayout
from terrahash.errors import ArchiveError, InputError

from .conftest import LAYOUT, nearest, random_codes


def test_what_is_added_is_there_after_opening_again(archive: Archive, folder: Path) -> None:
    codes = random_codes(5)
    ids = archive.add_codes(
        codes,
        sources=[f"tiles/{n}.tif" for n in range(5)],
        sizes=[100, 200, 300, 400, None],
        mtimes=np.arange(5) * 10**18,
        labels=["harbor", "river", None, "harbor", "Ærø"],
        predicted_labels=["harbor"] * 5,
        confidences=[0.5, 0.25, None, 1.0, 0.0],
        datetimes=["2024-05-01", "2024-05-01T10:20:30.5Z", None, 1_000_000, "1969-12-31T23:59:59Z"],
        bboxes=[(10, 50, 10.1, 50.1), None, (179.9, -1, -179.9, 1), None, (-180, -90, 180, 90)],
        windows=[(0, 0, 256, 256), None, None, None, (256, 0, 256, 256)],
        columns={"cloud": [0.1, None, 0.3, 0.4, 0.5], "sensor": ["S2", "S2", None, "L8", "S2"]},
    )
    archive.close()
    with open_archive(folder, mode="r") as again:
        assert len(again) == 5
        first, second, third, fourth, last = again.records(ids)
        assert np.array_equal(again.codes(ids), codes)
    assert (first.id, first.source, first.label, first.size) == (1, "tiles/0.tif", "harbor", 100)
    assert first.bbox == (10, 50, 10.1, 50.1)
    assert first.window == (0, 0, 256, 256)
    assert first.columns == {"cloud": 0.1, "sensor": "S2"}
    assert first.datetime == "2024-05-01T00:00:00Z"
    assert second.datetime == "2024-05-01T10:20:30.500000Z"
    assert (second.bbox, second.window, second.mtime) == (None, None, 10**18)
    assert (third.label, third.confidence, third.datetime) == (None, None, None)
    assert third.bbox == (179.9, -1, -179.9, 1)
    assert fourth.datetime == "1970-01-01T00:00:01Z"
    assert (last.label, last.size) == ("Ærø", None)
    assert last.datetime == "1969-12-31T23:59:59Z"


def test_search_equals_brute_force_through_many_small_adds_and_deletes(archive: Archive) -> None:
    codes = random_codes(400)
    for start in range(0, 400, 7):
        archive.add_codes(codes[start : start + 7])
    ids = np.arange(1, 401)
    kept = ids % 3 != 0
    assert archive.delete(ids=ids[~kept]) == (~kept).sum()
    for query in random_codes(10, seed=1):
        hits = archive.search_codes(query, k=25)[0]
        found = list(zip(hits.ids.tolist(), hits.distances.tolist(), strict=True))
        assert found == nearest(codes[kept], ids[kept], query, 25)


def test_ties_are_counted_and_given_on_request(archive: Archive) -> None:
    codes = np.zeros((6, 8), np.uint8)
    codes[3:] = 1
    archive.add_codes(codes)
    hits = archive.search_codes(codes[0], k=4)[0]
    assert hits.ids.tolist() == [1, 2, 3, 4]
    assert hits.ties_at_last_distance == 3
    assert archive.search_codes(codes[0], k=4, ties=True)[0].ids.tolist() == [1, 2, 3, 4, 5, 6]


def test_updates_keep_the_id_and_the_order(archive: Archive) -> None:
    codes = random_codes(60)
    archive.add_codes(codes, labels=["a"] * 60, columns={"n": list(range(60))})
    changed = np.array([40, 3, 17])
    fresh = random_codes(3, seed=9)
    assert archive.update(changed, codes=fresh, labels=["x", None, "z"]) == 3
    codes[changed - 1] = fresh
    ids = np.arange(1, 61)
    for query in [*random_codes(5, seed=2), fresh[0]]:
        hits = archive.search_codes(query, k=30)[0]
        found = list(zip(hits.ids.tolist(), hits.distances.tolist(), strict=True))
        assert found == nearest(codes, ids, query, 30)
    records = archive.records(changed)
    assert [record.label for record in records] == ["x", None, "z"]
    assert [record.columns["n"] for record in records] == [39, 2, 16]
    assert len(archive) == 60


def test_ids_are_never_given_twice(archive: Archive, folder: Path) -> None:
    first = archive.add_codes(random_codes(3))
    archive.delete(ids=first)
    archive.compact()
    archive.close()
    with open_archive(folder) as again:
        assert again.add_codes(random_codes(2)).tolist() == [4, 5]


def test_a_known_tile_is_refused_skipped_or_updated(archive: Archive) -> None:
    codes = random_codes(3)
    archive.add_codes(codes, sources=["a", "b", "c"], labels=["x", "y", "z"])
    with pytest.raises(InputError, match=r"b, is in the archive already \(id 2\)"):
        archive.add_codes(codes[:2], sources=["d", "b"])
    assert len(archive) == 3
    ids = archive.add_codes(codes[:2], sources=["d", "b"], on_conflict="skip")
    assert ids.tolist() == [4, 2]
    ids = archive.upsert(codes[[2, 2]], sources=["b", "e"], labels=["new", "e"])
    assert ids.tolist() == [2, 5]
    assert archive.records([2])[0].label == "new"
    assert np.array_equal(archive.codes([2])[0], codes[2])
    assert len(archive) == 5


def test_windows_tell_the_tiles_of_a_scene_apart(archive: Archive) -> None:
    codes = random_codes(3)
    windows = [(0, 0, 8, 8), (8, 0, 8, 8), (16, 0, 8, 8)]
    archive.add_codes(codes, sources=["scene"] * 3, windows=windows)
    archive.add_codes(codes[:1], sources=["scene"])
    with pytest.raises(InputError, match="already"):
        archive.add_codes(codes[:1], sources=["scene"], windows=windows[1:2])
    with pytest.raises(InputError, match="same tile"):
        archive.add_codes(codes[:2], sources=["new", "new"])
    assert archive.ids_of_sources(["scene", "nowhere"]) == {"scene": [1, 2, 3, 4]}


def test_source_states(archive: Archive) -> None:
    archive.add_codes(random_codes(2), sources=["a", "b"], sizes=[5, None], mtimes=[7, 8])
    archive.add_codes(random_codes(1))
    assert archive.source_states(["b", "a", "c"]) == {"a": (5, 7, 1), "b": (None, 8, 2)}
    archive.delete(ids=[1])
    assert archive.source_states(["a"]) == {}


def test_k_larger_than_the_archive_and_an_empty_archive(archive: Archive) -> None:
    assert len(archive.search_codes(random_codes(1), k=20)[0]) == 0
    archive.add_codes(random_codes(3))
    assert len(archive.search_codes(random_codes(1), k=20)[0]) == 3
    archive.delete(ids=[1, 2, 3])
    assert archive.search_codes(random_codes(1), k=20)[0].to_json()["hits"] == []


def test_wrong_arguments_name_themselves(archive: Archive) -> None:
    codes = random_codes(2)
    with pytest.raises(InputError, match="label has 1 values for 2 codes"):
        archive.add_codes(codes, labels=["a"])
    with pytest.raises(InputError, match="bbox, row 1"):
        archive.add_codes(codes, bboxes=[None, (0, 50, 1, 40)])
    with pytest.raises(InputError, match="column 'datetime', row 0: 'yesterday'"):
        archive.add_codes(codes, datetimes=["yesterday", None])
    with pytest.raises(InputError, match="meaning of its own"):
        archive.add_codes(codes, columns={"label": ["a", "b"]})
    with pytest.raises(InputError, match="no kind fits"):
        archive.add_codes(codes, columns={"mixed": ["a", 1]})
    with pytest.raises(InputError, match=r"expected uint8 of shape \(N, 8\)"):
        archive.add_codes(codes[:, :4])
    with pytest.raises(InputError, match="id 9 and 1 others not in the archive"):
        archive.records([9, 10])
    with pytest.raises(InputError, match="k is 0"):
        archive.search_codes(codes, k=0)
    assert len(archive) == 0


def test_opening_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="does not exist"):
        open_archive(tmp_path / "nothing", mode="r")
    with pytest.raises(ArchiveError, match="is not an archive"):
        open_archive(tmp_path)
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(ArchiveError, match="not an empty folder"):
        Archive.create(tmp_path, LAYOUT)


def test_a_second_writer_is_refused_at_once_and_readers_are_not(
    archive: Archive, folder: Path
) -> None:
    archive.add_codes(random_codes(2))
    with pytest.raises(ArchiveError, match="being written by another process"):
        open_archive(folder)
    with open_archive(folder, mode="r") as reader:
        assert len(reader) == 2
        archive.add_codes(random_codes(1))
        assert len(reader) == 3
        with pytest.raises(ArchiveError, match="open for reading"):
            reader.delete(ids=[1])


def test_a_snapshot_stays_as_it_is(archive: Archive) -> None:
    codes = random_codes(50)
    archive.add_codes(codes, labels=["a"] * 50)
    before = archive.snapshot()
    archive.delete(ids=np.arange(1, 26))
    archive.add_codes(codes)
    archive.compact()
    assert (len(before), len(archive)) == (50, 75)
    assert before.records(np.array([1]))[0].label == "a"


def test_another_layout_is_refused(folder: Path) -> None:
    open_archive(folder, layout=LAYOUT).close()
    with pytest.raises(ArchiveError, match="holds codes of"):
        open_archive(folder, layout=CodeLayout(32))
    open_archive(folder, layout=LAYOUT).close()


def test_info_and_json(archive: Archive) -> None:
    archive.add_codes(random_codes(3), columns={"cloud": [1, 2, 3]})
    info = archive.info().to_json()
    assert (info["tiles"], info["bits"], info["encoder"]) == (3, 64, "")
    assert info["bytes"] > 24
    assert info["columns"] == {"cloud": "integer"}
    answer = archive.search(2, k=1).to_json()
    assert answer["query"] == "id 2"
    wanted = {"rank", "id", "distance", "score", "label", "source", "bbox", "datetime"}
    assert wanted <= answer["hits"][0].keys()


def test_a_user_id_may_come_again_when_no_tile_has_one_any_more(archive: Archive) -> None:
    codes = random_codes(3)
    first = archive.add_codes(codes[:2], user_ids=["a", None])
    archive.delete(ids=first[:1])
    archive.compact()
    assert archive.ids_of_user_ids(["a"]) == {}
    again = archive.add_codes(codes[2:], user_ids=["a"], on_conflict="update")
    assert archive.ids_of_user_ids(["a"]) == {"a": again[0]}


def test_small_segments_are_searched_as_one(archive: Archive) -> None:
    codes = random_codes(40)
    for code in codes:
        archive.add_codes(code[None])
    archive.delete(ids=[3, 17, 40])
    ids = np.delete(np.arange(1, 41), [2, 16, 39])
    snapshot = archive.snapshot()
    assert len(snapshot.segments) > 5
    for query in random_codes(5, seed=1):
        hits = archive.search_codes(query, k=12)[0]
        found = list(zip(hits.ids.tolist(), hits.distances.tolist(), strict=True))
        assert found == nearest(codes[ids - 1], ids, query, 12)
    assert archive.codes([39, 1]).tolist() == codes[[38, 0]].tolist()

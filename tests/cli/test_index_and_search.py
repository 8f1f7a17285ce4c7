"""Indexing and searching from the shell, with all that users do wrong."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrahash.archive import open_archive
from tests.tiny import tiny_encoder

from .conftest import Run


@pytest.fixture
def images(tiles: Path, tmp_path: Path) -> Path:
    """A copy of the tiles that a test may change."""
    return Path(shutil.copytree(tiles, tmp_path / "images"))


@pytest.fixture
def archive(run: Run, images: Path, model: Path, tmp_path: Path) -> Path:
    """An archive of the tiles."""
    path = tmp_path / "tiles.terrahash"
    assert run("index", images, "--model", model, "--archive", path, "--folder-labels").code == 0
    return path


def test_indexing_is_incremental(run: Run, images: Path, archive: Path) -> None:
    again = json.loads(run("index", images, "--archive", archive, "--json").out)
    assert (again["added"], again["updated"], again["unchanged"]) == (0, 0, 80)
    changed = images / "rows" / "rows03.png"
    Image.new("RGB", (48, 48), "red").save(changed)
    Image.new("RGB", (48, 48), "blue").save(images / "new.png")
    third = json.loads(run("index", images, "--archive", archive, "--json").out)
    assert (third["added"], third["updated"], third["unchanged"]) == (1, 1, 79)
    assert third["tiles"] == 81
    with open_archive(archive, mode="r") as opened:
        states = opened.source_states([str(changed)])
    assert states[str(changed)][:2] == (changed.stat().st_size, changed.stat().st_mtime_ns)


def test_a_folder_without_images_is_told(run: Run, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = run("index", tmp_path / "empty", "--archive", archive)
    assert outcome.code == 0
    assert "no images found" in outcome.err
    report = tmp_path / "nowhere" / "skipped.json"
    outcome = run("index", tmp_path / "empty", "--archive", archive, "--report", report)
    assert outcome.code == 2
    assert "no folder" in outcome.err


def test_a_tile_finds_itself_first(run: Run, images: Path, archive: Path) -> None:
    query = images / "checks" / "checks00.png"
    outcome = run("search", query, "--archive", archive, "-k", 5, "--json")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert found["query"] == str(query)
    assert found["ties_at_last_distance"] >= 1
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3, 4, 5]
    nearest = [hit for hit in found["hits"] if hit["distance"] == 0]
    assert str(query) in [hit["source"] for hit in nearest] or len(nearest) == 5
    keys = {"rank", "id", "distance", "score", "label", "source", "bbox", "datetime"}
    assert keys <= set(found["hits"][0])
    assert {hit["label"] for hit in found["hits"]} <= {"columns", "checks", "rows", "curves"}


def test_several_queries_and_ids_are_a_line_each(run: Run, images: Path, archive: Path) -> None:
    outcome = run(
        "search", images / "rows" / "rows00.png", "--id", 3, "--archive", archive, "--json"
    )
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert len(lines) == 2
    assert lines[1]["query"] == "id 3"
    assert lines[1]["hits"][0]["distance"] == 0


def test_csv(run: Run, images: Path, archive: Path) -> None:
    outcome = run("search", images / "rows" / "rows00.png", "--archive", archive, "--csv", "-k", 3)
    rows = list(csv.DictReader(StringIO(outcome.out)))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]


def test_geojson_is_one_collection_of_footprints(run: Run, tmp_path: Path) -> None:
    from terrahash.archive import Archive
    from terrahash.codes import CodeLayout

    path = tmp_path / "placed.terrahash"
    with Archive.create(path, CodeLayout(16)) as archive:
        archive.add_codes(
            np.array([[0, 0], [0, 1], [0, 3]], np.uint8),
            sources=["a.tif"] * 3,
            bboxes=[(9, 48, 10, 49), (179, 0, -179, 1), None],
            windows=[(0, 0, 8, 8), (8, 0, 8, 8), None],
            columns={"cloud": [1, 2, 3]},
        )
    outcome = run("search", "--id", 1, "--id", 2, "--archive", path, "-k", 2, "--geojson")
    assert outcome.code == 0, outcome.err
    collection = json.loads(outcome.out)
    features = collection["features"]
    assert collection["type"] == "FeatureCollection"
    assert [each["properties"]["query"] for each in features] == ["id 1"] * 2 + ["id 2"] * 2
    assert features[0]["geometry"]["coordinates"][0][0] == [9, 48]
    assert features[1]["geometry"]["type"] == "MultiPolygon"
    assert features[0]["properties"]["cloud"] == 1
    assert features[0]["properties"]["window"] == [0, 0, 8, 8]
    nearest = run("search", "--id", 3, "--archive", path, "-k", 1, "--geojson")
    assert json.loads(nearest.out)["features"][0]["geometry"] is None
    table = run("search", "--id", 1, "--archive", path, "-k", 1)
    assert "48.5000 9.5000" in table.out
    assert "a.tif 8×8+0+0" in table.out


def test_ties_are_told_only_where_some_are_left_out(run: Run, tmp_path: Path) -> None:
    from terrahash.archive import Archive
    from terrahash.codes import CodeLayout

    path = tmp_path / "tied.terrahash"
    with Archive.create(path, CodeLayout(16)) as archive:
        archive.add_codes(np.zeros((5, 2), np.uint8))
    asked = ("search", "--id", 1, "--archive", path)
    assert "5 tiles tie" in run(*asked, "-k", 2).out
    assert "tie" not in run(*asked, "-k", 2, "--ties").out
    assert "tie" not in run(*asked, "-k", 5).out
    assert "nothing found" in run(*asked, "--where", "label = 'x'").out


def test_filters_apply_before_distances(run: Run, images: Path, archive: Path) -> None:
    outcome = run(
        "search", images / "checks" / "checks00.png", "--archive", archive,
        "--where", "label = 'rows'", "--json",
    )  # fmt: skip
    hits = json.loads(outcome.out)["hits"]
    assert len(hits) == 20
    assert {hit["label"] for hit in hits} == {"rows"}


def test_grid_is_a_picture(run: Run, images: Path, archive: Path, tmp_path: Path) -> None:
    grid = tmp_path / "grid.png"
    query = images / "rows" / "rows00.png"
    outcome = run("search", query, "--archive", archive, "--grid", grid)
    assert outcome.code == 0
    with Image.open(grid) as picture:
        assert picture.width > 500


def test_k_beyond_the_archive_gives_all(run: Run, images: Path, archive: Path) -> None:
    outcome = run(
        "search", images / "rows" / "rows00.png", "--archive", archive, "-k", 1000, "--json"
    )
    assert len(json.loads(outcome.out)["hits"]) == 80


def test_an_empty_archive_gives_nothing(
    run: Run, images: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "void").mkdir()
    empty = tmp_path / "empty.terrahash"
    assert run("index", tmp_path / "void", "--model", model, "--archive", empty).code == 0
    outcome = run("search", images / "rows" / "rows00.png", "--archive", empty, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["hits"] == []


def test_bad_files_are_skipped_named_and_counted(
    run: Run, images: Path, model: Path, tmp_path: Path
) -> None:
    (images / "broken.jpg").write_bytes(b"no image at all")
    (images / "empty.png").touch()
    whole = (images / "rows" / "rows00.png").read_bytes()
    (images / "cut\nname.png").write_bytes(whole[:200])
    Image.new("1", (9_000, 9_000)).save(images / "huge.png")
    path, report = tmp_path / "a.terrahash", tmp_path / "skipped.json"
    outcome = run(
        "index", images, "--model", model, "--archive", path, "--json", "--report", report
    )
    assert outcome.code == 1
    summary = json.loads(outcome.out)
    assert summary["added"] == 80
    skipped = {Path(entry["source"]).name: entry["reason"] for entry in summary["skipped"]}
    assert set(skipped) == {"broken.jpg", "empty.png", "cut\nname.png", "huge.png"}
    assert "million" in skipped["huge.png"]
    assert json.loads(report.read_text()) == summary["skipped"]
    assert "broken.jpg" in outcome.err


def test_a_broken_query_among_good_ones(run: Run, images: Path, archive: Path) -> None:
    (images / "broken.jpg").write_bytes(b"no image at all")
    good = images / "rows" / "rows00.png"
    outcome = run("search", images / "broken.jpg", good, "--archive", archive, "--json")
    assert outcome.code == 1
    assert len(outcome.out.splitlines()) == 1
    assert run("search", images / "broken.jpg", "--archive", archive).code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "x.png", "--archive", "nowhere"], "nowhere"),
        (["index", "nothing-here", "--model", "{model}", "--archive", "a"], "nothing-here"),
        (["index", "{images}", "--model", "nowhere", "--archive", "a"], "nowhere"),
        (["index", "{images}", "--archive", "a"], "archive"),
        (["search", "--archive", "{archive}"], "nothing to search for"),
        (
            ["search", "{images}/rows/rows00.png", "-a", "{archive}", "--where", "lable = 1"],
            "label",
        ),
        (
            ["search", "{images}/rows/rows00.png", "-a", "{archive}", "--where", "label ="],
            "label =",
        ),
        (["search", "--id", "99999", "-a", "{archive}"], "99999"),
        (["search", "--id", "1", "-a", "{archive}", "--json", "--csv"], "exclude"),
        (["search", "--id", "1", "-a", "{archive}", "--geojson", "--csv"], "exclude"),
        (["search", "--id", "1", "-a", "{archive}", "--grid", "no/a.png"], "no folder"),
        (["search", "--id", "1", "-a", "{archive}", "--grid", "a.gif"], "is no .png"),
        (["search", "--id", "1", "-a", "{archive}", "--after", "yesterdayish"], "yesterdayish"),
        (["evaluate", "{images}", "--model", "nowhere"], "nowhere"),
        (["train", "no-such-data", "--out", "m"], "no-such-data"),
    ],
)
def test_errors_name_the_input_and_exit_with_2(
    run: Run,
    images: Path,
    archive: Path,
    model: Path,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [text.format(images=images, archive=archive, model=model) for text in arguments]
    outcome = run(*filled)
    assert outcome.code == 2
    assert message in outcome.err
    assert "error:" in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


def test_an_archive_refuses_another_encoder(
    run: Run, images: Path, archive: Path, tmp_path: Path
) -> None:
    other = tiny_encoder(1).save(tmp_path / "other")
    outcome = run("index", images, "--model", other, "--archive", archive)
    assert outcome.code == 2
    assert "encoder" in outcome.err


def test_full_disk_keeps_what_is_stored(images: Path, archive: Path, model: Path) -> None:
    """A limit on file size stands in for a full disk: writing fails in the middle."""
    big = np.random.default_rng(0)
    for number in range(300):
        pixels = big.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"more{number}.png")
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from terrahash.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, resource.RLIM_INFINITY))\n"
        f"sys.argv = ['terrahash', 'index', {str(images)!r}, '--archive', {str(archive)!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
    with open_archive(archive, mode="r") as opened:
        assert len(opened) == 80


def test_killed_indexing_keeps_every_acknowledged_tile(
    images: Path, model: Path, tmp_path: Path
) -> None:
    """kill -9 at random moments; each rerun goes on, and the last completes."""
    path = tmp_path / "killed.terrahash"
    code = (
        "import sys\n"
        "from terrahash.archive import indexing, open_archive\n"
        "indexing.BATCH_TILES = 8\n"
        f"with open_archive({str(path)!r}, {str(model)!r}) as archive:\n"
        "    stored = archive.add_codes\n"
        "    def add(*values, **more):\n"
        "        ids = stored(*values, **more)\n"
        "        print(len(ids), flush=True)\n"
        "        return ids\n"
        "    archive.add_codes = add\n"
        f"    indexing.index_images(archive, [{str(images)!r}])\n"
    )
    rng = np.random.default_rng(0)
    acknowledged = 0
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        first = child.stdout.readline()
        acknowledged += int(first or 0)
        time.sleep(float(rng.uniform(0, 0.05)))
        os.kill(child.pid, signal.SIGKILL)
        acknowledged += sum(int(line) for line in child.stdout.read().split())
        child.wait()
        child.stdout.close()
        with open_archive(path, mode="r") as opened:
            assert acknowledged <= len(opened) <= 80
            sources = [record.source for record in opened.records(opened.ids())]
            assert len(set(sources)) == len(sources) == len(opened)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    with open_archive(path, mode="r") as opened:
        assert len(opened) == 80

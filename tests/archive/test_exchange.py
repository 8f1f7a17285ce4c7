"""Out of one archive and into another: nothing is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terrahash.archive import Archive, open_archive
from terrahash.archive.exchange import export_tiles, import_tiles
from terrahash.codes import CodeLayout, unpack
from terrahash.errors import ArchiveError, InputError

from .conftest import random_codes

LAYOUT = CodeLayout(40, 8, 0.5)
ROWS = 30


def fill(folder: Path, *, dated: bool = True) -> Archive:
    archive = Archive.create(folder, LAYOUT, encoder_fingerprint="abc123")
    some = range(ROWS)
    archive.add_column("seen", "datetime")
    archive.add_codes(
        random_codes(ROWS, nbytes=6),
        sources=[f"tiles/ä {n}.tif" if n % 4 else None for n in some],
        sizes=[n * 1000 if n % 5 else None for n in some],
        mtimes=[10**18 + n for n in some],
        user_ids=[f"user-{n}" if n % 3 else None for n in some],
        labels=["harbor", "a, \"b\"", None] * 10,
        predicted_labels=["river"] * ROWS,
        confidences=[0.5, None, 0.25] * 10,
        datetimes=[f"2024-01-{n + 1:02d}T00:00:00.000001Z" if dated or n % 2 else None
                   for n in some],
        bboxes=[(n, -n, n + 0.1, 0.123456789) if n % 6 else None for n in some],
        windows=[(0, n, 256, 128) if n % 7 else None for n in some],
        columns={
            "cloud": [n / 7 if n % 2 else None for n in some],
            "count": [n * 10**12 for n in some],
            "sensor": ["S2", None, "L8"] * 10,
            "clear": [True, None, False] * 10,
            "seen": ["2023-05-06T07:08:09Z", None, None] * 10,
            "type": ["tile"] * ROWS,
        },
    )  # fmt: skip
    archive.add_column("empty", "real")
    archive.upsert(
        random_codes(1, nbytes=6), sources=["crossing"], datetimes=["2024-06-01"],
        bboxes=[(179.5, 0, -179.5, 1)],
    )  # fmt: skip
    archive.delete(ids=[4, 11])
    return archive


def everything(archive: Archive) -> list[tuple[Any, bytes]]:
    ids = archive.ids()
    pairs = zip(archive.records(ids), archive.codes(ids), strict=True)
    return [(record, code.tobytes()) for record, code in pairs]


@pytest.mark.parametrize("name", ["tiles.parquet", "tiles.json", "tiles.csv"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    with fill(tmp_path / "one") as archive:
        wanted = everything(archive)
        report = export_tiles(archive, tmp_path / name)
        assert (report.rows, report.skipped) == (ROWS - 1, 0)
    if name.endswith("csv"):
        # CSV says nothing of layout and kinds: they come from the archive that it goes into.
        with Archive.create(tmp_path / "two", LAYOUT) as archive:
            for column, kind in (("clear", "boolean"), ("seen", "datetime"), ("empty", "real")):
                archive.add_column(column, kind)
    assert import_tiles(tmp_path / "two", tmp_path / name).rows == ROWS - 1
    with open_archive(tmp_path / "two") as archive:
        found = everything(archive)
        if name.endswith("csv"):
            assert [r.to_json() | {"id": 0} for r, _ in found] == [
                r.to_json() | {"id": 0} for r, _ in wanted
            ]
            assert [code for _, code in found] == [code for _, code in wanted]
        else:
            assert found == wanted
            assert archive.encoder_fingerprint == "abc123"
            assert archive.layout == LAYOUT
            assert archive.info().columns["seen"] == "datetime"
        assert archive.add_codes(random_codes(1, nbytes=6))[0] > max(r.id for r, _ in found)
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def test_numpy_round_trip(tmp_path: Path) -> None:
    with fill(tmp_path / "one") as archive:
        ids, codes = archive.ids(), archive.codes(archive.ids())
        export_tiles(archive, tmp_path / "codes.npz")
        export_tiles(archive, tmp_path / "codes.npy", where="label = 'harbor'")
        harbours = archive.codes(archive.ids(where="label = 'harbor'"))
    assert np.array_equal(np.load(tmp_path / "codes.npy"), harbours)
    import_tiles(tmp_path / "two", tmp_path / "codes.npz")
    with open_archive(tmp_path / "two", mode="r") as archive:
        assert np.array_equal(archive.ids(), ids)
        assert np.array_equal(archive.codes(ids), codes)
        assert archive.layout == LAYOUT


def test_codes_from_elsewhere(tmp_path: Path) -> None:
    codes = random_codes(5, nbytes=2)
    bits = unpack(codes, 16)
    np.savez(tmp_path / "a.npz", codes=bits, labels=np.array(list("abcde")), bboxes=np.ones((5, 4)))
    import_tiles(tmp_path / "one", tmp_path / "a.npz", layout=CodeLayout(16))
    with open_archive(tmp_path / "one", mode="r") as archive:
        assert np.array_equal(archive.codes(archive.ids()), codes)
        assert archive.records([2])[0].label == "b"
    np.save(tmp_path / "b.npy", codes.astype(np.float32))
    with pytest.raises(InputError, match="float32"):
        import_tiles(tmp_path / "one", tmp_path / "b.npy")
    with pytest.raises(InputError, match="does not say"):
        import_tiles(tmp_path / "two", tmp_path / "b.npy")
    with pytest.raises(InputError, match="holds codes of 16 bits"):
        import_tiles(tmp_path / "one", tmp_path / "a.npz", layout=CodeLayout(32))
    with pytest.raises(InputError, match="format 'xlsx' is not known"):
        import_tiles(tmp_path / "one", tmp_path / "a.npz", kind="xlsx")
    np.save(tmp_path / "c.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="no NumPy arrays"):
        import_tiles(tmp_path / "one", tmp_path / "c.npy")


def test_rows_that_cannot_be_read_are_counted_and_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("code,label,score\n0102,a,1\nxyz,b,2\n0304,c,3\n01,d,4\n")
    report = import_tiles(tmp_path / "one", tmp_path / "a.csv", layout=CodeLayout(16))
    assert (report.rows, report.skipped) == (2, 2)
    with open_archive(tmp_path / "one", mode="r") as archive:
        assert [r.columns for r in archive.records([1, 2])] == [{"score": 1}, {"score": 3}]
    (tmp_path / "items.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": [{"id": "x", "properties": {}}, 3]})
    )
    assert import_tiles(tmp_path / "one", tmp_path / "items.json").skipped == 2


def test_stac_items_are_valid_and_undated_tiles_are_left_out(tmp_path: Path) -> None:
    pystac = pytest.importorskip("pystac")
    with fill(tmp_path / "one", dated=False) as archive:
        report = export_tiles(archive, tmp_path / "items.json")
        undated = len(archive.ids(where="datetime IS NULL"))
    assert report.skipped == undated > 10
    assert "needs a date" in report.reasons[0]
    data = json.loads((tmp_path / "items.json").read_text())
    collection = pystac.ItemCollection.from_dict(data)
    assert len(collection) == report.rows
    crossing = next(i for i in collection if i.assets and i.assets["data"].href == "crossing")
    assert crossing.geometry["type"] == "MultiPolygon"
    assert crossing.datetime.year == 2024


def test_geoparquet_is_what_its_readers_expect(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    shapely = pytest.importorskip("shapely")
    with fill(tmp_path / "one") as archive:
        export_tiles(archive, tmp_path / "tiles.parquet")
    table = parquet.read_table(tmp_path / "tiles.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert json.loads(table.schema.metadata[b"terrahash"])["encoder"] == "abc123"
    outlines = shapely.from_wkb(table["geometry"].to_pylist())
    boxes = table["bbox"].to_pylist()
    for outline, box in zip(outlines, boxes, strict=True):
        if outline is None:
            assert box is None
        elif box["xmin"] <= box["xmax"]:
            assert outline.bounds == (box["xmin"], box["ymin"], box["xmax"], box["ymax"])
            assert outline.exterior.is_ccw
        else:
            assert outline.geom_type == "MultiPolygon"


def test_codes_of_another_encoder_or_layout_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "one").close()
    with open_archive(tmp_path / "one", mode="r") as archive:
        export_tiles(archive, tmp_path / "tiles.json")
    Archive.create(tmp_path / "two", LAYOUT, encoder_fingerprint="other").close()
    with pytest.raises(ArchiveError, match="encoder abc123"):
        import_tiles(tmp_path / "two", tmp_path / "tiles.json")
    Archive.create(tmp_path / "three", CodeLayout(48)).close()
    with pytest.raises(ArchiveError, match="codes of CodeLayout"):
        import_tiles(tmp_path / "three", tmp_path / "tiles.json")


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"\xff\xfe\x00"), ("a.csv", b"x,y\n1,2\n"), ("a.json", b"[1, 2"), ("a.json", b"{}"),
     ("a.npz", b"no zip"), ("a.parquet", b"no parquet"), ("a.txt", b"")],
)  # fmt: skip
def test_files_that_are_something_else(tmp_path: Path, name: str, content: bytes) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"a\.(csv|json|npz|parquet|txt)"):
        import_tiles(tmp_path / "one", tmp_path / name, layout=CodeLayout(16))
    with pytest.raises(InputError, match="no such file"):
        import_tiles(tmp_path / "one", tmp_path / "nothing.csv")

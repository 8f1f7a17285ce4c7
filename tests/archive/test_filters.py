"""Filters against their meaning, row by row in Python."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrahash.archive import Archive, Record
from terrahash.archive.expressions import parse
from terrahash.errors import InputError

from .conftest import LAYOUT, nearest, random_codes

LABELS = ["harbor", "river", "it's", None, "Straße 50%"]
SENSORS = ["S2A", "S2B", "L8", None]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    rng = random.Random(0)
    path = tmp_path_factory.mktemp("filters") / "archive"
    archive = Archive.create(path, LAYOUT)
    for part in range(5):
        count = 60
        archive.add_codes(
            random_codes(count, seed=part),
            sources=[f"scene_{part}/tile_{n}.tif" for n in range(count)],
            labels=[rng.choice(LABELS) for _ in range(count)],
            confidences=[rng.choice([None, 0.25, 0.5, 0.75]) for _ in range(count)],
            datetimes=[rng.choice([None, "2023-01-01", "2024-06-01T12:00:00Z", "2025-02-03"])
                       for _ in range(count)],
            bboxes=[_box(rng) for _ in range(count)],
            columns={
                "cloud": [rng.choice([None, 0, 10, -3, 99]) for _ in range(count)],
                "sensor": [rng.choice(SENSORS) for _ in range(count)],
                "clear": [rng.choice([None, True, False]) for _ in range(count)],
            }
            if part != 2
            else None,
        )  # fmt: skip
    archive.delete(ids=[3, 70, 200])
    return archive


def _box(rng: random.Random) -> tuple[float, float, float, float] | None:
    if rng.random() < 0.2:
        return None
    west = rng.uniform(-180, 180)
    east = west + rng.uniform(0, 60)
    south = rng.uniform(-90, 80)
    return west, south, east - 360 if east > 180 else east, south + 10


Meaning = Callable[[Record], bool | None]


def value(record: Record, name: str) -> Any:
    return record.columns[name] if name in record.columns else getattr(record, name)


CASES: list[tuple[str, Meaning]] = [
    ("label = 'harbor'", lambda r: r.label == "harbor"),
    ("label != 'harbor'", lambda r: r.label is not None and r.label != "harbor"),
    ("label = 'it''s'", lambda r: r.label == "it's"),
    ("NOT label = 'harbor'", lambda r: r.label is not None and r.label != "harbor"),
    ("label IN ('harbor', 'river')", lambda r: r.label in ("harbor", "river")),
    ("label NOT IN ('harbor')", lambda r: r.label not in ("harbor", None)),
    ("label IS NULL", lambda r: r.label is None),
    ("NOT label IS NULL", lambda r: r.label is not None),
    ("label IS NOT NULL AND label LIKE '%r%'", lambda r: "r" in (r.label or "")),
    ("label NOT LIKE 'h%'", lambda r: r.label is not None and r.label[0] != "h"),
    ("label ILIKE 'HAR_OR'", lambda r: r.label == "harbor"),
    (r"label LIKE '%50\%'", lambda r: r.label == "Straße 50%"),
    ("label > 'i' AND label <= 'it''s'", lambda r: r.label == "it's"),
    ("source LIKE 'scene_1/%'", lambda r: (r.source or "").startswith("scene_1/")),
    ("source = 'scene_3/tile_7.tif'", lambda r: r.source == "scene_3/tile_7.tif"),
    ("source != 'scene_3/tile_7.tif'", lambda r: r.source != "scene_3/tile_7.tif"),
    ("confidence >= 0.5", lambda r: (r.confidence or 0) >= 0.5),
    ("confidence < 0.5", lambda r: r.confidence == 0.25),
    ("0.5 <= confidence", lambda r: (r.confidence or 0) >= 0.5),
    ("cloud < 0", lambda r: r.columns["cloud"] == -3),
    ("cloud != 10", lambda r: r.columns["cloud"] not in (10, None)),
    ("cloud BETWEEN -3 AND 10", lambda r: r.columns["cloud"] in (-3, 0, 10)),
    ("cloud NOT BETWEEN -3 AND 10", lambda r: r.columns["cloud"] == 99),
    ("cloud IN (0, 99)", lambda r: r.columns["cloud"] in (0, 99)),
    ("cloud NOT IN (0, 99)", lambda r: r.columns["cloud"] not in (0, 99, None)),
    ("cloud IS NULL", lambda r: r.columns["cloud"] is None),
    ("clear = TRUE", lambda r: r.columns["clear"] is True),
    ("NOT clear = TRUE", lambda r: r.columns["clear"] is False),
    ("datetime >= '2024-01-01'", lambda r: (r.datetime or "") >= "2024"),
    ("datetime < DATE '2024-01-01'", lambda r: r.datetime is not None and r.datetime < "2024"),
    ("datetime = '2024-06-01T14:00:00+02:00'", lambda r: (r.datetime or "")[:7] == "2024-06"),
    ("id <= 10 OR id = 299", lambda r: r.id <= 10 or r.id == 299),
    ("id NOT IN (1, 2)", lambda r: r.id not in (1, 2)),
    ("west > 0", lambda r: r.bbox is not None and r.bbox[0] > 0),
    (
        "NOT (label = 'harbor' OR cloud > 0) AND \"sensor\" LIKE 'S2_'",
        lambda r: (
            r.label not in ("harbor", None)
            and r.columns["cloud"] in (0, -3)
            and r.columns["sensor"] in ("S2A", "S2B")
        ),
    ),
]


@pytest.mark.parametrize(("where", "meaning"), CASES, ids=[case[0] for case in CASES])
def test_conditions(filled: Archive, where: str, meaning: Meaning) -> None:
    expected = [record.id for record in filled.records(filled.ids()) if meaning(record)]
    assert filled.ids(where=where).tolist() == expected
    assert expected


def _overlap(box: tuple[float, ...], query: tuple[float, ...]) -> bool:
    def spans(west: float, east: float) -> list[tuple[float, float]]:
        return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]

    across = any(
        a <= d and c <= b for a, b in spans(box[0], box[2]) for c, d in spans(query[0], query[2])
    )
    return across and box[1] <= query[3] and query[1] <= box[3]


@pytest.mark.parametrize(
    "query",
    [(0, 0, 30, 30), (170, -90, -170, 90), (-180, -90, 180, 90), (20, -10, 10, 60), (5, 5, 5, 5)],
)
def test_boxes_also_across_the_antimeridian(
    filled: Archive, query: tuple[float, float, float, float]
) -> None:
    expected = [r.id for r in filled.records(filled.ids()) if r.bbox and _overlap(r.bbox, query)]
    assert filled.ids(bbox=query).tolist() == expected


def test_after_and_before(filled: Archive) -> None:
    records = filled.records(filled.ids())
    expected = [r.id for r in records if r.datetime and "2024-06-01T12" <= r.datetime < "2025"]
    found = filled.ids(after="2024-06-01T12:00:00Z", before="2025-01-01")
    assert found.tolist() == expected


def test_filters_apply_before_distances(filled: Archive) -> None:
    query = random_codes(1, seed=3)[0]
    kept = filled.ids(where="label = 'river'", bbox=(-90, -90, 90, 90))
    assert 20 < len(kept) < 100
    hits = filled.search_codes(query, k=10, where="label = 'river'", bbox=(-90, -90, 90, 90))[0]
    found = list(zip(hits.ids.tolist(), hits.distances.tolist(), strict=True))
    assert found == nearest(filled.codes(kept), kept, query, 10)


WRONG = [
    ("label == ", "expected a literal at character 10"),
    ("label = 'harbor", "expected a name, a literal or a sign"),
    ("nothere = 1", "there is no column 'nothere'"),
    ("cloud = 'many'", "column 'cloud' is of kind integer; 'many' is not"),
    ("label = 5", "column 'label' is of kind text"),
    ("cloud LIKE 'a'", "not text"),
    ("datetime > 'soon'", "is not a date"),
    ("label = 'a' label = 'b'", "expected AND, OR or the end"),
    ("(label = 'a'", r"expected \)"),
    ("", "expected a column name"),
    ("label = 'a'; DROP TABLE segments", "expected a name"),
    ("label IN ()", "expected a literal"),
    ("1 = 1", "expected a column name"),
    ("(" * 200 + "id = 1" + ")" * 200, "nests deeper"),
    ("id = 1 OR " * 5000 + "id = 1", "characters"),
]


@pytest.mark.parametrize(("where", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_understood_is_said(filled: Archive, where: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        filled.ids(where=where)


def test_the_error_of_an_unknown_column_lists_the_columns(filled: Archive) -> None:
    with pytest.raises(InputError) as caught:
        filled.ids(where="labell = 'a'")
    assert "predicted_label" in caught.value.remedy
    assert "sensor" in caught.value.remedy


@pytest.mark.parametrize("bbox", [(0, 0, 1), (0, 50, 10, 40), (0, 0, 190, 1), ("a", 0, 1, 2)])
def test_wrong_boxes(filled: Archive, bbox: Any) -> None:
    with pytest.raises(InputError, match="is no box"):
        filled.ids(bbox=bbox)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_an_input_error(text: str) -> None:
    with contextlib.suppress(InputError):
        parse(text)


def test_zones_rule_out_blocks_and_nothing_else(tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = 400_000
    rng = np.random.default_rng(1)
    west = np.linspace(-179, 178, rows)
    boxes = np.stack([west, np.full(rows, 1.0), west + 0.5, np.full(rows, 2.0)], axis=1)
    boxes[1000] = (179.5, 1, -179.5, 2)
    times = np.arange(rows) * 10**9
    cloud = rng.integers(0, 100, rows) + np.arange(rows) // 140_000 * 100
    path = tmp_path_factory.mktemp("zones") / "archive"
    with Archive.create(path, LAYOUT) as archive:
        archive.add_codes(
            random_codes(rows), bboxes=boxes, datetimes=times, columns={"cloud": cloud}
        )
        ids = np.arange(1, rows + 1)
        inside = (boxes[:, 0] <= 20) & (boxes[:, 2] >= 10)
        inside[1000] = False
        assert np.array_equal(archive.ids(bbox=(10, 0, 20, 5)), ids[inside])
        assert archive.ids(bbox=(179.8, 0, 179.9, 5)).tolist() == [1001]
        late = times >= 150_000 * 10**9
        assert np.array_equal(archive.ids(after=np.datetime64(150_000_000, "s")), ids[late])
        for sign, keep in (("<", cloud < 105), (">=", cloud >= 230), ("=", cloud == 150)):
            limit = {"<": 105, ">=": 230, "=": 150}[sign]
            assert np.array_equal(archive.ids(where=f"cloud {sign} {limit}"), ids[keep])

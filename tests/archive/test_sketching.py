"""What sketches say of rows is never wrong, whatever the values, and the same by both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from terrahash.archive import Archive, filters, on_texts, predicates, sketching, zones
from terrahash.archive.segments import Segment
from terrahash.archive.sketching import NO, PERHAPS, SURELY, Judgement, Limit, Sketches

from .conftest import LAYOUT, random_codes

COLUMNS = ("integer", "real", "huge", "confidence", "constant")
VALUES: dict[str, list[Any]] = {
    "integer": [-40, 0, 7, 7.5, 299, 300, 10**6, -(10**6)],
    "real": [-1.0, 0.0, 0.25, 0.5, 1.0, 2.0],
    "huge": [2**53, 2**53 + 1, 2**62, float(2**53)],
    "confidence": [0.1, 0.5, 0.7, 1.0, 0.0],
    "constant": [4, 5, 6],
}
ROWS = 5000


def columns(rng: np.random.Generator) -> dict[str, list[Any]]:
    """Values with repetitions, the ends of their ranges among them, and rows without."""
    drawn: dict[str, NDArray[Any]] = {
        "integer": rng.integers(0, 301, ROWS),
        "real": rng.integers(0, 17, ROWS) / 16,
        "huge": 2**53 + rng.integers(-3, 4, ROWS),
        "confidence": (rng.integers(0, 11, ROWS) / 10).astype(np.float32),
        "constant": np.full(ROWS, 5),
    }
    out = {}
    for name, values in drawn.items():
        absent = rng.random(ROWS) < 0.1
        absent[2048:3072] = name == "integer"
        out[name] = [None if a else v for v, a in zip(values.tolist(), absent, strict=True)]
    return out


@pytest.fixture(params=["numpy", "compiled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketching, "_compiled", lambda: request.param == "compiled")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    given = columns(np.random.default_rng(0))
    archive = Archive.create(tmp_path_factory.mktemp("sketches") / "archive", LAYOUT)
    archive.add_codes(random_codes(ROWS), confidences=given.pop("confidence"), columns=given)
    return archive


def judge(segment: Segment, limits: list[Limit]) -> Judgement:
    sketches = Sketches.of(segment, limits)
    assert sketches is not None
    judgement = np.full(ROWS, SURELY, np.uint8)
    sketches.judge(slice(0, ROWS), judgement)
    return judgement


COMPARE = {
    "=": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", COLUMNS)
def test_judgements_are_never_wrong(stored: Archive, name: str) -> None:
    (segment,) = stored.snapshot().segments
    column = segment.column(name)
    assert column is not None
    values, absent = segment.array(name), column.nulls()
    clear = 0
    for sign, compare in COMPARE.items():
        for value in VALUES[name]:
            meets = compare(values, value) & ~absent
            judgement = judge(segment, [Limit(name, sign, value)])
            assert not meets[judgement == NO].any(), (sign, value)
            assert meets[judgement == SURELY].all(), (sign, value)
            clear += int(np.count_nonzero(judgement != PERHAPS))
    assert clear > ROWS or name == "constant"


@pytest.mark.usefixtures("way")
def test_two_limits_of_one_column_are_judged_together(stored: Archive) -> None:
    (segment,) = stored.snapshot().segments
    values = segment.array("integer")
    limits = [Limit("integer", ">=", 100), Limit("integer", "<", 200), Limit("real", ">", 0.5)]
    judgement = judge(segment, limits)
    meets = (values >= 100) & (values < 200) & (segment.array("real") > 0.5)
    assert not meets[judgement == NO].any()
    assert meets[judgement == SURELY].all()
    assert np.count_nonzero(judgement == SURELY) > 100
    assert Sketches.of(segment, [Limit("label", ">", 1)]) is None


@pytest.mark.usefixtures("way")
def test_random_filters_are_those_of_brute_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (zones, sketching, filters, predicates, on_texts):
        monkeypatch.setattr(module, "ZONE_ROWS", 512)
    monkeypatch.setattr(filters, "RUN_BLOCKS", 3)
    rng = np.random.default_rng(3)
    given = columns(rng)
    west, south = rng.uniform(-180, 180, ROWS), rng.uniform(-90, 80, ROWS)
    east = west + rng.uniform(0, 60, ROWS)
    boxes = np.stack([west, south, np.where(east > 180, east - 360, east), south + 10], axis=1)
    boxes[rng.random(ROWS) < 0.1] = np.nan
    times = rng.integers(0, 10**15, ROWS)
    with Archive.create(tmp_path / "archive", LAYOUT) as archive:
        archive.add_codes(
            random_codes(ROWS),
            bboxes=boxes,
            datetimes=times,
            confidences=given.pop("confidence"),
            columns=given,
        )
        gone = rng.choice(ROWS, 50, replace=False) + 1
        archive.delete(ids=gone)
        ids = np.setdiff1d(np.arange(1, ROWS + 1), gone)
        integer = np.array([np.nan if v is None else v for v in given["integer"]])[ids - 1]
        box, when = boxes[ids - 1], times[ids - 1]
        for _ in range(60):
            a, b, w, e = (float(x) for x in rng.uniform(-180, 180, 4))
            low, high = sorted((a / 2, b / 2))
            first, last = sorted(rng.integers(0, 10**15, 2).tolist())
            number = int(rng.integers(-5, 305))
            across = box[:, 0] > box[:, 2]
            begins, ends = box[:, 0] <= e, box[:, 2] >= w
            wide = begins | ends | across if w > e else (begins & ends) | across & (begins | ends)
            inside = wide & (box[:, 1] <= high) & (box[:, 3] >= low)
            dated = (when >= first) & (when < last)
            found = archive.ids(
                bbox=(w, low, e, high),
                after=np.datetime64(first, "us"),
                before=np.datetime64(last, "us"),
                where=f"integer < {number} OR west > {a} AND NOT integer = {number}",
            )
            either = (integer < number) | (
                (box[:, 0] > a) & (integer != number) & ~np.isnan(integer)
            )
            assert found.tolist() == ids[inside & dated & either].tolist()
            assert archive.ids(bbox=(w, low, e, high)).tolist() == ids[inside].tolist()
            assert archive.ids(where=f"west >= {a}").tolist() == ids[box[:, 0] >= a].tolist()


@pytest.mark.usefixtures("way")
def test_random_conditions_on_texts_are_those_of_brute_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dictionaries of one and of two bytes, texts end to end, looked up ones; several segments."""
    for module in (zones, sketching, filters, predicates, on_texts):
        monkeypatch.setattr(module, "ZONE_ROWS", 512)
    monkeypatch.setattr(filters, "RUN_BLOCKS", 2)
    rng = np.random.default_rng(4)
    labels = [None if n == 9 else f"class {n}" for n in rng.integers(0, 10, ROWS).tolist()]
    places = [None if n == 0 else f"place {n}" for n in rng.integers(0, 400, ROWS).tolist()]
    notes = [None if n % 11 == 0 else f"note {n} of {n % 3}" for n in range(ROWS)]
    sources = [f"tiles/{n:05d}.tif" for n in rng.permutation(ROWS).tolist()]
    numbers = rng.integers(0, 100, ROWS)
    with Archive.create(tmp_path / "archive", LAYOUT) as archive:
        for part in np.array_split(np.arange(ROWS), 3):
            archive.add_codes(
                random_codes(len(part)),
                labels=[labels[n] for n in part],
                sources=[sources[n] for n in part],
                columns={
                    "place": [places[n] for n in part],
                    "note": [notes[n] for n in part],
                    "number": numbers[part],
                },
            )
        for _ in range(40):
            label, number = f"class {rng.integers(0, 12)}", int(rng.integers(0, 101))
            digit, wanted = str(rng.integers(0, 10)), sources[int(rng.integers(ROWS))]
            one = [n for n in range(ROWS) if labels[n] == label and numbers[n] < number]
            assert archive.ids(where=f"label = '{label}' AND number < {number}").tolist() == [
                n + 1 for n in one
            ]
            found = archive.ids(
                where=f"place LIKE '%{digit}' AND (number >= {number} OR source = '{wanted}')"
                f" OR note LIKE '%{digit}% of 2' AND label != '{label}'"
            )
            assert found.tolist() == [
                n + 1
                for n in range(ROWS)
                if (
                    (places[n] or "").endswith(digit)
                    and (numbers[n] >= number or sources[n] == wanted)
                )
                or (
                    digit in (notes[n] or "")[: -len(" of 2")]
                    and (notes[n] or "").endswith(" of 2")
                    and labels[n] not in (label, None)
                )
            ]
            assert archive.ids(where=f"source IN ('{wanted}', 'x')").tolist() == [
                sources.index(wanted) + 1
            ]

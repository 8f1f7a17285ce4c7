from __future__ import annotations

from terrahash.benchmark.summary import COLUMNS, Row, failures, sections, superseded
from tests.benchmark.conftest import MakeRecord

FIRST = 0  # the column of the figure to compare by


def names(rows: tuple[Row, ...]) -> list[tuple[int, str]]:
    return [(row.bits_asked, row.name) for row in rows]


def test_means_and_deviations_are_over_seeds(make_record: MakeRecord) -> None:
    values = {0: 0.80, 1: 0.90, 2: 0.85}
    records = [make_record(seed=seed, value=value) for seed, value in values.items()]
    (section,) = sections(records)
    (row,) = section.rows
    assert row.seeds == (0, 1, 2)
    assert str(row.cells[FIRST]) == "0.8500 ± 0.0500"
    assert "seed 1: hash of seed 1" in section.conditions()[1]
    assert "--seeds 0,1,2" in section.command


def test_the_best_of_each_column_is_marked_within_a_code_length(make_record: MakeRecord) -> None:
    records = [
        make_record(method="dhcl", bits_asked=16, value=0.90),
        make_record(method="lsh", bits_asked=16, value=0.60),
        make_record(method="dhcl", bits_asked=32, value=0.93),
        make_record(method="lsh", bits_asked=32, value=0.94),
        make_record(method="lsh", bits_asked=64, value=0.99),
    ]
    (section,) = sections(records)
    assert names(section.rows) == [
        (16, "DHCL"), (16, "LSH"), (32, "LSH"), (32, "DHCL"), (64, "LSH"),
    ]  # fmt: skip
    assert [row.cells[FIRST].is_best for row in section.rows] == [True, False, True, False, False]
    published = [
        cell.is_best
        for row in section.rows
        for cell, column in zip(row.cells, COLUMNS, strict=True)
        if column.published
    ]
    assert not any(published)  # nothing is recommended by a metric that is none


def test_protocols_databases_and_data_sets_never_share_a_table(make_record: MakeRecord) -> None:
    records = [
        make_record(),
        make_record(protocol="test-to-train"),
        make_record(protocol="test-to-train", database="learned"),
        make_record(data="aid", data_title="AID at 150 px"),
        make_record(mode="finetune"),
        make_record(k=100),
    ]
    tables = sections(records)
    assert [len(section.records) for section in tables] == [1] * 6
    assert len({section.title for section in tables}) == 5  # k stands in the conditions
    assert tables[2].title.endswith("test-to-train, learned database")
    assert any("codes that training learned" in line for line in tables[2].conditions())


def test_a_metric_that_is_not_defined_is_a_dash(make_record: MakeRecord) -> None:
    (section,) = sections([make_record()])
    place = next(i for i, column in enumerate(COLUMNS) if column.heading.startswith("FAH"))
    assert str(section.rows[0].cells[place]) == "–"


def test_label_bits_are_shown_and_published_ones_compared_at_the_length_asked(
    make_record: MakeRecord,
) -> None:
    records = [
        make_record(bits_asked=16, bits=16, label_bits=5),
        make_record(variant="published", bits_asked=16, bits=21, label_bits=5, value=0.2),
    ]
    (section,) = sections(records)
    assert [(row.name, row.code) for row in section.rows] == [
        ("DHCL", "11+5"),
        ("DHCL as published", "16+5"),
    ]


def test_a_repeated_run_counts_once_with_its_latest_result(make_record: MakeRecord) -> None:
    records = [make_record(run="old", value=0.1), make_record(run="new", value=0.9)]
    (section,) = sections(records)
    assert str(section.rows[0].cells[FIRST]) == "0.9000"
    assert superseded(records) == 1


def test_a_failure_is_told_until_the_run_is_finished(make_record: MakeRecord) -> None:
    failed = {"kind": "failure", "run": "x", "request": "request dhcl-corrected-16-0"}
    again = {**failed, "message": "again"}
    assert failures([failed, again]) == [again]
    assert failures([failed, make_record()]) == []
    assert failures([make_record(), failed]) == [failed]

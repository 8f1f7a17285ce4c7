from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrahash.benchmark.results import FORMAT, RESULTS, Results, read_results
from terrahash.errors import InputError


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "benchmark"
    with Results(folder) as results:
        results.append({"kind": "result", "run": "a", "größe": 1})
        assert read_results(folder) == results.records  # while it is being written
    with Results(folder) as results:
        results.append({"kind": "result", "run": "b"})
    assert [record["run"] for record in read_results(folder)] == ["a", "b"]
    assert all(record["format"] == FORMAT for record in read_results(folder))


def test_a_folder_that_is_not_there_holds_no_results(tmp_path: Path) -> None:
    assert read_results(tmp_path / "nothing") == []
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("torn", [b'{"format": 1, "kind": "res', b'{"format": 1}', b"\xc3"])
def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path, torn: bytes) -> None:
    with Results(tmp_path) as results:
        results.append({"run": "a"})
    path = tmp_path / RESULTS
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert [record["run"] for record in read_results(tmp_path)] == ["a"]
    with Results(tmp_path) as results:
        results.append({"run": "b"})
    assert path.read_bytes().startswith(whole)
    assert [record["run"] for record in read_results(tmp_path)] == ["a", "b"]


def test_another_format_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    path.write_text(json.dumps({"format": FORMAT + 1, "run": "a"}) + "\n{torn")
    before = path.read_bytes()
    for read in (read_results, Results):
        with pytest.raises(InputError, match=f"line 1: benchmark format {FORMAT + 1}"):
            read(tmp_path)
    assert path.read_bytes() == before


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / RESULTS).write_text('{"format": 1}\nnonsense\n{"format": 1}\n')
    with pytest.raises(InputError, match="line 2: damaged"):
        Results(tmp_path)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="holds no benchmark"):
        Results(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_only_one_writes_at_a_time(tmp_path: Path) -> None:
    with Results(tmp_path), pytest.raises(InputError, match="another benchmark is writing"):
        Results(tmp_path)
    with Results(tmp_path):
        pass


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the benchmark"):
        Results(tmp_path / "file" / "below")

"""On the published images, where they are: ``TERRAHASH_DATA``, as it was when the tests began."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from terrahash.datasets import load_dataset, make_split

DATA = os.environ.get("TERRAHASH_DATA", "")


@pytest.fixture(autouse=True)
def _real_data(_no_data_of_this_machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_DATA", DATA)


@pytest.mark.skipif(
    not (Path(DATA) / "UCMerced_LandUse").is_dir(), reason="no UC Merced in TERRAHASH_DATA"
)
def test_uc_merced() -> None:
    data = load_dataset("ucmerced")
    assert len(data) == 2100
    split = make_split(data)
    assert len(split.indices("train")) == 1260
    assert len(split.indices("test")) == 840
    assert len(make_split(data, rule="dhcl").indices("train")) == 1680
    assert len(make_split(data, rule="ahcl").indices("test")) == 420


@pytest.mark.skipif(not (Path(DATA) / "AID").is_dir(), reason="no AID in TERRAHASH_DATA")
def test_aid_keeps_its_identical_pair_together() -> None:
    data = load_dataset("aid")
    assert len(data) == 10000
    pair = [data.files.index(f"Industrial/industrial_{number}.jpg") for number in (203, 205)]
    assert len({data.digests()[row] for row in pair}) == 1
    for seed in range(5):
        split = make_split(data, seed=seed)
        assert len({split.roles[row] for row in pair}) == 1
        assert len(split.indices("train")) == 6000
        assert len(split.indices("test")) == 4000

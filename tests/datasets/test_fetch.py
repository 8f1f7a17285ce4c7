from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from terrahash.datasets import KNOWN, KnownDataset, load_dataset
from terrahash.datasets.fetch import fetch, prepare
from terrahash.datasets.known import Download
from terrahash.datasets.registry import find
from terrahash.errors import DatasetError

from .test_download import Publisher, publisher  # noqa: F401 (a fixture)
from .test_known import patch


def archive(names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name in names:
            zipped.writestr(name, name)
    return buffer.getvalue()


def served(server: Publisher, name: str, content: bytes, checksum: str = "") -> KnownDataset:
    server.content = content
    item = Download(server.url, "set.zip", checksum, KNOWN[name].downloads[0].folder)
    return dataclasses.replace(KNOWN[name], downloads=(item,))


@pytest.mark.parametrize("wrapper", ["RSSCN7-master/", "RSSCN7/", "other/RSSCN7-v2/", ""])
def test_fetched_data_are_found_however_they_are_wrapped(
    publisher: Publisher,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrapper: str,
) -> None:
    names = [f"{wrapper}{c}/{n}.jpg" for c in KNOWN["rsscn7"].classes for n in range(3)]
    content = archive(names)
    known = served(publisher, "rsscn7", content, f"md5:{hashlib.md5(content).hexdigest()}")  # noqa: S324
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path / "data"))
    path = fetch(known)
    data = load_dataset("rsscn7")
    assert data.root == path
    assert len(data) == 21
    assert not list((tmp_path / "data").glob("*.zip*"))
    assert fetch(known) == path
    assert len(publisher.asked) == 1


def test_an_archive_that_is_there_is_not_fetched_again(
    publisher: Publisher,  # noqa: F811
    tmp_path: Path,
) -> None:
    content = archive([f"2750/{c}/{c}_1.jpg" for c in KNOWN["eurosat"].classes])
    known = served(publisher, "eurosat", content)
    (tmp_path / "set.zip").write_bytes(content)
    assert fetch(known, folder=tmp_path) == tmp_path / "EuroSAT/2750"
    assert publisher.asked == []


def test_a_damaged_archive_that_is_there_is_refused(
    publisher: Publisher,  # noqa: F811
    tmp_path: Path,
) -> None:
    known = served(publisher, "eurosat", b"", "md5:" + "0" * 32)
    (tmp_path / "set.zip").write_bytes(b"half")
    with pytest.raises(DatasetError, match="checksum"):
        fetch(known, folder=tmp_path)


def test_another_layout_is_said(publisher: Publisher, tmp_path: Path) -> None:  # noqa: F811
    known = served(publisher, "rsscn7", archive(["readme.txt", "images/1.jpg"]))
    with pytest.raises(DatasetError, match="laid out otherwise"):
        fetch(known, folder=tmp_path)


@pytest.mark.parametrize("wrapper", ["AID/", "AID_dataset/AID/", "AID/AID/", ""])
def test_what_must_be_fetched_by_hand(tmp_path: Path, wrapper: str) -> None:
    with pytest.raises(DatasetError, match=r"AID\.zip") as raised:
        fetch(KNOWN["aid"], folder=tmp_path)
    assert str(tmp_path) in raised.value.remedy
    names = [f"{wrapper}{c}/{c.lower()}_{n}.jpg" for c in KNOWN["aid"].classes for n in (1, 2)]
    (tmp_path / "AID.zip").write_bytes(archive([*names, f"{wrapper}readme.txt"]))
    assert fetch(KNOWN["aid"], folder=tmp_path) == tmp_path / "AID"
    assert find(KNOWN["aid"], [tmp_path]) == tmp_path / "AID"
    assert (tmp_path / "AID/Airport/airport_1.jpg").is_file()
    assert not (tmp_path / "AID.zip").exists()


def test_a_folder_that_cannot_be_made(publisher: Publisher, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "file").write_bytes(b"")
    known = served(publisher, "rsscn7", b"")
    with pytest.raises(DatasetError, match="cannot make"):
        fetch(known, folder=tmp_path / "file" / "data")


def test_bands_become_pictures_when_fetched(
    publisher: Publisher,  # noqa: F811
    tmp_path: Path,
) -> None:
    patch(tmp_path / "made", "S2A_1_0", ["Pastures"])
    raw = tmp_path / "made"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        packed.add(raw / "BigEarthNet-v1.0", "BigEarthNet-v1.0")
    known = served(publisher, "bigearthnet", buffer.getvalue())
    data = tmp_path / "data"
    assert fetch(known, folder=data) == data / "BigEarthNet-v1.0-rgb"
    assert sorted(path.name for path in data.iterdir()) == [
        "BigEarthNet-v1.0",
        "BigEarthNet-v1.0-rgb",
    ]
    shutil.rmtree(data / "BigEarthNet-v1.0-rgb")
    assert fetch(known, folder=data).is_dir()
    assert len(publisher.asked) == 1


def test_preparing_what_needs_none() -> None:
    with pytest.raises(DatasetError, match="needs no preparing"):
        prepare(KNOWN["aid"])
    with pytest.raises(DatasetError, match="was not found"):
        prepare(KNOWN["bigearthnet"])

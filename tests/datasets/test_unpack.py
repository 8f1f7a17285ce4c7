from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from terrahash.datasets.unpack import unpack
from terrahash.errors import DatasetError


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_zip_and_tar(tmp_path: Path) -> None:
    members = {"Set/a/1.png": b"one", "Set/b/2.png": b"two", "__MACOSX/Set/a/1.png": b"junk"}
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for number, made in enumerate((zipped(tmp_path / "set.zip", members), tmp_path / "set.tar.gz")):
        out = tmp_path / f"out{number}"
        assert unpack(made, out) == [out / "Set"]
        found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        assert found == {"Set/a/1.png", "Set/b/2.png"}
        assert (out / "Set/a/1.png").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.png", "C:\\evil.png"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "set.zip", {"Set/a.png": b"a", name: b"evil"})
    out = tmp_path / "deep" / "out"
    with pytest.raises(DatasetError, match="outside"):
        unpack(archive, out)
    assert list(out.iterdir()) == []
    assert not list(tmp_path.rglob("evil.png"))


def test_links_are_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        link = zipfile.ZipInfo("Set/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("Set/a.png", b"a")
    with tarfile.open(tmp_path / "set.tar", "w") as archive2:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("Set/link.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive2.addfile(info)
        info = tarfile.TarInfo("Set/a.png")
        archive2.addfile(info, io.BytesIO())
    for number, name in enumerate(("set.zip", "set.tar")):
        unpack(tmp_path / name, tmp_path / f"out{number}")
        assert [p.name for p in (tmp_path / f"out{number}/Set").iterdir()] == ["a.png"]


def test_a_bomb_is_cut_off(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "set.zip", {"Set/big.png": bytes(5_000_000)})
    with pytest.raises(DatasetError, match="more than 1,000,000 bytes"):
        unpack(archive, tmp_path / "out", max_bytes=1_000_000)
    assert list((tmp_path / "out").iterdir()) == []


def test_damaged_archives(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "set.zip", {"Set/a.png": bytes(range(256)) * 200})
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF
    (tmp_path / "flipped.zip").write_bytes(content)
    (tmp_path / "cut.zip").write_bytes(content[:200])
    (tmp_path / "text.zip").write_bytes(b"<html>sign in</html>")
    for name in ("flipped.zip", "cut.zip", "text.zip"):
        with pytest.raises(DatasetError, match="damaged"):
            unpack(tmp_path / name, tmp_path / "out")


def test_what_is_there_stays(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "set.zip", {"Set/a.png": b"new"})
    (tmp_path / "out/Set").mkdir(parents=True)
    (tmp_path / "out/Set/a.png").write_bytes(b"old")
    with pytest.raises(DatasetError, match="in the way"):
        unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/Set/a.png").read_bytes() == b"old"


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot unpack"):
        unpack(tmp_path / "gone.zip", tmp_path / "out")

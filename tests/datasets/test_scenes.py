from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrahash.datasets import load_dataset
from terrahash.datasets.scenes import (
    SCENE_CLASSES,
    SCENE_CONTENTS,
    generate,
    generate_scenes,
    scenes_folder,
)
from terrahash.datasets.scenes.landuse import LAND_USE
from terrahash.errors import DatasetError, InputError


def test_the_class_list_is_that_of_the_layouts() -> None:
    assert tuple(sorted(LAND_USE)) == SCENE_CLASSES
    assert len(SCENE_CLASSES) >= 12


def test_tiles_are_written_as_asked(tmp_path: Path) -> None:
    data = generate_scenes(tmp_path / "s", size=48, per_class=2, seed=1)
    assert len(data) == 2 * len(SCENE_CLASSES)
    assert data.class_names == SCENE_CLASSES
    assert len(set(data.digests())) == len(data)
    for path in data.paths:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.mode == "RGB"
            assert image.size == (48, 48)
            assert np.asarray(image).std() > 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_same_seed_gives_the_same_tiles(tmp_path: Path) -> None:
    first = generate_scenes(tmp_path / "a", size=32, per_class=2, seed=7)
    second = generate_scenes(tmp_path / "b", size=32, per_class=3, seed=7)
    other = generate_scenes(tmp_path / "c", size=32, per_class=2, seed=8)
    assert set(first.digests()) < set(second.digests())
    assert not set(first.digests()) & set(other.digests())


def test_helpers_draw_the_same_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = generate_scenes(tmp_path / "a", size=32, per_class=2)
    monkeypatch.setattr("terrahash.datasets.scenes.generate.TILES_WORTH_A_WORKER", 1)
    together = generate_scenes(tmp_path / "b", size=32, per_class=2)
    assert together.digests() == alone.digests()
    assert together.files == alone.files
    monkeypatch.setattr("sys.executable", "/no/such/python")
    assert generate_scenes(tmp_path / "c", size=32, per_class=2).digests() == alone.digests()


def test_a_worker_is_a_command(tmp_path: Path) -> None:
    for share in ("0", "1"):
        command = [sys.executable, "-m", "terrahash.datasets.scenes", str(tmp_path)]
        subprocess.run([*command, "32", "2", "0", share, "2"], check=True)
    assert len(list(tmp_path.rglob("*.png"))) == 2 * len(SCENE_CLASSES)


def test_colour_does_not_tell_the_class(tmp_path: Path) -> None:
    data = generate_scenes(tmp_path / "s", size=32, per_class=8)
    assert data.labels is not None
    means = []
    for path in data.paths:
        with Image.open(path) as image:
            means.append(np.asarray(image).reshape(-1, 3).mean(axis=0))
    points = np.array(means)
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(distances, np.inf)
    nearest = data.labels[distances.argmin(axis=1)]
    assert (nearest == data.labels).mean() < 0.45


@pytest.mark.parametrize("wrong", [{"size": 8}, {"size": 5000}, {"per_class": 0}, {"seed": -1}])
def test_wrong_arguments(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InputError):
        generate_scenes(tmp_path / "s", **wrong)  # type: ignore[arg-type]


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DatasetError, match="in the way"):
        generate_scenes(tmp_path, size=32, per_class=1)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DatasetError, match="No space left"):
        generate_scenes(tmp_path / "s", size=32, per_class=1)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_CACHE", str(tmp_path))
    generated = generate_scenes
    theirs: list[list[str]] = []

    def late(folder: Path) -> object:
        """The other process finishes while this one draws."""
        write_all = generate._write_all

        def meanwhile(*arguments: object) -> None:
            monkeypatch.setattr(generate, "_write_all", write_all)
            theirs.append(generated(folder, size=32, per_class=2).digests())
            write_all(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(generate, "_write_all", meanwhile)
        return generated(folder, size=32, per_class=1)

    monkeypatch.setattr(generate, "generate_scenes", late)
    assert [load_dataset("scenes").digests()] == theirs
    assert [path.name for path in (tmp_path / "data").iterdir()] == [scenes_folder().name]


def test_the_default_scenes_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_CACHE", str(tmp_path))
    monkeypatch.setattr("terrahash.datasets.scenes.generate.DEFAULT_PER_CLASS", 1)
    generated = generate_scenes

    def small(folder: Path) -> object:
        return generated(folder, size=32, per_class=1)

    monkeypatch.setattr("terrahash.datasets.scenes.generate.generate_scenes", small)
    sets = load_dataset("scenes-sets")
    assert sets.is_multilabel
    assert set(sets.class_names) <= set(SCENE_CONTENTS)
    data = load_dataset("scenes")
    assert sets.files == data.files
    shown = dict(zip(sets.files, sets.targets, strict=True))
    for file, kinds in (
        ("beach/beach_0000.png", {"sand", "water"}),
        ("dense_residential/dense_residential_0000.png", {"buildings", "pavement"}),
        ("solar_park/solar_park_0000.png", {"solar_panels"}),
    ):
        seen = {sets.class_names[column] for column in np.flatnonzero(shown[file])}
        assert kinds <= seen
        assert "aircraft" not in seen
    assert data.name == "scenes"
    assert data.root.parent == tmp_path / "data"
    before = data.paths[0].stat().st_mtime_ns
    assert load_dataset("scenes").paths[0].stat().st_mtime_ns == before

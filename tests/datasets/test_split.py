from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrahash.datasets import Dataset, Split, load_dataset, make_split, split_from_text
from terrahash.errors import DatasetError, InputError

from .conftest import MakeFolder


def fake(labels: np.ndarray, digests: list[str] | None = None, classes: int = 0) -> Dataset:
    """A data set whose files need not exist: its digests are given."""
    count = len(labels)
    names = tuple(f"c{number}" for number in range(classes or int(labels.max()) + 1))
    data = Dataset(
        "fake", Path("/nowhere"), tuple(f"f{n:05d}" for n in range(count)), labels, names
    )
    data.__dict__["_digests"] = digests or [f"{number:064x}" for number in range(count)]
    return data


def per_class(data: Dataset, split: Split) -> list[Counter[str]]:
    assert data.labels is not None
    return [
        Counter(role for role, label in zip(split.roles, data.labels, strict=True) if label == one)
        for one in range(len(data.class_names))
    ]


def test_sixty_forty_of_uc_merced_and_aid() -> None:
    uc_merced = fake(np.repeat(np.arange(21), 100))
    split = make_split(uc_merced)
    assert Counter(split.roles) == {"fit": 1134, "validation": 126, "test": 840}
    assert set(map(str, per_class(uc_merced, split))) == {
        "Counter({'fit': 54, 'test': 40, 'validation': 6})"
    }
    counts = [360, 310, 220, 400, 360, 260, 240, 350, 410, 300, 370, 250, 390, 280, 290]
    counts += [340, 350, 390, 370, 420, 380, 260, 290, 410, 300, 300, 330, 290, 360, 420]
    aid = make_split(fake(np.repeat(np.arange(30), counts)))
    assert len(aid.indices("train")) == 6000
    assert len(aid.indices("test")) == 4000


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(5, 40), min_size=2, max_size=6),
    percent=st.integers(20, 80),
    seed=st.integers(0, 5),
    copies=st.integers(0, 8),
)
def test_each_class_is_divided_and_copies_stay_together(
    counts: list[int], percent: int, seed: int, copies: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    digests = [f"{number:064x}" for number in range(len(labels))]
    rng = np.random.default_rng(seed)
    for _ in range(copies):
        first, second = rng.integers(0, len(labels), 2)
        digests[first] = digests[second]
    data = fake(labels, digests)
    try:
        split = make_split(data, percent / 100, seed)
    except DatasetError as error:
        assert "distinct" in str(error)  # copies left a class too few images
        return
    roles: dict[str, set[str]] = {}
    for digest, role in zip(digests, split.roles, strict=True):
        roles.setdefault(digest, set()).add(role)
    assert all(len(given) == 1 for given in roles.values())
    if not copies:
        for count, part in zip(counts, per_class(data, split), strict=True):
            train = part["fit"] + part["validation"]
            assert train == min(-(-percent * count // 100), count - 1)
            assert min(part["fit"], part["validation"], part["test"]) >= 1


def test_the_draw_follows_content_and_seed_alone(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"a": 20, "b": 30})
    data = load_dataset(root)
    split = make_split(data, seed=3)
    moved = tmp_path / "moved"
    for place, digest in zip(data.paths, data.digests(), strict=True):
        target = moved / place.parent.name / f"{digest[:12]}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place, target)
    renamed = load_dataset(moved)
    again = make_split(renamed, seed=3)
    assert again.hash == split.hash
    assert dict(zip(renamed.digests(), again.roles, strict=True)) == dict(
        zip(data.digests(), split.roles, strict=True)
    )
    assert make_split(data, seed=4).hash != split.hash
    assert make_split(data, 0.5, seed=3).hash != split.hash


def test_validation_is_carved_from_training(make_folder: MakeFolder) -> None:
    data = load_dataset(make_folder({"a": 20, "b": 20}))
    with_validation, without = make_split(data), make_split(data, validation=0)
    assert with_validation.indices("train").tolist() == without.indices("train").tolist()
    assert len(without.indices("validation")) == 0
    parts = [with_validation.indices(role) for role in ("fit", "validation", "test")]
    assert sorted(np.concatenate(parts)) == list(range(40))
    assert all(part.dtype == np.int64 for part in parts)


def test_copies_in_two_classes_stay_together() -> None:
    labels = np.repeat([0, 1], 20)
    digests = [f"{number:064x}" for number in range(40)]
    for number in range(6):
        digests[20 + number] = digests[number]
    for seed in range(6):
        split = make_split(fake(labels, digests), seed=seed)
        assert [split.roles[n] for n in range(6)] == [split.roles[20 + n] for n in range(6)]
        assert len(split.indices("train")) == 24


def test_label_sets_are_divided_evenly() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((400, 6)) < np.array([0.5, 0.3, 0.2, 0.1, 0.05, 0.03])
    targets[:, 0] |= ~targets.any(axis=1)
    data = fake(targets, classes=6)
    split = make_split(data, 0.6, seed=1)
    share = targets[split.indices("train")].sum(axis=0) / targets.sum(axis=0)
    assert np.abs(share - 0.6).max() < 0.06
    assert abs(len(split.indices("train")) - 240) <= 8
    assert make_split(data, 0.6, seed=1) == split
    assert make_split(data, 0.6, seed=2).hash != split.hash


def test_unlabelled_data_need_the_random_rule() -> None:
    data = Dataset("plain", Path("/nowhere"), ("a", "b", "c", "d", "e"), None, ())
    data.__dict__["_digests"] = [f"{number:064x}" for number in range(5)]
    with pytest.raises(DatasetError, match="no classes"):
        make_split(data)
    assert Counter(make_split(data, rule="random").roles) == {"fit": 2, "validation": 1, "test": 2}
    assert split_from_text("60-40", data) == make_split(data, rule="random")


def test_dhcl_goes_by_numbers() -> None:
    names = [f"c/c{number:02d}.tif" for number in range(100)]
    names += [f"d/d{number:02d}.tif" for number in range(100)]
    labels = np.repeat([0, 1], 100)
    for name, expected in (("ucmerced", 80), ("aid", 51)):
        data = Dataset(name, Path("/nowhere"), tuple(names), labels, ("c", "d"))
        data.__dict__["_digests"] = [f"{number:064x}" for number in range(200)]
        split = make_split(data, rule="dhcl")
        assert split.indices("train").tolist() == [*range(expected), *range(100, 100 + expected)]
        assert split.rule == "dhcl validation 0.1"
    with pytest.raises(DatasetError, match="file numbers"):
        unnumbered = Dataset("x", Path("/nowhere"), ("a/p.png", "b/q.png"), [0, 1], ("a", "b"))  # type: ignore[arg-type]
        unnumbered.__dict__["_digests"] = ["1", "2"]
        make_split(unnumbered, rule="dhcl")


def test_mhcln_is_sixty_percent_whatever_is_asked() -> None:
    data = fake(np.repeat([0, 1], 50))
    assert make_split(data, 0.2, rule="mhcln").roles == make_split(data, 0.6).roles


def test_ahcl_is_half_and_four_fifths_of_uc_merced() -> None:
    sizes = [50, 51, 61, 53]
    data = fake(np.repeat(np.arange(4), sizes))
    split = make_split(data, rule="ahcl")
    assert len(split.indices("train")) == 25 + 26 + 31 + 27
    assert split.rule == "ahcl 50-50 validation 0.1"
    object.__setattr__(data, "name", "ucmerced")
    assert len(make_split(data, rule="ahcl").indices("train")) == 40 + 41 + 49 + 43


@pytest.mark.parametrize(
    ("classes", "says"),
    [({"a": 10}, "only one class, 'a'"), ({"a": 10, "b": 2}, "'b' of 'data' has 2 distinct")],
)
def test_data_that_cannot_be_divided(
    make_folder: MakeFolder, classes: dict[str, int], says: str
) -> None:
    with pytest.raises(DatasetError, match=says):
        make_split(load_dataset(make_folder(classes)))


def test_two_images_are_enough_without_validation(make_folder: MakeFolder) -> None:
    data = load_dataset(make_folder({"a": 10, "b": 2}))
    assert Counter(make_split(data, validation=0).roles) == {"fit": 7, "test": 5}


def test_a_class_of_copies_cannot_be_divided() -> None:
    data = fake(np.repeat([0, 1], 10), ["same"] * 10 + [f"{n:064x}" for n in range(10)])
    with pytest.raises(DatasetError, match="'c0' of 'fake' has 1 distinct"):
        make_split(data)


@pytest.mark.parametrize(
    "wrong", [{"train": 0}, {"train": 1}, {"train": -0.1}, {"validation": 1}, {"rule": "best"}]
)
def test_wrong_arguments(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        make_split(fake(np.repeat([0, 1], 10)), **wrong)  # type: ignore[arg-type]


def test_save_and_load(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"a": 6, "b": 6})
    odd = 'new\nline\t"quoted" ü.png'
    (root / "a" / odd).write_bytes(b"odd")
    data = load_dataset(root)
    split = make_split(data, seed=5)
    split.save(tmp_path / "split.txt")
    assert Split.load(tmp_path / "split.txt", data) == split
    text = (tmp_path / "split.txt").read_text(encoding="utf-8")
    assert text.startswith("# terrahash split 1\n# dataset: data\n# files: 13\n# seed: 5\n")
    assert f"# hash: {split.hash}\n" in text


def test_a_split_of_other_data_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"a": 6, "b": 6})
    data = load_dataset(root)
    path = tmp_path / "split.txt"
    make_split(data).save(path)
    (root / "a/a00.png").write_bytes(b"changed")
    with pytest.raises(DatasetError, match="other content"):
        Split.load(path, load_dataset(root))
    (root / "a/a00.png").unlink()
    with pytest.raises(DatasetError, match=r"a/a00\.png"):
        Split.load(path, load_dataset(root))
    with pytest.raises(DatasetError, match="does not fit"):
        Split.load(path, load_dataset(make_folder({"a": 2, "b": 2}, below="other")))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("# files: 12", "# files: 13"),
        lambda text: text.replace("fit\t", "teach\t"),
        lambda text: text.replace("# seed: 0", "# seed: zero"),
        lambda text: text.replace("# hash", "# other"),
        lambda text: text.replace("\t", " "),
        lambda text: text[: len(text) // 2],
    ],
)
def test_damaged_split_files(make_folder: MakeFolder, tmp_path: Path, damage: object) -> None:
    path = tmp_path / "split.txt"
    make_split(load_dataset(make_folder({"a": 6, "b": 6}))).save(path)
    path.write_text(damage(path.read_text()))  # type: ignore[operator]
    with pytest.raises(DatasetError, match="damaged or incomplete"):
        Split.load(path)


def test_edited_roles_are_noticed(make_folder: MakeFolder, tmp_path: Path) -> None:
    data = load_dataset(make_folder({"a": 6, "b": 6}))
    path = tmp_path / "split.txt"
    make_split(data).save(path)
    path.write_text(path.read_text().replace("test\t", "fit\t", 1))
    with pytest.raises(DatasetError, match="edited"):
        Split.load(path, data)


def test_what_is_no_split_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x00\xff")
    (tmp_path / "y").write_text("file,label\n")
    for name in ("x", "y", "gone"):
        with pytest.raises(DatasetError):
            Split.load(tmp_path / name)


def test_a_place_that_cannot_be_written(make_folder: MakeFolder, tmp_path: Path) -> None:
    split = make_split(load_dataset(make_folder({"a": 6, "b": 6})))
    with pytest.raises(DatasetError, match="cannot write"):
        split.save(tmp_path / "no" / "folder" / "split.txt")


def test_unknown_roles(make_folder: MakeFolder) -> None:
    split = make_split(load_dataset(make_folder({"a": 6, "b": 6})))
    with pytest.raises(InputError, match="no role"):
        split.indices("dev")


def test_splits_from_text(make_folder: MakeFolder, tmp_path: Path) -> None:
    data = load_dataset(make_folder({"a": 20, "b": 20}))
    made = make_split(data, 0.8, seed=2)
    assert split_from_text("80-20", data, seed=2) == made
    made.save(tmp_path / "split.txt")
    assert split_from_text(str(tmp_path / "split.txt"), data) == made
    assert split_from_text("mhcln", data).rule == "mhcln 60-40 validation 0.1"
    assert split_from_text("62.5-37.5", data).rule == "stratified 62.5-37.5 validation 0.1"
    for wrong in ("60-50", "100-0", "sixty", "60"):
        with pytest.raises(InputError):
            split_from_text(wrong, data)

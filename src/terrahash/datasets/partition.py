"""How roles are drawn: the rules behind :func:`terrahash.datasets.make_split`.

- ``stratified``: each class is divided alike. Label sets are divided by iterative stratification
  (Sechidis, Tsoumakas, Vlahavas 2011: the rarest label first, each image to the part that lacks
  the label most).
- ``random``: the whole is divided, labels or not.
- ``mhcln``, ``hpsh``: 60 % of each class for training, ``ceil(0.6 n)``, at random; their split
  files are not published, so this is their rule, not their draw (``docs/datasets.md``).
- ``dhcl``: by file number: UC Merced 00–79 trains and 80–99 tests; elsewhere the first half of
  each class, number ≤ 0.5 n, trains.
- ``ahcl``: 80 % of UC Merced and half of each class elsewhere trains, ``ceil(0.5 n)``, which
  gives the 505 and 500 images of WHU-RS19; the authors' lists name renumbered images, so
  this is their rule, not their draw, and for UC Merced and AID that of the same first author's
  DHCNN.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from terrahash.datasets.dataset import Dataset
from terrahash.errors import DatasetError

RULES = ("stratified", "random", "mhcln", "hpsh", "dhcl", "ahcl")
AUTHORS_TRAIN = 0.6  # of MHCLN and HPSH
UCMERCED_FIRST_TEST = 80  # DHCL
AHCL_TRAIN = {"ucmerced": 0.8}

Group = list[int]  # rows of byte-identical images


def assign(
    data: Dataset, *, train: float, seed: int, validation: float, rule: str
) -> tuple[tuple[str, ...], str]:
    """A role for each file, and the rule in words with its numbers."""
    if rule != "random":
        _check_classes(data)
    if rule in ("mhcln", "hpsh"):
        train = AUTHORS_TRAIN
    elif rule == "ahcl":
        train = AHCL_TRAIN.get(data.name, 0.5)
    groups = _identical(data)
    everything = range(len(data))
    if rule == "dhcl":
        training = _first_numbers(data, groups)
        described = "dhcl"
    else:
        training = _draw(data, groups, everything, train, f"train {seed}", rule)
        percent = 100 * train
        described = f"{rule} {percent:g}-{round(100 - percent, 9):g}"
    validating = set()
    if validation:
        described += f" validation {validation:g}"
        validating = _draw(data, groups, training, validation, f"validation {seed}", rule)
    roles = tuple(
        "test" if row not in training else "validation" if row in validating else "fit"
        for row in everything
    )
    by_class = rule != "random" and not data.is_multilabel
    _check_parts(data, groups, roles, by_class=by_class, parts=3 if validation else 2)
    return roles, described


def _check_classes(data: Dataset) -> None:
    if data.labels is None:
        raise DatasetError(
            f"'{data.name}' has no classes to divide",
            "put each class into a folder of its own; or, for methods that learn without labels, "
            "use the rule 'random'",
        )
    present = int(data.targets.any(axis=0).sum())
    if present < 2:
        only = f", '{data.class_names[0]}'" if data.class_names else ""
        raise DatasetError(
            f"'{data.name}' has only one class{only}", "two or more are needed to tell apart"
        )


def _identical(data: Dataset) -> list[Group]:
    """Rows of byte-identical images together, in the order of their content."""
    rows = defaultdict(list)
    for row, digest in enumerate(data.digests()):
        rows[digest].append(row)
    return [rows[digest] for digest in sorted(rows)]


def _draw(
    data: Dataset,
    groups: Sequence[Group],
    rows: Iterable[int],
    fraction: float,
    salt: str,
    rule: str,
) -> set[int]:
    """Rows for the part of ``fraction``, whole groups of identical images at a time."""
    wanted = set(rows)
    digests = data.digests()
    drawn = [
        (hashlib.sha256(f"{salt} {digests[group[0]]}".encode()).digest(), group)
        for group in groups
        if group[0] in wanted
    ]
    shuffled = [group for _, group in sorted(drawn, key=lambda item: item[0])]
    size = _validation_size if salt.startswith("validation") else _training_size
    if rule == "random":
        return _fill(shuffled, np.zeros(len(data), np.int64), fraction, size)
    if data.is_multilabel:
        return _iterative(shuffled, data.targets, fraction)
    return _fill(shuffled, np.asarray(data.labels), fraction, size)


def _training_size(images: int, fraction: float) -> int:
    """``ceil(fraction · n)``, one image left for the test; the float's own error is no image."""
    return max(1, min(math.ceil(round(fraction * images, 9)), images - 1))


def _validation_size(images: int, fraction: float) -> int:
    """The nearest whole number, at least one, one image left to fit."""
    return max(1, min(round(fraction * images), images - 1))


def _fill(
    shuffled: list[Group],
    labels: NDArray[np.int64],
    fraction: float,
    size: Callable[[int, float], int],
) -> set[int]:
    """Groups in order, each if all its classes still have room for it."""
    rows = np.array([row for group in shuffled for row in group], np.int64)
    counts = np.bincount(labels[rows])
    room = np.array([size(int(count), fraction) for count in counts])
    chosen: set[int] = set()
    for group in shuffled:
        need = Counter(labels[group].tolist())
        if all(room[label] >= count for label, count in need.items()):
            for label, count in need.items():
                room[label] -= count
            chosen.update(group)
    return chosen


def _iterative(shuffled: list[Group], targets: NDArray[np.bool_], fraction: float) -> set[int]:
    """Iterative stratification (Sechidis et al. 2011) into a part and the rest."""
    counts = np.array([targets[group].sum(axis=0) for group in shuffled])  # (groups, C)
    shares = np.array([[fraction], [1 - fraction]])
    lacks = shares * counts.sum(axis=0)  # (2, C): images of each label that each side still lacks
    lacks_any = shares[:, 0] * sum(len(group) for group in shuffled)
    left = counts.astype(bool)
    waiting = np.ones(len(shuffled), bool)
    chosen: set[int] = set()

    def place(index: int, label: int | None) -> None:
        wants = lacks_any if label is None else lacks[:, label]
        first, second = (round(float(want), 9) for want in wants)
        if first == second:
            first, second = (round(float(want), 9) for want in lacks_any)
        side = 0 if first >= second else 1
        lacks[side] -= counts[index]
        lacks_any[side] -= len(shuffled[index])
        waiting[index] = False
        if side == 0:
            chosen.update(shuffled[index])

    totals = left.sum(axis=0)
    while totals.any():
        label = int(np.where(totals > 0, totals, np.iinfo(np.int64).max).argmin())
        for index in np.flatnonzero(left[:, label]):
            place(int(index), label)
            totals -= left[index]
            left[index] = False
    for index in np.flatnonzero(waiting):
        place(int(index), None)
    return chosen


def _first_numbers(data: Dataset, groups: Sequence[Group]) -> set[int]:
    """DHCL's training rows; copies of an image go where the first of them goes."""
    if data.is_multilabel:
        raise DatasetError(f"the rule 'dhcl' needs one class an image; '{data.name}' has sets")
    labels = np.asarray(data.labels)
    sizes = np.bincount(labels)
    training = set()
    for group in groups:
        row = group[0]
        number = re.search(r"(\d+)\.[^.]*$", data.files[row])
        if number is None:
            raise DatasetError(
                f"the rule 'dhcl' goes by file numbers, and '{data.files[row]}' has none",
                "choose a split such as 60-40",
            )
        if data.name == "ucmerced":
            trains = int(number[1]) < UCMERCED_FIRST_TEST
        else:
            trains = int(number[1]) <= sizes[labels[row]] / 2
        if trains:
            training.update(group)
    return training


def _check_parts(
    data: Dataset, groups: Sequence[Group], roles: Sequence[str], *, by_class: bool, parts: int
) -> None:
    """Each class, or the whole, has an image in each part."""
    labels = np.asarray(data.labels) if by_class else np.zeros(len(data), np.int64)
    has: dict[int, set[str]] = defaultdict(set)
    distinct: Counter[int] = Counter()
    for group in groups:
        distinct.update(set(labels[group].tolist()))
        for row in group:
            has[int(labels[row])].add(roles[row])
    for label in sorted(has):
        if len(has[label]) < parts:
            what = f"class '{data.class_names[label]}' of " if by_class else ""
            raise DatasetError(
                f"{what}'{data.name}' has {distinct[label]} distinct images, too few for the split",
                f"it needs {parts} or more, one for each of fitting, validation and test; "
                "add images, or leave the class out",
            )

"""Splits: which files fit, validate and test a model; stratified, seeded, hashed, on disk."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.datasets.dataset import Dataset
from terrahash.datasets.partition import RULES, assign
from terrahash.errors import DatasetError, InputError

ROLES = ("fit", "validation", "test")
TRAIN = "train"  # fit and validation together
FORMAT = "terrahash split 1"
HASH_DIGITS = 16  # 64 bits: enough that two splits never share a hash by chance


@dataclass(frozen=True)
class Split:
    """The role of each file of a data set.

    Args:
        dataset: name of the data set.
        files: its files, in its order.
        roles: ``"fit"``, ``"validation"`` or ``"test"`` for each file.
        seed: what the split was drawn with.
        rule: how it was drawn, such as ``"stratified 60-40"``.
        hash: over the content of the files and their roles: equal splits have equal hashes,
            whatever the files are called.
    """

    dataset: str
    files: tuple[str, ...]
    roles: tuple[str, ...]
    seed: int
    rule: str
    hash: str

    def __post_init__(self) -> None:
        if len(self.files) != len(self.roles):
            raise InputError(f"split has {len(self.roles)} roles for {len(self.files)} files")
        strange = set(self.roles) - set(ROLES)
        if strange:
            raise InputError(
                f"split has the role '{min(strange)}', expected one of {', '.join(ROLES)}"
            )

    def indices(self, role: str) -> NDArray[np.int64]:
        """Positions ``(n,) int64`` of the files of a role, rising; ``"train"`` is fit + validation.

        Raises:
            InputError: if there is no such role.
        """
        if role == TRAIN:
            wanted = {"fit", "validation"}
        elif role in ROLES:
            wanted = {role}
        else:
            raise InputError(f"no role '{role}'", f"choose from {', '.join((TRAIN, *ROLES))}")
        return np.array([row for row, has in enumerate(self.roles) if has in wanted], np.int64)

    def check(self, data: Dataset) -> None:
        """Check that this is a split of ``data``: the same files with the same content.

        Raises:
            DatasetError: if it is not.
        """
        remedy = f"make a new split of '{data.name}', or use the data set the split was made for"
        if data.files != self.files:
            odd = sorted(set(self.files) ^ set(data.files))
            example = f", such as '{odd[0]}'" if odd else " in another order"
            raise DatasetError(
                f"the split of '{self.dataset}' ({len(self.files)} files) does not fit "
                f"'{data.name}' ({len(data)} files): they differ{example}",
                remedy,
            )
        if split_hash(data, self.roles) != self.hash:
            raise DatasetError(
                f"the split of '{self.dataset}' does not fit '{data.name}': the files have the "
                "same names but other content, or roles were edited",
                remedy,
            )

    def to_text(self) -> str:
        """The split as text: a header, then a role and a path on each line."""
        head = {
            "dataset": self.dataset,
            "files": len(self.files),
            "seed": self.seed,
            "rule": self.rule,
            "hash": self.hash,
        }
        lines = [f"# {FORMAT}", *(f"# {key}: {value}" for key, value in head.items())]
        rows = zip(self.roles, self.files, strict=True)
        lines += [f"{role}\t{_escape(file)}" for role, file in rows]
        return "\n".join(lines) + "\n"

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_text` to a file.

        Raises:
            DatasetError: if it cannot be written.
        """
        try:
            Path(path).write_text(self.to_text(), encoding="utf-8")
        except OSError as error:
            raise DatasetError(
                f"cannot write the split '{path}': {error.strerror}", "choose another place"
            ) from error

    @classmethod
    def load(cls, path: str | Path, data: Dataset | None = None) -> Split:
        """Read a split that :meth:`save` wrote; with ``data``, check that it fits.

        Raises:
            DatasetError: if the file cannot be read, is no split or does not fit.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"cannot read the split '{path}': {error}") from error
        if not lines or lines[0] != f"# {FORMAT}":
            raise DatasetError(
                f"'{path}' is no split file: its first line is not '# {FORMAT}'",
                "splits are written by terrahash data split and beside results",
            )
        head = dict(line[2:].split(": ", 1) for line in lines[1:] if _is_head(line))
        rows = [line.split("\t", 1) for line in lines if line and not line.startswith("#")]
        try:
            if any(len(row) != 2 for row in rows) or len(rows) != int(head["files"]):
                raise ValueError
            split = cls(
                head["dataset"],
                tuple(_unescape(file) for _, file in rows),
                tuple(role for role, _ in rows),
                int(head["seed"]),
                head["rule"],
                head["hash"],
            )
        except (KeyError, ValueError, InputError) as error:
            raise DatasetError(
                f"the split file '{path}' is damaged or incomplete", "make the split again"
            ) from error
        if data is not None:
            split.check(data)
        return split


def make_split(
    data: Dataset,
    train: float = 0.6,
    seed: int = 0,
    validation: float = 0.1,
    rule: str = "stratified",
) -> Split:
    """Divide a data set for fitting, validation and test.

    The draw depends on the files' content and the seed alone, not on names, order or library
    versions. Byte-identical images always get the same role. A class of n images gives
    ``ceil(train · n)`` to training, and ``validation`` of those (at least one) to validation.

    Args:
        data: what to divide.
        train: fraction for training, fit and validation together; above 0, below 1.
        seed: for the draw.
        validation: fraction of the training part, from 0 (none) to below 1.
        rule: ``"stratified"`` by class, for label sets by iterative stratification; ``"random"``,
            which needs no labels; or the name of authors whose own rule then sets ``train``
            (:mod:`terrahash.datasets.partition`).

    Raises:
        InputError: if a fraction or the rule is not as above.
        DatasetError: if there are no labels, only one class, or a class too small.
    """
    if not 0 < train < 1:
        raise InputError(f"a training part of {train:g} cannot be", "choose between 0 and 1")
    if not 0 <= validation < 1:
        raise InputError(f"a validation part of {validation:g} cannot be", "choose 0 to below 1")
    if rule not in RULES:
        raise InputError(f"no split rule '{rule}'", f"choose from {', '.join(RULES)}")
    roles, described = assign(data, train=train, seed=seed, validation=validation, rule=rule)
    return Split(data.name, data.files, roles, seed, described, split_hash(data, roles))


def split_from_text(text: str, data: Dataset, *, seed: int = 0, validation: float = 0.1) -> Split:
    """The split that a user asked for: ``"60-40"``, the name of a rule, or a split file.

    Percentages divide data without labels by the rule ``"random"``: whether labels are needed is
    for the method to say.

    Raises:
        InputError: if the text is none of these.
        DatasetError: as :func:`make_split` and :meth:`Split.load` raise.
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", text)
    if parts:
        first, second = float(parts[1]), float(parts[2])
        if not math.isclose(first + second, 100) or min(first, second) <= 0:
            raise InputError(
                f"the split '{text}' does not add up to 100", "write for instance 60-40"
            )
        rule = "random" if data.labels is None else "stratified"
        return make_split(data, first / 100, seed, validation, rule)
    if text in RULES:
        return make_split(data, seed=seed, validation=validation, rule=text)
    if Path(text).is_file():
        return Split.load(text, data)
    raise InputError(
        f"'{text}' is no split",
        f"write for instance 60-40, a split file, or one of {', '.join(RULES)}",
    )


def split_hash(data: Dataset, roles: Sequence[str]) -> str:
    """Hexadecimal hash of the files' content and roles, whatever their names and order."""
    lines = sorted(f"{digest} {role}" for digest, role in zip(data.digests(), roles, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:HASH_DIGITS]


def _is_head(line: str) -> bool:
    return line.startswith("# ") and ": " in line


def _escape(file: str) -> str:
    return file if file.isprintable() and not file.startswith(('"', "#")) else json.dumps(file)


def _unescape(text: str) -> str:
    if not text.startswith('"'):
        return text
    file: Any = json.loads(text)
    if not isinstance(file, str):
        raise ValueError(text)
    return file

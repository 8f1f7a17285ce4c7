"""What can still be read of a damaged segment, and which of its values are sound."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import KINDS, Column, NumberColumn, TextColumn
from terrahash.archive.ids import IdRuns
from terrahash.archive.schema import BBOX, WINDOW
from terrahash.archive.segments import Footer, damaged


class Wreck:
    """A segment's file that may be missing, torn or altered.

    Args:
        path: of the file.
        footer: what it should hold.
        sound: whether it is known to be as it was written.
    """

    def __init__(self, path: Path, footer: Footer, *, sound: bool = False) -> None:
        self.path = path
        self.footer = footer
        self._intact = sound
        self._places = {place.name: place for place in footer.arrays}

    @cached_property
    def _damage(self) -> dict[str, list[tuple[int, int]]]:
        out: dict[str, list[tuple[int, int]]] = {}
        if self._intact:
            return out
        if not self.path.is_file():
            out = {place.name: [(0, place.nbytes)] for place in self.footer.arrays}
        else:
            for place, start, stop in damaged(self.path, self.footer):
                out.setdefault(place.name, []).append((start, stop))
        return {name: ranges for name, ranges in out.items() if name not in self.footer.copies}

    def array(self, name: str) -> NDArray[Any]:
        """An array as it is on disk, zeros where the file ends before it."""
        place = self._places[name]
        raw = b""
        if name in self.footer.copies:
            raw = base64.b64decode(self.footer.copies[name])
        elif self.path.is_file():
            with self.path.open("rb") as file:
                file.seek(place.offset)
                raw = file.read(place.nbytes)
        raw = raw.ljust(place.nbytes, b"\0")
        return np.frombuffer(raw, place.dtype).reshape(place.shape)

    def sound(self, name: str) -> NDArray[np.bool_]:
        """Which items of an array (along its first axis) are as they were written."""
        place = self._places[name]
        count = place.shape[0]
        out = np.ones(count, bool)
        for start, stop in self._damage.get(name, []):
            size = place.nbytes // count
            out[start // size : -(-stop // size)] = False
        return out

    def ids(self) -> IdRuns | None:
        """Ids of the rows, or None where they cannot be known."""
        if self.sound("ids.rows").all() and self.sound("ids.ids").all():
            return IdRuns(self.array("ids.rows"), self.array("ids.ids"), self.footer.rows)
        first, last = self.footer.ids
        if last - first + 1 == self.footer.rows:
            return IdRuns(np.zeros(1, np.int64), np.array([first]), self.footer.rows)
        return None

    def tombstones(self) -> Iterator[tuple[int, NDArray[np.uint32], int]]:
        """Segment, the rows of it that are known to be deleted, and how many are not known."""
        for place in self.footer.arrays:
            if place.name.startswith("dead."):
                sound = self.sound(place.name)
                rows = self.array(place.name)[sound]
                yield int(place.name.removeprefix("dead.")), rows, int((~sound).sum())

    def column(self, name: str, kind: str) -> tuple[Column, NDArray[np.bool_]]:
        """A column without its damaged values, and the rows that had one."""
        if kind == "text":
            return self._text(name)
        together = next((sides for sides in (BBOX, WINDOW) if name in sides), (name,))
        sound = np.logical_and.reduce(
            [self.sound(side) for side in together if side in self._places]
        )
        values = np.where(sound, self.array(name), KINDS[kind].null)
        return NumberColumn(kind, values.astype(KINDS[kind].dtype)), ~sound

    def _text(self, name: str) -> tuple[Column, NDArray[np.bool_]]:
        offsets, data = self.array(name + ".offsets"), self.array(name + ".data")
        fits = self.sound(name + ".offsets")
        entries = fits[:-1] & fits[1:]
        for start, stop in self._damage.get(name + ".data", []):
            entries &= (offsets[1:] <= start) | (offsets[:-1] >= stop)
        if name + ".codes" in self._places:
            codes, known = self.array(name + ".codes"), self.sound(name + ".codes")
        else:
            codes, known = None, np.ones(len(entries), bool)
        column = TextColumn(codes, offsets, data)
        numbers = np.arange(len(known)) if codes is None else codes
        texts: list[str | None] = []
        for row, entry in enumerate(numbers.tolist()):
            absent = codes is not None and entry >= len(entries)
            known[row] &= absent or bool(entries[entry])
            texts.append(column.item(row) if known[row] and not absent else None)
        return TextColumn.build(texts, name), ~known

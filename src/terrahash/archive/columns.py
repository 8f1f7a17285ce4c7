"""Columns of metadata: arrays beside the codes, one value a row, any of them absent (None).

A column knows how to come from Python values, to be laid down as plain arrays and to be read back,
to give up single values and to be cut and joined when segments are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.times import iso, microseconds
from terrahash.errors import InputError

Array: TypeAlias = NDArray[Any]

# A text column becomes a dictionary while its distinct values fit 16-bit codes with one to spare…
MAX_DICTIONARY = 65_000
# …and are at most this share of its rows.
DICTIONARY_SHARE = 0.5
# Texts are compared one by one for a dictionary only in merges up to this size.
MAX_DEDUPLICATED = 1 << 17
# Bytes that no UTF-8 text contains: an absent text.
NULL_TEXT = b"\xff"
GATHER_BLOCK = 1 << 16


@dataclass(frozen=True)
class Kind:
    """How values of a kind of number are stored, and which stored value means "absent"."""

    dtype: str
    null: float | int
    parse: Callable[[Any], Any]
    show: Callable[[Any], Any]


def _integer(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


KINDS: Mapping[str, Kind] = {
    "integer": Kind("<i8", np.iinfo(np.int64).min, _integer, int),
    "pixels": Kind("<i4", -1, _integer, int),
    "real": Kind("<f8", np.nan, float, float),
    "probability": Kind("<f4", np.nan, float, float),
    "boolean": Kind("i1", -1, bool, bool),
    "datetime": Kind("<i8", np.iinfo(np.int64).min, microseconds, iso),
}
# Kinds that a user's column can have; "text" is the one that is no number.
USER_KINDS = ("text", "integer", "real", "boolean", "datetime")


@dataclass(frozen=True)
class NumberColumn:
    """Numbers of one kind.

    Attributes:
        kind: a key of :data:`KINDS`.
        values: ``(N,)`` of the kind's dtype; absent values hold the kind's null.
    """

    kind: str
    values: Array

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def build(cls, kind: str, values: Any, name: str) -> NumberColumn:
        """From any sequence of numbers and None, or an array.

        Raises:
            InputError: if a value is not of the kind.
        """
        how = KINDS[kind]
        if (
            isinstance(values, np.ndarray)
            and values.dtype.kind in "iufb"
            and (kind not in ("integer", "pixels", "datetime") or values.dtype.kind != "f")
        ):
            return cls(kind, values.astype(how.dtype, copy=False))
        if kind == "datetime" and isinstance(values, np.ndarray) and values.dtype.kind == "M":
            return cls(kind, values.astype("datetime64[us]").astype(how.dtype))
        out = np.empty(len(values), how.dtype)
        for row, value in enumerate(values):
            if value is None:
                out[row] = how.null
                continue
            try:
                out[row] = how.parse(value)
            except (TypeError, ValueError, OverflowError):
                raise InputError(
                    f"column '{name}', row {row}: {value!r} is not a value of kind {kind}",
                    "give values of one kind, or None where there is none",
                ) from None
        return cls(kind, out)

    @classmethod
    def absent(cls, kind: str, rows: int) -> NumberColumn:
        """A column without any value."""
        return cls(kind, np.full(rows, KINDS[kind].null, KINDS[kind].dtype))

    def nulls(self) -> NDArray[np.bool_]:
        """``(N,) bool``, where there is no value."""
        null = KINDS[self.kind].null
        return np.asarray(np.isnan(self.values) if null != null else self.values == null)

    def item(self, row: int) -> Any:
        """The value of a row as Python sees it, or None."""
        value = self.values[row]
        null = KINDS[self.kind].null
        if value == null or value != value:
            return None
        return KINDS[self.kind].show(value)

    def take(self, rows: Array) -> NumberColumn:
        """The given rows in the given order."""
        return NumberColumn(self.kind, self.values[rows])

    def arrays(self) -> dict[str, Array]:
        """What is laid down on disk, by suffix."""
        return {"": self.values}


@dataclass(frozen=True)
class TextColumn:
    """Texts, either one after the other or as codes into a dictionary.

    Attributes:
        codes: ``(N,) uint8 | uint16`` entries, the largest value meaning absent; None where entry
            and row are the same.
        offsets: ``(E + 1,) uint32 | uint64`` where each entry begins in ``data``.
        data: UTF-8 of the entries, end to end; an absent text is the byte 0xff.
    """

    codes: Array | None
    offsets: Array
    data: NDArray[np.uint8]
    kind: str = "text"

    def __len__(self) -> int:
        return len(self.offsets) - 1 if self.codes is None else len(self.codes)

    @classmethod
    def build(cls, values: Sequence[str | None] | Array, name: str) -> TextColumn:
        """From texts and None.

        Raises:
            InputError: if a value is no text.
        """
        values = values.tolist() if isinstance(values, np.ndarray) else values
        distinct = dict.fromkeys(values)
        try:
            if len(distinct) <= min(MAX_DICTIONARY, len(values) * DICTIONARY_SHARE):
                distinct.pop(None, None)
                null = np.iinfo(_code_dtype(len(distinct))).max
                numbers: dict[str | None, int] = {text: n for n, text in enumerate(distinct)}
                numbers[None] = int(null)
                codes = np.fromiter(
                    map(numbers.__getitem__, values), _code_dtype(len(distinct)), len(values)
                )
                return cls(codes, *_heap([text.encode() for text in distinct if text is not None]))
            return cls(
                None, *_heap([NULL_TEXT if text is None else text.encode() for text in values])
            )
        except (AttributeError, UnicodeEncodeError):
            wrong = next(v for v in values if v is not None and not _is_text(v))
            raise InputError(
                f"column '{name}': {wrong!r} is not a text",
                "give texts, or None where there is none",
            ) from None

    @classmethod
    def absent(cls, rows: int) -> TextColumn:
        """A column without any value."""
        return cls(np.full(rows, 255, np.uint8), *_heap([]))

    def entry_bytes(self, entry: int) -> bytes:
        """The bytes of an entry (not of a row)."""
        return self.data[int(self.offsets[entry]) : int(self.offsets[entry + 1])].tobytes()

    def entries(self) -> list[str | None]:
        """All entries as texts; rows point to them through ``codes``."""
        data, ends = self.data.tobytes(), self.offsets.tolist()
        out: list[str | None] = []
        for start, end in pairwise(ends):
            raw = data[start:end]
            out.append(None if raw == NULL_TEXT else raw.decode())
        return out

    def entry_of(self, rows: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Entries of rows as int64, and which rows have none (their entry is then 0)."""
        if self.codes is None:
            entries = np.asarray(rows, np.int64)
            starts = self.offsets[entries]
            single = np.flatnonzero(self.offsets[entries + 1] - starts == 1)
            absent = np.zeros(len(entries), bool)
            absent[single] = self.data[starts[single]] == NULL_TEXT[0]
            return entries, absent
        codes = self.codes[rows]
        absent = codes == np.iinfo(codes.dtype).max
        return np.where(absent, 0, codes).astype(np.int64), absent

    def nulls(self) -> NDArray[np.bool_]:
        """``(N,) bool``, where there is no text."""
        if self.codes is not None:
            return np.asarray(self.codes == np.iinfo(self.codes.dtype).max)
        return self.entry_of(np.arange(len(self)))[1]

    def item(self, row: int) -> str | None:
        """The text of a row, or None."""
        if self.codes is not None:
            row = int(self.codes[row])
            if row == np.iinfo(self.codes.dtype).max:
                return None
        raw = self.entry_bytes(row)
        return None if raw == NULL_TEXT else raw.decode()

    def take(self, rows: Array) -> TextColumn:
        """The given rows in the given order."""
        if self.codes is not None:
            return TextColumn(self.codes[rows], self.offsets, self.data)
        return TextColumn(None, *_gather(self.offsets, self.data, np.asarray(rows, np.int64)))

    def plain(self) -> TextColumn:
        """The same texts without a dictionary."""
        if self.codes is None:
            return self
        lengths = np.diff(self.offsets.astype(np.int64))
        null = len(lengths)
        offsets, data = _joined([(self.offsets, self.data), _heap([NULL_TEXT])])
        entries, absent = self.entry_of(np.arange(len(self)))
        return TextColumn(None, *_gather(offsets, data, np.where(absent, null, entries)))

    def texts(self) -> list[str | None]:
        """All rows as Python texts."""
        entries = self.entries()
        if self.codes is None:
            return entries
        null = np.iinfo(self.codes.dtype).max
        return [None if code == null else entries[code] for code in self.codes.tolist()]

    def arrays(self) -> dict[str, Array]:
        """What is laid down on disk, by suffix."""
        named = {".offsets": self.offsets, ".data": self.data}
        return named if self.codes is None else {".codes": self.codes, **named}


Column: TypeAlias = NumberColumn | TextColumn


def absent_column(kind: str, rows: int) -> Column:
    """A column of a kind without any value."""
    return TextColumn.absent(rows) if kind == "text" else NumberColumn.absent(kind, rows)


def build_column(kind: str, values: Any, name: str) -> Column:
    """A column from Python values; see the classes' ``build``."""
    if kind == "text":
        return TextColumn.build(values, name)
    return NumberColumn.build(kind, values, name)


def column_from_arrays(kind: str, arrays: Mapping[str, Array]) -> Column:
    """The inverse of ``Column.arrays``."""
    if kind == "text":
        return TextColumn(arrays.get(".codes"), arrays[".offsets"], arrays[".data"])
    return NumberColumn(kind, arrays[""])


def join(kind: str, parts: Sequence[Column]) -> Column:
    """One column from several of the same kind, in order."""
    if kind != "text":
        return NumberColumn(
            kind, np.concatenate([part.values for part in parts if isinstance(part, NumberColumn)])
        )
    texts = [part for part in parts if isinstance(part, TextColumn)]
    rows = sum(map(len, texts))
    if rows <= MAX_DEDUPLICATED:
        return TextColumn.build([text for part in texts for text in part.texts()], kind)
    if all(part.codes is not None for part in texts):
        joined = _join_dictionaries(texts, rows)
        if joined is not None:
            return joined
    return TextColumn(None, *_joined([(p.offsets, p.data) for p in map(TextColumn.plain, texts)]))


def guess_kind(values: Any, name: str) -> str:
    """The kind of a new user's column from its first values.

    Raises:
        InputError: if no kind fits, or there is no value to tell it from.
    """
    from datetime import date

    if isinstance(values, np.ndarray) and values.dtype.kind in "biufMU":
        letters = {"b": "boolean", "f": "real", "M": "datetime", "U": "text"}
        return letters.get(values.dtype.kind, "integer")
    types = {type(value) for value in values if value is not None}
    if types and all(issubclass(t, (bool, np.bool_)) for t in types):
        return "boolean"
    if types and all(issubclass(t, (int, np.integer)) for t in types):
        return "integer"
    if types and all(issubclass(t, (int, float, np.integer, np.floating)) for t in types):
        return "real"
    if types and all(issubclass(t, str) for t in types):
        return "text"
    if types and all(issubclass(t, (date, np.datetime64)) for t in types):
        return "datetime"
    raise InputError(
        f"column '{name}': no kind fits values of {sorted(t.__name__ for t in types) or 'None'}",
        "give texts, numbers, booleans or dates, one kind a column",
    )


def _is_text(value: Any) -> bool:
    try:
        value.encode()
    except (AttributeError, UnicodeEncodeError):
        return False
    return isinstance(value, str)


def _code_dtype(entries: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if entries < 255 else np.uint16


def _offsets(lengths: Array) -> Array:
    ends = np.zeros(len(lengths) + 1, np.uint64)
    np.cumsum(lengths, out=ends[1:])
    return ends.astype("<u4") if ends[-1] < 1 << 32 else ends.astype("<u8")


def _heap(entries: Sequence[bytes]) -> tuple[Array, NDArray[np.uint8]]:
    lengths = np.fromiter(map(len, entries), np.uint64, len(entries))
    return _offsets(lengths), np.frombuffer(b"".join(entries), np.uint8)


def _joined(
    heaps: Sequence[tuple[Array, NDArray[np.uint8]]],
) -> tuple[Array, NDArray[np.uint8]]:
    lengths = np.concatenate([np.diff(offsets) for offsets, _ in heaps])
    data = [data[: int(offsets[-1])] for offsets, data in heaps]
    return _offsets(lengths), np.concatenate(data)


def _gather(
    offsets: Array, data: NDArray[np.uint8], entries: NDArray[np.int64]
) -> tuple[Array, NDArray[np.uint8]]:
    starts = offsets[entries].astype(np.int64)
    ends = offsets[entries + 1].astype(np.int64)
    target = _offsets((ends - starts).astype(np.uint64))
    out = np.empty(int(target[-1]), np.uint8)
    breaks = np.flatnonzero(np.diff(entries) != 1) + 1
    if len(breaks) <= len(entries) // 8:
        edges = [0, *breaks.tolist(), len(entries)] if len(entries) else []
        for first, stop in pairwise(edges):
            out[int(target[first]) : int(target[stop])] = data[starts[first] : ends[stop - 1]]
        return target, out
    for first in range(0, len(entries), GATHER_BLOCK):
        stop = min(first + GATHER_BLOCK, len(entries))
        low, high = int(target[first]), int(target[stop])
        shift = starts[first:stop] - target[first:stop].astype(np.int64)
        source = np.repeat(shift, ends[first:stop] - starts[first:stop]) + np.arange(low, high)
        out[low:high] = data[source]
    return target, out


def _join_dictionaries(parts: Sequence[TextColumn], rows: int) -> TextColumn | None:
    numbers: dict[str | None, int] = {}
    for part in parts:
        for text in part.entries():
            numbers.setdefault(text, len(numbers))
    if len(numbers) > min(MAX_DICTIONARY, rows * DICTIONARY_SHARE):
        return None
    dtype = _code_dtype(len(numbers))
    codes = []
    for part in parts:
        entries = [numbers[text] for text in part.entries()]
        table = np.array([*entries, np.iinfo(dtype).max], dtype)
        known, absent = part.entry_of(np.arange(len(part)))
        codes.append(table[np.where(absent, len(entries), known)])
    return TextColumn(
        np.concatenate(codes), *_heap([text.encode() for text in numbers if text is not None])
    )

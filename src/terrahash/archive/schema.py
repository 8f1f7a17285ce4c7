"""The columns that every archive knows, and the way from a caller's arguments to columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import (
    USER_KINDS,
    Column,
    NumberColumn,
    build_column,
    guess_kind,
)
from terrahash.errors import InputError

BBOX = ("west", "south", "east", "north")
WINDOW = ("x", "y", "width", "height")

# Kind of each column that has a meaning of its own.
BUILT_IN: Mapping[str, str] = {
    "source": "text",
    "user_id": "text",
    "label": "text",
    "predicted_label": "text",
    "confidence": "probability",
    "datetime": "datetime",
    **dict.fromkeys(BBOX, "real"),
    **dict.fromkeys(WINDOW, "pixels"),
    "size": "integer",
    "mtime": "integer",
}
# The id is no stored column, but filters know it.
ID = "id"
_NAME = re.compile(r"[^\W\d]\w*")


def check_name(name: str) -> None:
    """Check the name of a user's column.

    Raises:
        InputError: if it is taken or no identifier.
    """
    if name in BUILT_IN or name == ID or name in ("bbox", "window"):
        raise InputError(
            f"column '{name}' has a meaning of its own", "give it as that, or choose another name"
        )
    if not _NAME.fullmatch(name):
        raise InputError(
            f"'{name}' cannot name a column", "use letters, digits and _, beginning with a letter"
        )


def build_columns(
    rows: int,
    kinds: Mapping[str, str],
    given: Mapping[str, Any],
    user: Mapping[str, Any],
) -> tuple[dict[str, Column], dict[str, str]]:
    """Columns from a caller's arguments.

    Args:
        rows: how many values each must have.
        kinds: kinds of the user's columns so far.
        given: values of built-in columns by name, besides ``bbox`` and ``window`` of shape
            ``(N, 4)``; None where not given.
        user: values of the user's columns by name.

    Returns:
        The columns that have values, and the kinds of the user's columns with new ones added.

    Raises:
        InputError: if a length, kind, name or footprint is wrong.
    """
    out: dict[str, Column] = {}
    for name, values in given.items():
        if values is None:
            continue
        _check_length(name, values, rows)
        if name == "bbox":
            sides = _parts(BBOX, "real", values, name)
            _check_bbox([side.values for side in sides.values()])
            out |= sides
        elif name == "window":
            out |= _parts(WINDOW, "pixels", values, name)
        else:
            out[name] = build_column(BUILT_IN[name], values, name)
    kinds = dict(kinds)
    for name, values in user.items():
        check_name(name)
        _check_length(name, values, rows)
        if name not in kinds:
            if not any(value is not None for value in values):
                continue
            kinds[name] = guess_kind(values, name)
        out[name] = build_column(kinds[name], values, name)
    return {name: column for name, column in out.items() if not column.nulls().all()}, kinds


def check_kind(kind: str) -> None:
    """Check the kind of a user's column.

    Raises:
        InputError: if there is no such kind.
    """
    if kind not in USER_KINDS:
        raise InputError(f"'{kind}' is no kind of column", f"choose from {', '.join(USER_KINDS)}")


def _check_length(name: str, values: Any, rows: int) -> None:
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise InputError(f"{name}: one value for each row is needed", "give a list or an array")
    if len(values) != rows:
        raise InputError(
            f"{name} has {len(values)} values for {rows} codes", "give one value a code, or None"
        )


def _parts(names: Sequence[str], kind: str, values: Any, what: str) -> dict[str, NumberColumn]:
    missing = (np.nan if kind == "real" else -1,) * 4
    try:
        table = np.array(
            values
            if isinstance(values, np.ndarray)
            else [missing if value is None else value for value in values],
            np.float64,
        )
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.shape != (len(values), 4):
        raise InputError(
            f"{what}: four numbers a row are needed ({' '.join(names)})",
            "give an array of shape (N, 4), or None for a row without",
        )
    dtype = np.float64 if kind == "real" else np.int32
    return {
        name: NumberColumn(kind, np.ascontiguousarray(table[:, part].astype(dtype)))
        for part, name in enumerate(names)
    }


def _check_bbox(sides: Sequence[NDArray[Any]]) -> None:
    west, south, east, north = sides
    some = np.isnan(west) | np.isnan(south) | np.isnan(east) | np.isnan(north)
    every = np.isnan(west) & np.isnan(south) & np.isnan(east) & np.isnan(north)
    wrong = (some & ~every) | (south > north)
    for side, limit in ((west, 180), (east, 180), (south, 90), (north, 90)):
        wrong |= np.abs(side) > limit
    if wrong.any():
        row = int(np.argmax(wrong))
        box = [float(side[row]) for side in (west, south, east, north)]
        raise InputError(
            f"bbox, row {row}: {box} is no footprint (west south east north in degrees)",
            "give longitudes in −180…180 and latitudes in −90…90 with south ≤ north",
        )

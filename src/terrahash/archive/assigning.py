"""``NAME=VALUE`` from a command line as arguments of :meth:`terrahash.archive.Archive.update`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from terrahash.archive.schema import check_name
from terrahash.errors import InputError

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

# Built-in columns that can be set by hand, and the argument of `update` that sets them.
ARGUMENTS: Mapping[str, str] = {
    "user_id": "user_ids",
    "source": "sources",
    "label": "labels",
    "predicted_label": "predicted_labels",
    "confidence": "confidences",
    "datetime": "datetimes",
    "bbox": "bboxes",
    "window": "windows",
}


def assignments(archive: Archive, texts: Sequence[str], rows: int) -> dict[str, Any]:
    """Arguments that give some rows the same values.

    Args:
        archive: whose columns are set.
        texts: each ``NAME=VALUE``; an empty value removes the value.
        rows: how many rows.

    Raises:
        InputError: if a text is no assignment, or a value is not of its column's kind.
    """
    out: dict[str, Any] = {}
    user: dict[str, Any] = {}
    kinds = archive.info().columns
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name:
            raise InputError(f"{text!r} is no assignment", "write it as NAME=VALUE")
        if name in ARGUMENTS:
            out[ARGUMENTS[name]] = [_built_in(name, value)] * rows
        else:
            check_name(name)
            user[name] = [_typed(name, value, kinds.get(name))] * rows
    if user:
        out["columns"] = user
    return out


def _built_in(name: str, value: str) -> Any:
    if not value:
        return None
    if name in ("bbox", "window"):
        return [_number(name, part) for part in value.replace(",", " ").split()]
    return _number(name, value) if name == "confidence" else value


def _typed(name: str, value: str, kind: str | None) -> Any:
    if not value:
        return None
    if kind in ("text", "datetime"):
        return value
    if kind == "boolean" or (kind is None and value.lower() in ("true", "false")):
        if value.lower() not in ("true", "false"):
            raise InputError(
                f"column '{name}': {value!r} is not true or false", "write one of them"
            )
        return value.lower() == "true"
    if kind is None:
        try:
            return _number(name, value)
        except InputError:
            return value
    return _number(name, value)


def _number(name: str, value: str) -> int | float:
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        raise InputError(f"column '{name}': {value!r} is no number", "write a number") from None

"""Moments in time: ISO 8601 outside, whole microseconds since 1970 (UTC) inside."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from terrahash.errors import InputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(value: Any) -> int:
    """Microseconds since 1970-01-01T00:00Z.

    Args:
        value: ISO 8601 text, ``date``, ``datetime``, ``numpy.datetime64`` or whole microseconds;
            without a time zone it is UTC, a date is its first moment.

    Raises:
        ValueError, TypeError: if it is none of these.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[us]").astype(np.int64))
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise TypeError(value)
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: Any, what: str) -> int:
    """:func:`microseconds` of a user's argument.

    Raises:
        InputError: if it is no moment in time.
    """
    try:
        return microseconds(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{what} {value!r} is not a date", "write it as 2024-05-31 or 2024-05-31T10:20:30Z"
        ) from None


def iso(value: int) -> str:
    """ISO 8601 with ``Z``; digits below the second only where there are any."""
    try:
        text = (_EPOCH + timedelta(microseconds=int(value))).replace(tzinfo=None).isoformat()
    except OverflowError:
        return str(np.datetime64(int(value), "us")) + "Z"
    return text + "Z"

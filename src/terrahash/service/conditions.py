"""Filters of a request: one meaning for search, browsing, facets and deletion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from terrahash.archive import expressions
from terrahash.archive.expressions import MAX_LENGTH
from terrahash.errors import InputError

# Classes that one request may name.
MAX_LABELS = 500
_Label = Annotated[str, Field(max_length=500)]


class Filters(BaseModel):
    """Which tiles may be answers; all parts must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str | None = Field(
        default=None,
        max_length=MAX_LENGTH,
        description="A condition on the tiles' columns, as `terrahash search --where` takes it.",
        examples=["confidence >= 0.9 AND label != 'river'"],
    )
    label: list[_Label] = Field(
        default_factory=list, max_length=MAX_LABELS, description="Any of these true classes."
    )
    predicted_label: list[_Label] = Field(
        default_factory=list, max_length=MAX_LABELS, description="Any of these predicted classes."
    )
    bbox: tuple[float, float, float, float] | None = Field(
        default=None,
        description="Footprints that meet west, south, east, north in degrees; "
        "west > east crosses the antimeridian.",
        examples=[[5.8, 45.8, 10.5, 47.8]],
    )
    after: str | None = Field(
        default=None, max_length=40, description="Taken then or later.", examples=["2024-05-31"]
    )
    before: str | None = Field(
        default=None, max_length=40, description="Taken before.", examples=["2025-01-01"]
    )

    @property
    def empty(self) -> bool:
        """Whether every tile may be an answer."""
        return self == Filters()

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the archive's calls.

        Raises:
            InputError: if ``where`` is no condition.
        """
        parts = []
        if self.where is not None and self.where.strip():
            expressions.parse(self.where)  # on its own: its brackets must not close ours
            parts.append(f"({self.where})")
        parts += [
            _one_of(name, values)
            for name, values in (("label", self.label), ("predicted_label", self.predicted_label))
            if values
        ]
        return {
            "where": " AND ".join(parts) or None,
            "bbox": self.bbox,
            "after": self.after or None,
            "before": self.before or None,
        }


def _one_of(column: str, values: Sequence[str]) -> str:
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({quoted})"


async def filters_of_query(
    where: Annotated[str | None, Query(max_length=MAX_LENGTH)] = None,
    label: Annotated[list[_Label] | None, Query(max_length=MAX_LABELS)] = None,
    predicted_label: Annotated[list[_Label] | None, Query(max_length=MAX_LABELS)] = None,
    bbox: Annotated[
        str | None,
        Query(max_length=200, description="west,south,east,north", examples=["5.8,45.8,10.5,47.8"]),
    ] = None,
    after: Annotated[str | None, Query(max_length=40)] = None,
    before: Annotated[str | None, Query(max_length=40)] = None,
) -> Filters:
    """Filters given in the address."""
    return Filters(
        where=where,
        label=label or [],
        predicted_label=predicted_label or [],
        bbox=_box(bbox) if bbox else None,
        after=after,
        before=before,
    )


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"bbox {text!r} is no box", "write west,south,east,north in degrees"
        ) from None
    return west, south, east, north

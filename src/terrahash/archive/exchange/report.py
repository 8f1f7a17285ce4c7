"""What an export or import did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Reasons kept word for word; beyond them rows are only counted.
MAX_REASONS = 20


@dataclass
class ExchangeReport:
    """What an export or import did.

    Attributes:
        rows: tiles that were carried over.
        skipped: tiles that were not.
        reasons: why, for the first of them.
    """

    rows: int = 0
    skipped: int = 0
    reasons: list[str] = field(default_factory=list)

    def skip(self, reason: str, rows: int = 1) -> None:
        """Count rows that are passed over."""
        self.skipped += rows
        if len(self.reasons) < MAX_REASONS:
            self.reasons.append(reason)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return dict(self.__dict__)

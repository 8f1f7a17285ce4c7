"""Telling a person how far long work is. Everything goes to standard error."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

# Columns that the name, bar, counts and times of a stage take; details get the rest.
WIDTH_OF_BARS = 64


class Reporter(Protocol):
    """What long work tells of itself."""

    def note(self, text: str) -> None:
        """A line worth keeping."""

    def advance(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """``done`` of ``total`` steps of a stage; a stage ends when both are equal."""


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Ignored."""

    def advance(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Ignored."""


class Terminal:
    """Progress bars on standard error, one a stage; a context manager."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskID,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        def whole(width: int) -> Column:
            return Column(no_wrap=True, min_width=width)

        self._progress = Progress(
            TextColumn("{task.description}", table_column=whole(14)),
            BarColumn(bar_width=16, table_column=whole(16)),
            MofNCompleteColumn(table_column=whole(9)),
            TimeElapsedColumn(table_column=whole(7)),
            TimeRemainingColumn(table_column=whole(7)),
            TextColumn("[dim]{task.fields[detail]}", table_column=Column(no_wrap=True)),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tasks:
            self._progress.stop()

    def note(self, text: str) -> None:
        """A line above the bars."""
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def advance(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Move the stage's bar, which appears at its first call."""
        if stage not in self._tasks:
            self._progress.start()
            self._tasks[stage] = self._progress.add_task(stage, total=total, detail=detail)
        task = self._tasks[stage]
        self._progress.update(task, completed=done, total=total)
        if detail:
            room = max(0, self._progress.console.width - WIDTH_OF_BARS)
            self._progress.update(task, detail=detail[:room])

"""How long runs will take, judging by those that are finished."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from terrahash.benchmark.results import Record
from terrahash.benchmark.specification import Run


def estimated_seconds(run: Run, images: int, records: Sequence[Record]) -> float | None:
    """Median seconds of finished runs of the same method, else of any, for as many images.

    Training time is taken to grow with the number of images. None if nothing of the same mode is
    finished.

    Args:
        run: what to estimate.
        images: of its data set.
        records: of the folder.
    """
    alike = {
        record["run"]: record
        for record in records
        if record["kind"] == "result" and record["mode"] == run.mode
    }.values()
    for same in (
        [record for record in alike if record["method"] == run.method],
        list(alike),
    ):
        if same:
            seconds: float = median(
                record["training"]["seconds"] * images / record["images"] for record in same
            )
            return seconds
    return None

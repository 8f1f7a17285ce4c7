"""Data sets for commands, which say so where one has to be made first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from terrahash.datasets import Dataset


def load(name_or_folder: str) -> Dataset:
    """The data set that an argument names.

    Raises:
        DatasetError: if it is not on this machine, or not as it should be.
    """
    from terrahash.datasets import load_dataset
    from terrahash.datasets.registry import BUILT_IN, built_in_folder

    if name_or_folder in BUILT_IN and not built_in_folder(name_or_folder).is_dir():
        typer.echo(f"making the tiles of '{name_or_folder}', once: under a minute", err=True)
    return load_dataset(name_or_folder)

"""Errors a user can cause and mend. Each says what was wrong and what to do about it."""

from __future__ import annotations


class TerrahashError(Exception):
    """Base of all errors that terrahash raises on purpose.

    Args:
        message: what was wrong, naming the input and what was expected.
        remedy: what the user can do about it; shown on a line of its own.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.remedy}" if self.remedy else self.message


class InputError(TerrahashError):
    """An argument, option or file given by the caller cannot be used."""


class DatasetError(TerrahashError):
    """A data set is missing, malformed or unfit for the split or method asked for."""


class ImageError(TerrahashError):
    """A file could not be read as an image within the safety limits."""


class EncoderError(TerrahashError):
    """An encoder artefact is incomplete, altered or incompatible."""


class ArchiveError(TerrahashError):
    """An archive cannot be opened, read or written as asked."""


class TrainingError(TerrahashError):
    """Training cannot start or go on."""


class MissingExtraError(TerrahashError):
    """A feature needs packages of an optional extra that are not installed.

    Args:
        feature: what the user asked for, e.g. ``"training"``.
        extra: the extra that provides it, e.g. ``"train"``.
    """

    def __init__(self, feature: str, extra: str, missing: str) -> None:
        super().__init__(
            f"{feature} needs the package '{missing}', which is not installed",
            f"pip install 'terrahash[{extra}]'",
        )

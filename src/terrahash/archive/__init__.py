"""The collection on disk: codes and what is known of their tiles, searched exactly with filters."""

from terrahash.archive.archive import Archive, open_archive
from terrahash.archive.checking import Problem, Verification, verify
from terrahash.archive.hits import Hits, Record
from terrahash.archive.info import ArchiveInfo
from terrahash.archive.repairing import Repair, repair
from terrahash.archive.snapshot import Snapshot

__all__ = [
    "Archive",
    "ArchiveInfo",
    "Hits",
    "Problem",
    "Record",
    "Repair",
    "Snapshot",
    "Verification",
    "open_archive",
    "repair",
    "verify",
]

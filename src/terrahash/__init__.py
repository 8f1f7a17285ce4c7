"""terrahash: content-based retrieval for remote-sensing imagery by deep hashing.

The names below load their modules on first use, so that ``import terrahash`` stays instant and
nobody who only searches ever imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from terrahash.archive import Archive, open_archive
    from terrahash.client import connect
    from terrahash.codes import CodeLayout
    from terrahash.datasets import Dataset, Split, load_dataset, make_split
    from terrahash.encoder import Encoder
    from terrahash.evaluation import evaluate
    from terrahash.learning import train

_HOMES = {
    "Archive": "terrahash.archive",
    "CodeLayout": "terrahash.codes",
    "Dataset": "terrahash.datasets",
    "Encoder": "terrahash.encoder",
    "Split": "terrahash.datasets",
    "connect": "terrahash.client",
    "evaluate": "terrahash.evaluation",
    "load_dataset": "terrahash.datasets",
    "make_split": "terrahash.datasets",
    "open_archive": "terrahash.archive",
    "train": "terrahash.learning",
}

__all__ = [
    "Archive",
    "CodeLayout",
    "Dataset",
    "Encoder",
    "Split",
    "__version__",
    "connect",
    "evaluate",
    "load_dataset",
    "make_split",
    "open_archive",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'terrahash' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)

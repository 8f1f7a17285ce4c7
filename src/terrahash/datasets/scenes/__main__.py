"""One worker's share of the tiles: ``python -m terrahash.datasets.scenes``."""

from __future__ import annotations

import sys
from pathlib import Path

from terrahash.datasets.scenes.generate import write_share

if __name__ == "__main__":
    folder, *numbers = sys.argv[1:]
    size, per_class, seed, share, shares = (int(number) for number in numbers)
    write_share(Path(folder), size=size, per_class=per_class, seed=seed, share=share, shares=shares)

"""Pooled backbone features, computed once and kept by content."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from terrahash.cache import cache_folder
from terrahash.encoder.network import Network
from terrahash.errors import ImageError
from terrahash.learning.backbones import Backbone
from terrahash.learning.export import to_onnx

# New features are written this often, so that an interrupted run loses little.
IMAGES_PER_SHARD = 1024


class FeatureCache:
    """Feature vectors by the SHA-256 of the image file, for one backbone at one input size.

    A folder of immutable ``.npz`` shards; any number of processes may read and add at a time.
    """

    def __init__(self, backbone: Backbone, root: Path | None = None) -> None:
        key = hashlib.sha256(
            f"{backbone.identity} {backbone.preprocessing.to_json()}".encode()
        ).hexdigest()[:20]
        self.folder = (root or cache_folder() / "features") / f"{backbone.name}-{key}"
        self._known: dict[str, NDArray[np.float32]] = {}
        for shard in sorted(self.folder.glob("*.npz")):
            with np.load(shard) as stored:
                self._known.update(zip(stored["digests"].tolist(), stored["features"], strict=True))

    def __contains__(self, digest: str) -> bool:
        return digest in self._known

    def __getitem__(self, digest: str) -> NDArray[np.float32]:
        return self._known[digest]

    def add(self, digests: Sequence[str], features: NDArray[np.float32]) -> None:
        """Keep ``(N, D) float32`` features under their images' digests."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256("".join(digests).encode()).hexdigest()[:24]
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".tmp", delete=False) as file:
            np.savez(file, digests=np.array(digests), features=features)
        Path(file.name).replace(self.folder / f"{name}.npz")
        self._known.update(zip(digests, features, strict=True))


def extract_features(
    backbone: Backbone,
    paths: Sequence[Path],
    digests: Sequence[str],
    *,
    cache: FeatureCache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Pooled features of images by onnxruntime, from the cache where they are known.

    Args:
        backbone: what computes them.
        paths: N image files.
        digests: their SHA-256, in the same order.
        cache: where to keep them; by default the user's cache.
        progress: called with (images done, images in all) while computing.

    Returns:
        ``(N, D) float32``.

    Raises:
        ImageError: for the first image that cannot be read.
    """
    cache = cache or FeatureCache(backbone)
    unknown = {
        digest: path for digest, path in zip(digests, paths, strict=True) if digest not in cache
    }
    if unknown:
        model = to_onnx(_Features(backbone.module), backbone.preprocessing, ["features"])
        network = Network(model, backbone.preprocessing)
        names: list[str] = []
        rows: list[NDArray[np.float32]] = []
        for done, (digest, (_, outcome)) in enumerate(
            zip(
                unknown,
                network.stream(unknown.values(), backbone.preprocessing.read, itemgetter(0)),
                strict=True,
            ),
            start=1,
        ):
            if isinstance(outcome, ImageError):
                raise outcome
            names.append(digest)
            rows.append(outcome)
            if len(names) == IMAGES_PER_SHARD or done == len(unknown):
                cache.add(names, np.stack(rows))
                names, rows = [], []
            if progress is not None:
                progress(done, len(unknown))
    return np.stack([cache[digest] for digest in digests])


class _Features(nn.Module):
    """A backbone whose output is a tuple, as exported networks have it."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.backbone(images),)

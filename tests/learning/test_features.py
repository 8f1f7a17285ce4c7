"""Frozen features and their cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from terrahash.datasets import Dataset
from terrahash.imagery.reading import read_image
from terrahash.learning.backbones import Backbone
from terrahash.learning.features import FeatureCache, extract_features


def test_features_are_the_backbones_and_are_computed_once(
    small: Dataset, backbone: Backbone, tmp_path: Path
) -> None:
    paths, digests = small.paths[:6], small.digests()[:6]
    computed: list[int] = []
    features = extract_features(
        backbone,
        paths,
        digests,
        cache=FeatureCache(backbone, tmp_path),
        progress=lambda done, total: computed.append(total),
    )
    images = np.concatenate([backbone.preprocessing(read_image(path)) for path in paths])
    with torch.no_grad():
        expected = backbone.module(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(features, expected, atol=1e-4)
    assert computed == [6] * 6
    more = extract_features(
        backbone,
        small.paths[4:8],
        small.digests()[4:8],
        cache=FeatureCache(backbone, tmp_path),
        progress=lambda done, total: computed.append(total),
    )
    assert computed == [6] * 6 + [2] * 2
    np.testing.assert_array_equal(more[:2], features[4:])


def test_caches_of_other_inputs_are_apart(backbone: Backbone, tmp_path: Path) -> None:
    from terrahash.learning.backbones import load_backbone

    other = load_backbone(backbone.name, "none", size=64)
    assert FeatureCache(backbone, tmp_path).folder != FeatureCache(other, tmp_path).folder

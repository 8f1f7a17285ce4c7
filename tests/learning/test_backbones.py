"""Backbones and their weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from terrahash.errors import TrainingError
from terrahash.learning.backbones import Backbone, find_weights, load_backbone

from .conftest import BACKBONE, SIZE


def test_random_weights_are_the_same_every_time(backbone: Backbone) -> None:
    again = load_backbone(BACKBONE, "none", size=SIZE)
    assert again.identity == backbone.identity
    assert not backbone.pretrained
    assert backbone.module(torch.zeros(2, 3, SIZE, SIZE)).shape == (2, backbone.features)


def test_weights_from_a_file(backbone: Backbone, tmp_path: Path) -> None:
    state = {name: value + 1 for name, value in backbone.module.state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    loaded = load_backbone(BACKBONE, tmp_path / "a.safetensors", size=SIZE)
    for name, value in loaded.module.state_dict().items():
        torch.testing.assert_close(value, state[name])
    assert loaded.pretrained
    assert loaded.weights == "a.safetensors"
    assert loaded.identity != backbone.identity


def test_weights_of_another_architecture(backbone: Backbone, tmp_path: Path) -> None:
    save_file(backbone.module.state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(TrainingError, match="another architecture than resnet18") as caught:
        load_backbone("resnet18", tmp_path / "a.safetensors", size=SIZE)
    assert "--backbone" in caught.value.remedy


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(TrainingError, match="not a sound safetensors"):
        load_backbone(BACKBONE, tmp_path / "a.safetensors", size=SIZE)
    with pytest.raises(TrainingError, match="no weights file"):
        load_backbone(BACKBONE, tmp_path / "b.safetensors", size=SIZE)


def test_unknown_architecture() -> None:
    with pytest.raises(TrainingError, match="resnett18") as caught:
        load_backbone("resnett18", "none")
    assert "known ones" in caught.value.remedy


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create = timm.create_model

    def offline(name: str, *, pretrained: bool = False, **options: object) -> object:
        if pretrained:
            raise ConnectionError("no route to host")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.delenv("TERRAHASH_WEIGHTS", raising=False)
    with pytest.raises(TrainingError, match="cannot be fetched") as caught:
        load_backbone(BACKBONE)
    assert "--weights FILE" in caught.value.remedy


def test_weights_are_found_in_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_WEIGHTS", str(tmp_path))
    assert find_weights(BACKBONE) is None
    path = tmp_path / f"{BACKBONE}.mine.safetensors"
    path.touch()
    assert find_weights(BACKBONE) == path


def test_real_weights_fit(weights: Path) -> None:
    loaded = load_backbone("mobilenetv2_100", weights, size=64)
    assert loaded.features == 1280
    assert loaded.preprocessing.mean == (127.5, 127.5, 127.5)

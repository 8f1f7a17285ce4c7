"""The encoder folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from terrahash.codes import unpack
from terrahash.encoder import Encoded, Encoder
from terrahash.errors import EncoderError, ImageError
from tests.tiny import HASH_BITS, tiny_card, tiny_model


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 40, 50, 3), dtype=np.uint8)


def test_codes_follow_the_activations_and_the_predicted_class(encoder: Encoder) -> None:
    for image in images(8):
        encoded = encoder.encode_image(image)
        bits = unpack(encoded.codes, encoder.bits)[0]
        np.testing.assert_array_equal(bits[:HASH_BITS], encoded.activations[0] >= 0)
        assert encoded.labels is not None
        assert "".join(map(str, bits[HASH_BITS:])) == tiny_card()["label_codes"][encoded.labels[0]]


def test_magnitudes_are_certainties() -> None:
    activations = np.array([[0.5, -0.25]] * 2, np.float32)
    logits = np.log(np.array([[0.8, 0.1, 0.1], [0.4, 0.3, 0.3]], np.float32))
    layout = Encoder.create(tiny_card(), tiny_model()).layout.__class__(7, 2, 2.0)
    codes = np.array([[0, 0], [0, 1], [1, 1]], bool)
    wide = np.repeat(activations, 4, axis=1)[:, :7]
    encoded = Encoded.from_outputs(wide, logits, layout, codes)
    assert encoded.confidences is not None
    np.testing.assert_allclose(encoded.confidences, [0.8, 0.4], rtol=1e-5)
    # Bit 0: P(0) = 0.9 and 0.7; bit 1: P(0) = 0.8, and 0.4 < ½, where certainty is nil.
    np.testing.assert_allclose(encoded.magnitudes[:, 7:], [[1.6, 1.2], [0.8, 0.0]], rtol=1e-5)
    np.testing.assert_allclose(encoded.magnitudes[:, :7], np.abs(wide))


def test_round_trip_through_a_folder(encoder: Encoder, tmp_path: Path) -> None:
    again = Encoder.load(encoder.save(tmp_path / "model"))
    assert again.card == encoder.card
    assert again.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(
        again.encode_image(images(1)[0]).codes, encoder.encode_image(images(1)[0]).codes
    )
    assert (tmp_path / "model" / "README.md").read_text() == "# card"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_saving_over_an_encoder_replaces_it(encoder: Encoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "model")
    other = Encoder.create(tiny_card(), tiny_model(1))
    other.save(tmp_path / "model")
    assert Encoder.load(tmp_path / "model").fingerprint == other.fingerprint != encoder.fingerprint
    assert not (tmp_path / "model" / "weights.safetensors").exists()


def test_saving_for_inference_leaves_the_weights(encoder: Encoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "model", weights=False)
    assert not (tmp_path / "model" / "weights.safetensors").exists()
    Encoder.load(tmp_path / "model")


def test_other_folders_are_not_overwritten(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(EncoderError, match="not an encoder"):
        encoder.save(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("name", ["encoder.json", "model.onnx"])
def test_incomplete_folders(encoder: Encoder, tmp_path: Path, name: str) -> None:
    encoder.save(tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(EncoderError, match=name):
        Encoder.load(tmp_path / "model")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="nothing"):
        Encoder.load(tmp_path / "nothing")


def test_altered_model(encoder: Encoder, tmp_path: Path) -> None:
    path = encoder.save(tmp_path / "model") / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(EncoderError, match="do not belong together"):
        Encoder.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preprocessing", {"size": 64, "mean": [0.0] * 3, "std": [1.0] * 3}),
        ("label_codes", ["00", "10", "01"]),
        ("layout", {"hash_bits": 11, "label_bits": 2, "label_weight": 0.5}),
    ],
)
def test_altered_card(encoder: Encoder, tmp_path: Path, key: str, value: object) -> None:
    path = encoder.save(tmp_path / "model") / "encoder.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(EncoderError, match="do not belong together"):
        Encoder.load(tmp_path / "model")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}'])
def test_damaged_card(encoder: Encoder, tmp_path: Path, text: str) -> None:
    (encoder.save(tmp_path / "model") / "encoder.json").write_text(text)
    with pytest.raises(EncoderError):
        Encoder.load(tmp_path / "model")


def test_a_model_that_is_none(tmp_path: Path) -> None:
    broken = Encoder.create(tiny_card(), b"not a network")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        broken.encode_image(images(1)[0])


def test_files_come_in_order_and_errors_in_their_place(
    encoder: Encoder, tiles: Path, tmp_path: Path
) -> None:
    paths = sorted(tiles.rglob("*.png"))[:30]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    paths.insert(7, broken)
    outcomes = list(encoder.stream(paths, workers=3))
    assert [path for path, _ in outcomes] == paths
    assert isinstance(outcomes[7][1], ImageError)
    whole = encoder.encode_files([path for path in paths if path != broken])
    parts = [one.codes for _, one in outcomes if isinstance(one, Encoded)]
    np.testing.assert_array_equal(whole.codes, np.concatenate(parts))
    with pytest.raises(ImageError, match="broken"):
        encoder.encode_files(paths)


def test_no_files_give_no_codes(encoder: Encoder) -> None:
    encoded = encoder.encode_files([])
    assert encoded.codes.shape == (0, 2)
    assert encoded.labels is not None
    assert len(encoded) == len(encoded.labels) == 0

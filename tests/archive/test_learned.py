"""Codes that training learned, in an archive."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from terrahash.archive import open_archive
from terrahash.archive.indexing import index_images
from terrahash.archive.learned import assign_codes
from terrahash.cli.archive import app
from terrahash.codes import pack
from terrahash.encoder import Encoder
from terrahash.encoder.learned import LEARNED, LearnedDatabase
from terrahash.errors import EncoderError
from tests.tiny import CLASSES, HASH_BITS, tiny_card, tiny_encoder, tiny_model

BITS = HASH_BITS + 2


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Five pictures of different colours."""
    (tmp_path / "in").mkdir()
    paths = [tmp_path / "in" / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        Image.new("RGB", (40, 40), (40 * number, 200 - 30 * number, 90)).save(path)
    return paths


def encoder_with_codes(known: list[Path]) -> tuple[Encoder, LearnedDatabase]:
    """An encoder that learned random codes for these pictures, one class after the other."""
    rng = np.random.default_rng(3)
    digests = [list(hashlib.sha256(path.read_bytes()).digest()) for path in known]
    table = LearnedDatabase(
        digests=np.array(digests, np.uint8),
        codes=pack(rng.random((len(known), BITS)) < 0.5),
        activations=rng.normal(size=(12, BITS)).astype(np.float32),
        targets=np.eye(len(CLASSES), dtype=bool)[np.arange(12) % len(CLASSES)],
        ratio=0.5,
    )
    return Encoder.create(tiny_card(), tiny_model(), {LEARNED: table.to_bytes()}), table


def test_known_labelled_and_new(pictures: list[Path], tmp_path: Path) -> None:
    encoder, table = encoder_with_codes(pictures[:2])
    with open_archive(tmp_path / "a.terrahash", encoder) as archive:
        index_images(archive, pictures)
        ids = archive.ids()
        of_network = archive.codes(ids)
        archive.update(ids[2:4], labels=["river", "no class of the encoder"])
        report = assign_codes(archive)
        codes = archive.codes(ids)
    assert report.to_json() == {"learned": 2, "assigned": 1, "network": 2, "changed": 3}
    np.testing.assert_array_equal(codes[:2], table.codes)
    np.testing.assert_array_equal(codes[2], table.assign(np.array([[False, False, True]]))[0])
    np.testing.assert_array_equal(codes[3:], of_network[3:])


def test_command_twice(pictures: list[Path], tmp_path: Path) -> None:
    encoder, _ = encoder_with_codes(pictures[:3])
    with open_archive(tmp_path / "a.terrahash", encoder) as archive:
        index_images(archive, pictures)
    pictures[1].unlink()  # what cannot be read keeps its code
    for changed in (2, 0):
        ran = CliRunner().invoke(app, ["assign-codes", str(tmp_path / "a.terrahash"), "--json"])
        assert ran.exit_code == 0, ran.output
        assert json.loads(ran.stdout) == {
            "learned": 2, "assigned": 0, "network": 3, "changed": changed,
        }  # fmt: skip


def test_encoder_without_learned_codes(pictures: list[Path], tmp_path: Path) -> None:
    with open_archive(tmp_path / "a.terrahash", tiny_encoder()) as archive:
        index_images(archive, pictures)
        with pytest.raises(EncoderError, match="learned no codes"):
            assign_codes(archive)

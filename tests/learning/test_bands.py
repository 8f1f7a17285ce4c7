"""Encoders for bands beyond RGB."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from terrahash.archive import open_archive
from terrahash.archive.indexing import index_images
from terrahash.datasets import Dataset, Split, make_split
from terrahash.datasets.scenes_ms import SCENES_MS_CLASSES, draw_tile, write_tile
from terrahash.encoder import Encoder
from terrahash.errors import DatasetError, ImageError, InputError, TrainingError
from terrahash.evaluation import evaluate
from terrahash.imagery import Length, Preprocessing, Tiling
from terrahash.imagery.bands import Bands
from terrahash.learning import train
from terrahash.learning.augment import augment
from terrahash.learning.backbones import load_backbone
from terrahash.learning.bands import BandStatistics, bands_of
from terrahash.learning.stem import adapted, with_bands

pytest.importorskip("rasterio", reason="GeoTIFF needs the extra 'geo'")

from .conftest import BACKBONE, SIZE

TINY: dict[str, Any] = {
    "method": "orthohash", "backbone": BACKBONE, "weights": "none", "size": SIZE, "bits": 16,
    "epochs": 60,
}  # fmt: skip


@pytest.fixture(scope="module")
def tiles_ms(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Six classes of twenty tiles of four bands."""
    from terrahash.datasets.scenes_ms import generate_scenes_ms

    return generate_scenes_ms(tmp_path_factory.mktemp("ms") / "tiles", size=32, per_class=20)


@pytest.fixture(scope="module")
def split_ms(tiles_ms: Dataset) -> Split:
    return make_split(tiles_ms, train=0.6, seed=0, validation=0.17)


@pytest.fixture(scope="module")
def four(tiles_ms: Dataset, split_ms: Split) -> Encoder:
    """An encoder for all four bands."""
    return train(tiles_ms, split_ms, **TINY)


def test_the_fourth_band_is_used(four: Encoder, tiles_ms: Dataset, split_ms: Split) -> None:
    visible = train(tiles_ms, split_ms, bands=("B04", "B03", "B02"), **TINY)
    with_it = evaluate(four, tiles_ms, split_ms, k=5).metrics.map_at_k
    without = evaluate(visible, tiles_ms, split_ms, k=5).metrics.map_at_k
    # Pairs of classes look alike without it: half of the answers can be right.
    assert with_it > 0.75
    assert without < 0.65
    assert visible.preprocessing.bands is not None
    assert visible.preprocessing.bands.names == ("B04", "B03", "B02")
    assert visible.preprocessing.bands.places == (3, 2, 1)


def test_the_card_says_which_bands_at_which_scale(four: Encoder, tmp_path: Path) -> None:
    four.save(tmp_path / "encoder")
    told = json.loads((tmp_path / "encoder" / "encoder.json").read_text())["preprocessing"]
    assert told["bands"]["names"] == ["B02", "B03", "B04", "B08"]
    assert told["bands"]["dtype"] == "uint16"
    assert all(0 < low < high < 10_000 for low, high in told["bands"]["limits"])
    assert len(told["mean"]) == len(told["std"]) == 4
    text = (tmp_path / "encoder" / "README.md").read_text()
    assert "of B02, B03, B04, B08" in text
    assert "| B08 | 4 |" in text
    with Image.open(tmp_path / "encoder" / "answers.png") as picture:
        assert len(picture.getcolors(1 << 20) or []) > 100  # tiles are drawn, not empty frames
    again = Encoder.load(tmp_path / "encoder")
    assert again.preprocessing == four.preprocessing


def test_a_scene_is_indexed_and_searched(four: Encoder, tmp_path: Path) -> None:
    drawn = [
        draw_tile(name, np.random.default_rng([row, column]), 32)
        for row in range(3)
        for column, name in enumerate(SCENES_MS_CLASSES)
    ]
    rows = [np.concatenate(drawn[start : start + 6], axis=2) for start in (0, 6, 12)]
    write_tile(tmp_path / "scene.tif", np.concatenate(rows, axis=1))
    query = draw_tile("turf", np.random.default_rng(99), 32)
    write_tile(tmp_path / "query.tif", query)
    with open_archive(tmp_path / "a", four) as archive:
        report = index_images(archive, [tmp_path / "scene.tif"], tiling=Tiling(Length(32)))
        assert report.added == 18
        hits = archive.search(tmp_path / "query.tif", k=3)
        assert {record.window[0] // 32 for record in hits.records if record.window} == {
            SCENES_MS_CLASSES.index("turf")
        }
        best = hits.records[0]
        assert best.columns["bands"] == "1,2,3,4"
        assert best.columns["scaling"].count(":") == 4
        assert best.bbox is not None
        image = archive.thumbnail(best.id)
        assert image is not None
        again = index_images(archive, [tmp_path / "scene.tif"], tiling=Tiling(Length(32)))
        assert (again.added, again.unchanged) == (0, 1)


def test_codes_are_those_of_the_file_wherever_it_is_read(
    four: Encoder, tiles_ms: Dataset, tmp_path: Path
) -> None:
    path = tiles_ms.paths[0]
    expected = four.encode_files([path]).codes
    np.testing.assert_array_equal(four.encode_image(four.read(path.read_bytes())).codes, expected)
    with open_archive(tmp_path / "a", four) as archive:
        index_images(archive, [path])
        np.testing.assert_array_equal(archive.codes([archive.search(path, 1).ids[0]]), expected)


def test_wrong_bands_are_refused_by_name(four: Encoder, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(picture)
    message = r"3 bands \(red, green, blue\); the encoder takes 4: B02, B03, B04, B08; B08 not"
    with pytest.raises(ImageError, match=message):
        four.encode_files([picture])
    with pytest.raises(ImageError, match=message):
        four.read(picture.read_bytes())
    with open_archive(tmp_path / "a", four) as archive:
        ((name, reason),) = index_images(archive, [picture]).skipped
        assert name == str(picture)
        assert "B08 not found" in reason
        with pytest.raises(ImageError, match=message):
            archive.search(picture)
        with pytest.raises(InputError, match="the encoder takes 4"):
            index_images(archive, [picture], tiling=Tiling(bands=("1", "2", "3")))
        with pytest.raises(ImageError, match="4 bands in the last axis: B02"):
            archive.search(np.zeros((40, 40, 3), np.uint8))


def test_the_service_says_which_bands(four: Encoder, tmp_path: Path) -> None:
    from terrahash.service.searching import of_image

    rng = np.random.default_rng(0)
    write_tile(tmp_path / "a.tif", draw_tile("turf", rng, 32))
    assert of_image((tmp_path / "a.tif").read_bytes(), four, 1 << 20).code.shape == (2,)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="the image: has 3 bands"):
        of_image((tmp_path / "a.png").read_bytes(), four, 1 << 20)


def test_finetuning_takes_bands(tiles_ms: Dataset, split_ms: Split) -> None:
    encoder = train(tiles_ms, split_ms, **{**TINY, "mode": "finetune", "epochs": 1})
    assert encoder.preprocessing.channels == 4
    assert encoder.card["export_difference"] <= 1e-4


def test_statistics_are_of_the_images(tiles_ms: Dataset) -> None:
    found = bands_of(tiles_ms.paths, None)
    assert found is not None
    assert found.bands.names == ("B02", "B03", "B04", "B08")
    image = np.stack([Preprocessing(32, found.mean, found.std, found.bands).resize(
        Preprocessing(32, found.mean, found.std, found.bands).read(path)
    ) for path in tiles_ms.paths])  # fmt: skip
    np.testing.assert_allclose(image.mean(axis=(0, 1, 2)), found.mean, rtol=0.02)
    np.testing.assert_allclose(image.std(axis=(0, 1, 2)), found.std, rtol=0.02)
    # Near the tails of the values; the few beyond are cut off.
    assert 0.002 < (image == 255).mean() < 0.02


def test_input_lies_as_that_of_rgb_does() -> None:
    bands = Bands(("a", "b"), "uint16", ((0, 1),) * 2, (1, 2), 2)
    made = BandStatistics(bands, (40.0, 90.0), (10.0, 0.0)).preprocessing(Preprocessing(32))
    values = np.array([[30.0, 90], [50, 90]])
    scaled = (values - made.mean) / made.std
    np.testing.assert_allclose(scaled.mean(axis=0), (114.5 - 127.5) / 127.5, atol=1e-3)
    np.testing.assert_allclose(scaled[:, 0].std(), 57.6 / 127.5, atol=1e-3)


def test_pictures_stay_pictures(tiles: Path, tmp_path: Path) -> None:
    paths = sorted(tiles.glob("*/*.png"))
    assert bands_of(paths, None) is None
    all_three = bands_of(paths, ("all",))
    assert all_three is not None
    assert all_three.bands.names == ("red", "green", "blue")
    assert all_three.bands.limits == ((0.0, 255.0),) * 3


def test_bands_by_number_name_and_given_names(tiles_ms: Dataset, tmp_path: Path) -> None:
    found = bands_of(tiles_ms.paths[:5], ("4", "green"))
    assert found is not None
    assert (found.bands.names, found.bands.places) == (("B08", "B03"), (4, 2))
    with pytest.raises(DatasetError, match=r"no band 'B12' .it has 4: B02"):
        bands_of(tiles_ms.paths, ("B12",))


def test_names_where_the_files_do_not_say(tiles_ms: Dataset, tmp_path: Path) -> None:
    import rasterio

    with rasterio.open(tiles_ms.paths[0]) as source, rasterio.open(
        tmp_path / "a.tif", "w", **source.profile
    ) as target:  # fmt: skip
        target.write(source.read())
    named = bands_of([tmp_path / "a.tif"], ("z", "x"), ("w", "x", "y", "z"))
    assert named is not None
    assert (named.bands.names, named.bands.places, named.bands.total) == (("z", "x"), (4, 2), 4)
    assert Preprocessing(32, named.mean, named.std, named.bands).read(tmp_path / "a.tif").any()
    numbered = bands_of([tmp_path / "a.tif"], None)
    assert numbered is not None
    assert numbered.bands.names == ("1", "2", "3", "4")
    said = bands_of(tiles_ms.paths[:2], None, ("w", "x", "y", "z"))
    assert said is not None
    assert said.bands.names == ("B02", "B03", "B04", "B08")
    with pytest.raises(DatasetError, match="has 4 bands, expected 2: w, x"):
        bands_of([tmp_path / "a.tif"], None, ("w", "x"))


def test_all_images_have_to_be_alike(tiles_ms: Dataset, tmp_path: Path) -> None:
    import rasterio

    with rasterio.open(tiles_ms.paths[0]) as source:
        profile, pixels = source.profile, source.read()
    with rasterio.open(tmp_path / "b.tif", "w", **{**profile, "dtype": "float32"}) as target:
        target.write(pixels.astype(np.float32))
        target.descriptions = ("B02", "B03", "B04", "B08")
    with pytest.raises(ImageError, match="type float32, other images uint16"):
        bands_of([tiles_ms.paths[0], tmp_path / "b.tif"], None)


def test_filters_keep_their_colour_and_the_scale() -> None:
    weight = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    new = adapted(weight, ("B02", "B03", "red", "B08", "B11"))
    torch.testing.assert_close(new[:, 2], weight[:, 0] * 3 / 5)
    torch.testing.assert_close(new[:, 0], weight[:, 2] * 3 / 5)
    torch.testing.assert_close(new[:, 3], weight.mean(dim=1) * 3 / 5)
    torch.testing.assert_close(adapted(weight, ("r", "g", "b")), weight)
    # An image that is the same in all bands excites the layer as it did in grey.
    torch.testing.assert_close(
        adapted(weight, ("B04", "B03", "B02", "B08")).sum(dim=1), weight.sum(dim=1)
    )


def test_pretrained_filters_are_adapted(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    rgb = load_backbone(BACKBONE, "none", size=SIZE)
    save_file(rgb.module.state_dict(), tmp_path / "a.safetensors")
    bands = Bands(("B08", "B03"), "uint16", ((0, 1),) * 2, (1, 2), 2)
    statistics = BandStatistics(bands, (100.0, 100.0), (50.0, 50.0))
    loaded = load_backbone(BACKBONE, tmp_path / "a.safetensors", size=SIZE, statistics=statistics)
    assert loaded.features == rgb.features
    assert loaded.preprocessing.bands == bands
    assert loaded.identity != rgb.identity
    first = next(
        module for module in loaded.module.modules() if isinstance(module, torch.nn.Conv2d)
    )
    old = next(module for module in rgb.module.modules() if isinstance(module, torch.nn.Conv2d))
    torch.testing.assert_close(first.weight[:, 1], old.weight[:, 1] * 1.5)
    wide = replace(statistics, bands=replace(bands, names=("B02", "B03")))
    assert load_backbone(
        BACKBONE, tmp_path / "a.safetensors", size=SIZE, statistics=wide
    ).identity != loaded.identity  # fmt: skip


def test_a_network_that_cannot_be_adapted() -> None:
    timm = SimpleNamespace(get_pretrained_cfg=lambda _: SimpleNamespace(first_conv="stem"))
    with pytest.raises(TrainingError, match="'other' cannot be adapted to 2 bands"):
        with_bands(timm, "other", torch.nn.ModuleDict({"stem": torch.nn.ReLU()}), ("a", "b"))


def test_augmentation_of_bands_keeps_their_ratios() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.full((6, 4, 32, 32), 60.0) * torch.tensor([1, 1, 1, 2.0])[None, :, None, None]
    out = augment(images, generator)
    assert out.shape == images.shape
    assert float((out[:, 3] - out[:, 0]).min()) > 0
    torch.testing.assert_close(out[:, 0], out[:, 2])

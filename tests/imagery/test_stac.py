"""Scenes listed in STAC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pystac = pytest.importorskip("pystac")

from terrahash.imagery import stac  # noqa: E402
from terrahash.imagery.bands import Bands  # noqa: E402
from terrahash.imagery.stac import Asset, assets, is_stac  # noqa: E402
from tests.imagery.server import Behaviour, serving  # noqa: E402


def item(name: str, href: str = "./a.tif", **more: Any) -> dict[str, Any]:
    """A STAC item with one asset."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "survey",
        "geometry": None,
        "properties": {"datetime": "2024-05-06T07:08:09Z", "eo:cloud_cover": 7, "platform": "x"},
        "links": [],
        "assets": {"visual": {"href": href, "type": "image/tiff; application=geotiff"}},
    } | more


def collection(*items: dict[str, Any], links: Any = ()) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(items), "links": list(links)}


def catalog(*links: tuple[str, str]) -> dict[str, Any]:
    return {
        "type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "c",
        "links": [{"rel": rel, "href": href} for rel, href in links],
    }  # fmt: skip


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def found(source: str | Path, name: str | None = None) -> tuple[list[Asset], list[str]]:
    errors: list[str] = []
    got = list(assets(source, name, lambda where, why: errors.append(f"{where}: {why}")))
    return got, errors


def test_names() -> None:
    assert is_stac("a/item.json")
    assert is_stac("https://example.com/items/a.geojson?token=1")
    assert not is_stac("https://example.com/a.tif?x=.json")
    assert not is_stac(Path("a.tif"))


def test_an_item(tmp_path: Path) -> None:
    path = write(tmp_path / "item.json", item("one"))
    (asset,), errors = found(path)
    assert errors == []
    assert asset == Asset(
        str(tmp_path / "a.tif"), "one", "survey", "2024-05-06T07:08:09+00:00",
        {"eo:cloud_cover": 7, "platform": "x"},
    )  # fmt: skip


def test_a_range_of_time_begins_at_its_start(tmp_path: Path) -> None:
    properties = {
        "datetime": None, "start_datetime": "2024-01-01T00:00:00Z",
        "end_datetime": "2024-02-01T00:00:00Z",
    }  # fmt: skip
    (asset,), _ = found(write(tmp_path / "i.json", item("one", properties=properties)))
    assert asset.datetime == "2024-01-01T00:00:00+00:00"


def test_which_asset(tmp_path: Path) -> None:
    several = {
        "thumb": {"href": "t.png", "type": "image/png", "roles": ["thumbnail"]},
        "red": {"href": "r.tif", "type": "image/tiff", "roles": ["data"]},
        "nir": {"href": "n.tif", "type": "image/tiff", "roles": ["data"]},
    }
    path = write(tmp_path / "i.json", item("one", assets=several))
    got, errors = found(path)
    assert got == []
    assert "--asset (it has thumb, red, nir)" in errors[0]
    (asset,), _ = found(path, "nir")
    assert asset.href.endswith("n.tif")
    _, errors = found(path, "blue")
    assert "no asset 'blue'" in errors[0]
    only = {"b": {"href": "b.tif", "type": "image/tiff", "roles": ["data"]}, "m": {"href": "m.xml",
            "type": "application/xml"}}  # fmt: skip
    (asset,), _ = found(write(tmp_path / "j.json", item("one", assets=only)))
    assert asset.href.endswith("b.tif")


def test_a_catalogue_is_followed_each_document_once(tmp_path: Path) -> None:
    write(tmp_path / "catalog.json", catalog(
        ("child", "./sub/catalog.json"), ("item", "one.json"), ("self", "other.json"),
        ("parent", "../up.json"), ("child", "gone/catalog.json"),
    ))  # fmt: skip
    write(tmp_path / "sub" / "catalog.json", catalog(
        ("item", "two.json"), ("child", "../catalog.json"), ("item", "bad.json"),
        ("items", "three.json"),
    ))  # fmt: skip
    write(tmp_path / "one.json", item("one"))
    write(tmp_path / "sub" / "two.json", item("two", "../b.tif"))
    write(tmp_path / "sub" / "bad.json", {"type": "Feature", "id": "bad", "assets": 5})
    write(tmp_path / "sub" / "three.json", collection(item("three", "/data/c.tif"), item("four")))
    got, errors = found(tmp_path / "catalog.json")
    assert {(a.item, a.href) for a in got} == {
        ("one", str(tmp_path / "a.tif")),
        ("two", str(tmp_path / "b.tif")),
        ("three", "/data/c.tif"),
        ("four", str(tmp_path / "sub" / "a.tif")),
    }
    assert len(errors) == 2
    assert any("gone" in error for error in errors)
    assert any("'bad'" in error for error in errors)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"type": "Feature"}', '{"type": "FeatureCollection"}', "[" * 100_000,
             '{"type": "FeatureCollection", "features": [1, null, {}]}', '{"type": "Catalog"}',
             '{"type": "Catalog", "links": [1, {"rel": "item"}, {"rel": "item", "href": 3}]}'],
)  # fmt: skip
def test_broken_documents(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    got, errors = found(path)
    assert got == []
    assert all("x.json" in error for error in errors)


def test_a_link_that_is_no_address_costs_only_itself(tmp_path: Path) -> None:
    """Found by mutating documents at random."""
    links = (("child", "http://[x"), ("item", "i.json"))
    write(tmp_path / "catalog.json", catalog(*links))
    write(tmp_path / "i.json", item("one"))
    got, errors = found(tmp_path / "catalog.json")
    assert [asset.item for asset in got] == ["one"]
    assert "no address" in errors[0]
    broken = collection(item("bad", "http://[x"), item("good"))
    got, errors = found(write(tmp_path / "items.json", broken))
    assert [asset.item for asset in got] == ["good"]
    assert "'bad'" in errors[0]


def test_documents_on_http(tmp_path: Path) -> None:
    write(tmp_path / "catalog.json", catalog(("item", "items.json")))
    following = [{"rel": "next", "href": "more.json"}]
    write(tmp_path / "items.json", collection(item("one"), links=following))
    write(tmp_path / "more.json", collection(item("two", "s3://bucket/b.tif")))
    with serving(tmp_path, Behaviour(fail_every=3)) as address:
        got, errors = found(f"{address}/catalog.json")
    assert errors == []
    assert [a.href for a in got] == [f"{address}/a.tif", "s3://bucket/b.tif"]


def test_what_comes_over_http_does_not_lead_to_files(tmp_path: Path) -> None:
    secret = write_secret(tmp_path)
    write(tmp_path / "catalog.json", catalog(
        ("item", f"file://{secret}"), ("item", str(secret)), ("item", "items.json"),
    ))  # fmt: skip
    hrefs = [f"file://{secret}", "ftp://example.com/a.tif", "/vsicurl/http://example.com/a.tif"]
    write(tmp_path / "items.json", collection(*(item(str(n), h) for n, h in enumerate(hrefs))))
    with serving(tmp_path, Behaviour()) as address:
        got, errors = found(f"{address}/catalog.json")
    assert got == []
    assert len(errors) == 5, errors


def write_secret(folder: Path) -> Path:
    return write(folder / "secret" / "item.json", item("secret"))


def test_large_documents_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stac, "MAX_DOCUMENT_BYTES", 100)
    write(tmp_path / "item.json", item("one"))
    assert "larger than 100 bytes" in found(tmp_path / "item.json")[1][0]
    with serving(tmp_path, Behaviour()) as address:
        assert "larger than 100 bytes" in found(f"{address}/item.json")[1][0]


def test_endless_catalogues_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stac, "MAX_DOCUMENTS", 5)
    for number in range(10):
        write(tmp_path / f"{number}.json", catalog(("child", f"{number + 1}.json")))
    _, errors = found(tmp_path / "0.json")
    assert errors == [f"{tmp_path / '4.json'}: leads beyond the limit of 5 documents"]


FOUR = Bands(("B02", "B03", "B04", "B08"), "uint16", ((0, 1),) * 4, (1, 2, 3, 4), 4)


def banded(key: str, name: str, *bands: str) -> dict[str, Any]:
    return {"href": "./bands.tif", "type": "image/tiff", key: [{name: band} for band in bands]}


@pytest.mark.parametrize(("key", "name"), [("eo:bands", "common_name"), ("bands", "name")])
def test_the_asset_that_holds_the_bands(tmp_path: Path, key: str, name: str) -> None:
    document = item("one")
    document["assets"]["rgb"] = banded(key, name, "red", "green", "blue")
    document["assets"]["ms"] = banded(key, name, "blue", "green", "red", "nir", "swir16")
    path = write(tmp_path / "i.json", document)
    errors: list[str] = []
    (chosen,) = assets(path, None, lambda _, why: errors.append(why), FOUR)
    assert chosen.href == str(tmp_path / "bands.tif")
    assert not errors
    ((asset,), _) = found(path)
    assert asset.href == str(tmp_path / "a.tif")
    del document["assets"]["ms"]
    assert not list(assets(write(path, document), None, lambda _, why: errors.append(why), FOUR))
    assert "which assets hold B02, B03, B04, B08 (it has visual, rgb)" in errors[0]


def test_the_only_asset_is_taken_whatever_it_says(tmp_path: Path) -> None:
    path = write(tmp_path / "i.json", item("one"))
    (chosen,) = assets(path, None, lambda _, why: pytest.fail(why), FOUR)
    assert chosen.href == str(tmp_path / "a.tif")

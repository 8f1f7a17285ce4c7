"""Tiles, pictures, facets, adding and deleting over HTTP."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from terrahash.archive import open_archive
from tests.conftest import pattern
from tests.service.conftest import WRITING


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pattern(1, 1000 + seed)).save(buffer, "PNG")
    return buffer.getvalue()


def test_pages_of_items(client: TestClient) -> None:
    page = client.get("/api/v1/items?limit=30&offset=60").json()
    assert page["total"] == 80
    assert [item["id"] for item in page["items"]] == list(range(61, 81))
    assert page["next_offset"] is None
    only = client.get("/api/v1/items?label=rows&limit=5").json()
    assert only["total"] == 20
    assert only["next_offset"] == 5
    spread = client.get("/api/v1/items?spread=true&limit=8").json()["items"]
    assert len({item["label"] for item in spread}) == 4


def test_facets_count_under_the_filter(client: TestClient) -> None:
    everything = client.get("/api/v1/facets").json()
    assert everything["total"] == 80
    assert {one["value"]: one["count"] for one in everything["label"]} == {
        "checks": 20,
        "columns": 20,
        "curves": 20,
        "rows": 20,
    }
    assert sum(one["count"] for one in everything["predicted_label"]) == 80
    assert sum(one["count"] for one in everything["dates"]) == 80
    west, south, east, north = everything["bbox"]
    assert -180 <= west < east <= 180
    assert -90 <= south < north <= 90
    some = client.get("/api/v1/facets?label=rows&after=2023-01-01").json()
    assert [one["value"] for one in some["label"]] == ["rows"]
    assert 0 < some["total"] < 20
    assert some["first"] >= "2023-01-01"


def test_thumbnails_are_small_and_known_by_their_tag(client: TestClient, tiles: Path) -> None:
    first = client.get("/api/v1/items/1/thumbnail?size=90")
    assert first.headers["content-type"] == "image/jpeg"
    assert max(Image.open(io.BytesIO(first.content)).size) <= 96
    tag = first.headers["etag"]
    again = client.get("/api/v1/items/1/thumbnail?size=96", headers={"If-None-Match": tag})
    assert again.status_code == 304
    assert not again.content
    assert client.get("/api/v1/items/2/thumbnail?size=96").headers["etag"] != tag


def test_full_resolution_is_the_tile(client: TestClient) -> None:
    item = client.get("/api/v1/items/7").json()
    whole = client.get("/api/v1/items/7/image")
    assert whole.headers["content-type"] == "image/png"
    expected = np.asarray(Image.open(item["source"]))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(whole.content))), expected)


def test_windows_of_scenes_are_cut(client: TestClient, archive_path: Path, tmp_path: Path) -> None:
    scene = np.zeros((300, 400, 3), np.uint8)
    scene[100:200, 50:150] = (200, 30, 60)
    for name in ("scene.tif", "scene.png"):
        Image.fromarray(scene).save(tmp_path / name)
        with open_archive(archive_path) as archive:
            code = archive.codes([1])
            number = archive.add_codes(
                code, sources=[str(tmp_path / name)], windows=[(50, 100, 100, 100)]
            )[0]
        shown = Image.open(io.BytesIO(client.get(f"/api/v1/items/{number}/image").content))
        assert shown.size == (100, 100)
        assert np.asarray(shown)[50, 50].tolist() == [200, 30, 60]


def test_a_tile_without_file_has_no_picture(client: TestClient, archive_path: Path) -> None:
    sources = ["/nowhere/at/all.png", "http://127.0.0.1:1/x.png", "file:///etc/passwd", "/etc"]
    with open_archive(archive_path) as archive:
        codes = np.repeat(archive.codes([1]), len(sources), axis=0)
        ids = archive.add_codes(codes, sources=sources).tolist()
    for number in ids:
        response = client.get(f"/api/v1/items/{number}/thumbnail")
        assert response.status_code == 404
        assert response.json()["remedy"]


def test_a_file_that_is_no_image_is_not_shown(client: TestClient, archive_path: Path) -> None:
    with open_archive(archive_path) as archive:
        number = archive.add_codes(archive.codes([1]), sources=["/etc/passwd"])[0]
    response = client.get(f"/api/v1/items/{number}/image")
    assert response.status_code == 404
    assert b"root" not in response.content


def test_added_pictures_are_found_shown_and_deleted(client: TestClient, archive_path: Path) -> None:
    files = [("image", ("a.png", png(1))), ("image", ("b.png", b"no picture"))]
    response = client.post("/api/v1/items?label=rows", files=files, headers=WRITING)
    assert response.status_code == 201, response.text
    done = response.json()
    assert done["skipped"][0]["name"] == "b.png"
    (number,) = done["ids"]
    item = client.get(f"/api/v1/items/{number}").json()
    assert item["label"] == "rows"
    assert Path(item["source"]).read_bytes() == png(1)
    assert client.get(f"/api/v1/items/{number}/thumbnail").status_code == 200
    found = client.post("/api/v1/search/image?k=81", files={"image": png(1)}).json()
    assert number in [hit["id"] for hit in found["hits"]]
    again = client.post("/api/v1/items", files=files[:1], headers=WRITING)
    assert again.json()["ids"] == [number]
    gone = client.delete(f"/api/v1/items?id={number}&id=999999", headers=WRITING)
    assert gone.json() == {"deleted": 1}
    assert client.get(f"/api/v1/items/{number}").status_code == 404
    assert not Path(item["source"]).exists()
    with open_archive(archive_path) as archive:
        assert archive.verify().ok


def test_added_codes_are_known_by_user_id(client: TestClient) -> None:
    code = client.get("/api/v1/items/4").json()["code"]
    body = {"items": [{"code": code, "user_id": "mine", "label": "new", "bbox": [1, 2, 3, 4]}]}
    first = client.post("/api/v1/items/codes", json=body, headers=WRITING)
    assert first.status_code == 201
    number = first.json()["ids"][0]
    hits = client.get("/api/v1/items/4/similar?k=80&label=new").json()["hits"]
    assert [(hit["id"], hit["distance"]) for hit in hits] == [(number, 0.0)]
    body["items"][0]["label"] = "newer"
    assert client.post("/api/v1/items/codes", json=body, headers=WRITING).json()["ids"] == [number]
    assert client.get(f"/api/v1/items/{number}").json()["label"] == "newer"
    body["items"][0]["source"] = "/etc/passwd"
    assert client.post("/api/v1/items/codes", json=body, headers=WRITING).status_code == 422


def test_reads_follow_another_process_s_writes(client: TestClient, archive_path: Path) -> None:
    assert client.get("/api/v1/archive").json()["tiles"] == 80
    with open_archive(archive_path) as archive:
        number = archive.add_codes(archive.codes([1]), labels=["late"])[0]
        # A writer at work does not stop reads, and is not overtaken by another.
        assert client.get(f"/api/v1/items/{number}").json()["label"] == "late"
        busy = client.delete("/api/v1/items?id=1", headers=WRITING)
        assert busy.status_code == 503
        assert busy.headers["retry-after"]
    assert client.delete("/api/v1/items?id=1", headers=WRITING).json() == {"deleted": 1}
    assert client.get("/api/v1/facets").json()["total"] == 80


@pytest.mark.parametrize("size", ["0", "385", "x"])
def test_sizes_of_thumbnails_are_bounded(client: TestClient, size: str) -> None:
    assert client.get(f"/api/v1/items/1/thumbnail?size={size}").status_code == 422
